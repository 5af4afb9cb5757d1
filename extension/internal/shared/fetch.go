package shared

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/valkey-io/valkey-go"

	"cache-extension/extension/internal/cache"
)

// Source returns a source that reads kind from the tier where it can, else from under. Secrets are not shared unsealed.
func (t *Tier) Source(kind string, under cache.Source) cache.Source {
	if kind == "secrets" && t.opts.Key == nil {
		return under
	}
	return &source{under, t, kind}
}

// source is one kind of the tier. What is declared is what the source below it declares.
type source struct {
	cache.Source
	tier *Tier
	kind string
}

// key is what a name of a Fetch stands for.
func (s *source) key(name string) (*cache.Key, bool) {
	if k, _, ok := s.Find(name); ok {
		return k, true
	}
	return s.Open(name)
}

// want is one resource, under all the names of it that are asked for.
type want struct {
	resource
	names []string
	ttl   time.Duration // the shortest of the names
	limit time.Duration // the longest age at which one of them may still be answered with a value

	key, lease string       // on the server
	leased     bool         // by us
	spoilt     bool         // what the server has is of no use to us, which has been said
	old        *cache.Value // past the TTL, within the limit
}

// Fetch implements cache.Source. A value is taken from the server if it is fresh. Else one environment fetches it from
// below and writes it there while the others wait a while for it. The longest way is: read, lease, wait, fetch.
func (s *source) Fetch(ctx context.Context, names []string, put func(name string, v *cache.Value, err error)) {
	alone, wants := s.sort(names)
	if len(wants) == 0 || ctx.Err() != nil || s.tier.all.refuses(s.tier.now().Wall) {
		s.Source.Fetch(ctx, names, put)
		return
	}
	f := &fetch{source: s, ctx: ctx, token: rand.Text(), put: put, outcomes: make(chan outcome, len(wants)), due: make(map[string]bool)}
	for _, name := range names {
		f.due[name] = true
	}
	f.patience, f.leaseTime = waitFor(ctx)
	f.exchange = min(s.tier.opts.Timeout, f.patience/4)
	if len(alone) > 0 { // first: the key of the seal may be among them
		f.running.Go(func() { f.below(alone, f.land) })
	}
	f.running.Go(func() { f.share(wants) })
	f.running.Wait()
	close(f.outcomes)
	f.writing.Wait()
}

// sort tells what goes through the tier from what does not: what may never be held, the secret that holds the key of the
// seal, and names that are not known.
func (s *source) sort(names []string) (alone []string, wants []*want) {
	var secret *cache.Key
	if s.kind == "secrets" {
		secret, _ = s.key(s.tier.opts.KeySecret)
	}
	byIdentity := make(map[string]*want)
	for _, name := range names {
		k, ok := s.key(name)
		if !ok || k.TTL+k.StaleIfError <= 0 || secret != nil && k.Identity == secret.Identity {
			alone = append(alone, name)
			continue
		}
		w := byIdentity[k.Identity]
		if w == nil {
			w = &want{resource: resource{s.kind, k.Identity}, ttl: k.TTL}
			byIdentity[k.Identity] = w
			wants = append(wants, w)
		}
		w.names = append(w.names, name)
		w.ttl, w.limit = min(w.ttl, k.TTL), max(w.limit, k.TTL+k.StaleIfError)
	}
	return alone, wants
}

// maxPatience is the longest that a Fetch waits for another environment, and how long it waits where ctx sets no bound.
const maxPatience = 2 * time.Second

// waitFor says how long to wait for another environment, and for how long to make others wait. A third of the time that
// is left leaves most of it for asking AWS after all. A lease is half as long: when its holder dies or is frozen, one of
// those who wait takes it over rather than all of them asking AWS when their patience ends. A fetch from AWS that takes
// longer than a lease costs the fleet one call more each time.
func waitFor(ctx context.Context) (patience, lease time.Duration) {
	patience = maxPatience
	if end, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(end)/3)
	}
	return patience, patience / 2
}

// fetch is one Fetch under way.
type fetch struct {
	*source
	ctx       context.Context
	token     string // of our leases
	seal      *seal
	patience  time.Duration
	exchange  time.Duration // with the server: two of them, the waiting and a poll leave time for AWS
	leaseTime time.Duration
	outcomes  chan outcome // of what was fetched from below; has room for all
	running   sync.WaitGroup
	writing   sync.WaitGroup

	mu  sync.Mutex // guards due
	due map[string]bool
	put func(name string, v *cache.Value, err error)
}

// land puts the outcome of a name, the first that there is.
func (f *fetch) land(name string, v *cache.Value, err error) {
	f.mu.Lock()
	due := f.due[name]
	delete(f.due, name)
	f.mu.Unlock()
	if due {
		f.put(name, v, err)
	}
}

// below fetches names from the source below. When that panics, what has not landed has failed.
func (f *fetch) below(names []string, land func(string, *cache.Value, error)) {
	defer func() {
		if v := recover(); v != nil {
			err := cache.Panicked(v)
			for _, name := range names {
				land(name, nil, err)
			}
		}
	}()
	f.Source.Fetch(f.ctx, names, land)
}

func (f *fetch) share(wants []*want) {
	seal, err := f.sealingSoon()
	if err != nil {
		f.tier.complain("the shared tier is not used: its key could not be read", "error", err)
		f.unshared(wants)
		return
	}
	f.seal = seal
	for _, w := range wants {
		name := seal.name(w.resource)
		w.key, w.lease = f.tier.opts.Prefix+name, f.tier.opts.Prefix+"lease:"+name
	}
	f.writing.Go(f.write)
	if cache.Refreshing(f.ctx) {
		f.upstream(wants)
		return
	}
	wants = f.read(wants)
	mine, others := f.claim(wants)
	if len(others) > 0 {
		f.running.Go(func() { f.await(others) })
	}
	f.upstream(mine)
}

// sealingSoon is bound like any other waiting: the key may have to come from AWS first.
func (f *fetch) sealingSoon() (*seal, error) {
	ctx, cancel := context.WithTimeout(f.ctx, f.patience)
	defer cancel()
	return f.tier.sealing(ctx)
}

// unshared fetches from below and leaves the server out of it.
func (f *fetch) unshared(wants []*want) {
	var names []string
	for _, w := range wants {
		names = append(names, w.names...)
	}
	f.below(names, f.land)
}

// upstream fetches from below and hands on what comes: to those who asked at once, then to the server. What slept through
// a freeze of the sandbox is of unknown age and stays away from the server.
func (f *fetch) upstream(wants []*want) {
	if len(wants) == 0 {
		return
	}
	var names []string
	of := make(map[string]*want)
	for _, w := range wants {
		names = append(names, w.names...)
		for _, name := range w.names {
			of[name] = w
		}
	}
	began := f.tier.now()
	f.below(names, func(name string, v *cache.Value, err error) {
		w := of[name]
		switch {
		case err == nil:
			f.land(name, v, nil)
		case gone(err):
			f.land(name, nil, err)
		default:
			if v == nil {
				v = w.old
			}
			f.land(name, v, err)
		}
		if name != w.names[0] {
			return // the others have the same
		}
		now := f.tier.now()
		o := outcome{w, v, err, now.Wall}
		if cache.Slept(began, now) {
			o = outcome{want: w}
		}
		f.outcomes <- o
	})
}

// gone says whether AWS answered that there is nothing for us.
func gone(err error) bool { return errors.Is(err, cache.ErrMissing) || errors.Is(err, cache.ErrDenied) }

// read puts what the server has a fresh value of, and returns the rest.
func (f *fetch) read(wants []*want) (rest []*want) {
	keys := make([]string, len(wants))
	for i, w := range wants {
		keys[i] = w.key
	}
	results, err := f.tier.get(f.exchange, keys)
	if err != nil {
		return wants
	}
	for i, w := range wants {
		if !f.take(w, results[i]) {
			f.tier.misses.Add(1)
			rest = append(rest, w)
		}
	}
	return rest
}

// maxSkew is how far the clock of another environment may be ahead of ours.
const maxSkew = time.Minute

// take puts the value of w if the result is a fresh one. An old one it remembers.
func (f *fetch) take(w *want, result valkey.ValkeyResult) bool {
	record, err := result.AsBytes()
	if valkey.IsValkeyNil(err) {
		return false
	}
	now := f.tier.now().Wall
	var v *cache.Value
	if err == nil {
		v, err = f.seal.read(w.resource, record)
	}
	fault := ""
	switch {
	case err != nil:
		fault = "the shared tier has something under a key of ours that we did not write; it is overwritten"
	case v.FetchedAt.Sub(now) > maxSkew:
		fault = "the shared tier has a value from the future: the clocks of two environments are more than a minute apart; it is overwritten"
	}
	if fault != "" {
		if !w.spoilt {
			w.spoilt = true
			f.tier.complain(fault, "cachetype", f.kind)
		}
		return false
	}
	if v.FetchedAt.After(now) {
		v.FetchedAt = now
	}
	age := now.Sub(v.FetchedAt)
	if age >= w.ttl {
		if age < w.limit {
			w.old = v
		}
		return false
	}
	f.tier.hits.Add(1)
	for _, name := range w.names {
		f.land(name, v, nil)
	}
	return true
}
