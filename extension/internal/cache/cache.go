// Package cache decides, for one kind of source, whether a read is answered from memory, from AWS or not at all.
package cache

import (
	"cmp"
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	gocache "github.com/patrickmn/go-cache"
)

// Why a read has no value, beside what a Source reports. To be tested with errors.Is.
var (
	ErrUndeclared = errors.New("not declared in config.yaml")   // no upstream call was made
	ErrBusy       = errors.New("too many readers wait for AWS") // and nothing stale was at hand
)

// Failure is a read that ended without a value because AWS gave none.
type Failure struct {
	Err        error         // wraps a sentinel of Source, a PanicError, or is an upstream failure
	RetryAfter time.Duration // hold-off left; 0 when the next read may go to AWS at once
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// How tells which way an Answer came about.
type How int

// The ways, each one row of the Cache-Status table in docs/http.md.
const (
	Hit                  How = iota // fresh, from memory
	Missed                          // nothing was held; fetched and stored
	Expired                         // what was held had expired; fetched and stored
	Requested                       // fetched and stored because of refresh
	Revalidating                    // old value, while it is refreshed
	StaleIfError                    // old value, the attempt failed or took longer than StaleWait
	HeldOff                         // old value, no attempt was made
	RefreshLimited                  // fresh value, the asked-for refresh was not attempted
	RefreshFailed                   // fresh value, the asked-for refresh failed
	RefreshFailedExpired            // old value, the asked-for refresh failed
)

// Answer is a value with its age.
type Answer struct {
	Value     *Value
	How       How
	Collapsed bool          // the reader joined a flight that was up already
	Shared    bool          // the reader waited for a flight that brought a value from the tier between the cache and AWS
	Age       time.Duration // since the value was fetched, by the wall clock, at least 0
	TTL       time.Duration // freshness left, negative when expired
}

// Options sets up a Cache; a zero duration switches its window off.
type Options struct {
	StaleWhileRevalidate time.Duration     // after the TTL, answer with the old value this long while it is refreshed
	StaleWait            time.Duration     // with a value inside StaleIfError at hand, a reader waits this long for AWS
	NegativeTTL          time.Duration     // how long "missing" and "denied" are remembered
	Waiting              *Waiting          // shared by all caches; nil sets no limit
	Memory               *Memory           // for open names, shared by all caches; nil is one for this cache, of default size
	Report               func(*Key, error) // told each failed flight once; nil tells nobody. Must not block.
	Clock                func() Instant    // nil is Clock()
}

// Cache answers reads of one kind of source. All methods may be called concurrently.
type Cache struct {
	source   Source
	opts     Options
	now      func() Instant
	items    *gocache.Cache   // Key.Name -> *entry, until the hard limit (TTL and the longer window)
	slots    map[*Key]*slot   // one for each key, made by New and never changed
	byName   map[string]*slot // the same by Key.Name
	open     share            // guarded by Memory.mu
	counters counters
}

// entry is a fetched value; never modified.
type entry struct {
	value     *Value
	fetchedAt time.Time // wall clock
}

// slot is what is remembered of a key whether or not a value is held, so that nothing of it is lost with a value.
type slot struct {
	key    *Key
	limit  time.Duration // the age at which a value is beyond all use
	place  *place        // of an open name; nil for a declared one
	reads  atomic.Int64  // answered with the value, since it was fetched
	waited atomic.Int64  // of these, the ones that waited for the fetch
	failed atomic.Int64  // reads that got no value, since the start

	mu          sync.Mutex // guards what follows
	flight      *flight    // the one under way, or nil
	stored      bool       // a value was stored and not dropped since, though it may have expired beyond use
	fetchedAt   time.Time  // of the value last stored
	attemptedAt time.Time  // start of the last flight
	refusal     error      // AWS said missing or denied
	refusedAt   time.Time
	failures    int   // flights in a row that failed in any other way
	failure     error // the last of them
	failedAt    time.Time
	holdOff     time.Duration // after failedAt
	past        past
}

// refreshFloor is the time between two attempts that refresh=true can bring about.
const refreshFloor = time.Second

// New returns a Cache of what source declares. It makes no call.
func New(source Source, opts Options) *Cache {
	keys := source.Keys()
	c := &Cache{
		source: source,
		opts:   opts,
		now:    opts.Clock,
		items:  gocache.New(gocache.NoExpiration, 0), // no janitor: on Lambda nothing ticks
		slots:  make(map[*Key]*slot, len(keys)),
		byName: make(map[string]*slot, len(keys)),
	}
	if c.now == nil {
		c.now = Clock()
	}
	for _, k := range keys {
		s := c.newSlot(k)
		c.slots[k], c.byName[k.Name] = s, s
	}
	if c.opts.Memory == nil {
		c.opts.Memory = NewMemory(defaultEntries, defaultBytes)
	}
	return c
}

func (c *Cache) newSlot(k *Key) *slot {
	return &slot{key: k, limit: k.TTL + max(k.StaleIfError, c.opts.StaleWhileRevalidate)}
}

// Get answers a read of name. With refresh it asks AWS even when the value is fresh, at most once a second.
//
// The error is or wraps ErrUndeclared, ErrBusy, ErrMissing or ctx.Err(), or is a *Failure.
func (c *Cache) Get(ctx context.Context, name string, refresh bool) (Answer, error) {
	key, member, ok := c.source.Find(name)
	if !ok {
		return c.getOpen(ctx, name, refresh)
	}
	s := c.slots[key]
	a, err := c.get(ctx, s, refresh)
	if err != nil {
		s.failed.Add(1)
		return a, err
	}
	if member == "" {
		return a, nil
	}
	tree := a.Value
	if a.Value = tree.Members[member]; a.Value == nil {
		return Answer{}, cmp.Or(tree.Absent, ErrMissing)
	}
	return a, nil
}

// Hit answers a read of name if a fresh value of at most most bytes is in memory. It waits for nobody and starts nothing.
func (c *Cache) Hit(name string, most int) (Answer, bool) {
	key, member, ok := c.source.Find(name)
	if !ok {
		return c.hitOpen(name, most)
	}
	if member != "" {
		return Answer{}, false
	}
	return c.fresh(c.slots[key], most)
}

// fresh is the way of a hit: the map's lock and two atomic adds.
func (c *Cache) fresh(s *slot, most int) (Answer, bool) {
	if e := c.look(s); e != nil && len(e.value.Body) <= most {
		if a := s.answer(e, c.now(), Hit); a.TTL > 0 {
			c.hit(s)
			return a, true
		}
	}
	return Answer{}, false
}

func (c *Cache) get(ctx context.Context, s *slot, refresh bool) (Answer, error) {
	if !refresh {
		if a, ok := c.fresh(s, math.MaxInt); ok {
			return a, nil
		}
	}
	for {
		a, f, err := c.decide(s, refresh)
		if f == nil {
			return a, err
		}
		a, err, landed := c.wait(ctx, s, f, a, refresh)
		if landed {
			return a, err
		}
		// The flight was dropped without an outcome (it slept through a freeze, or prefetch ran out of time), or did not go
		// to AWS for a reader who asks for that: decide anew.
	}
}

// decide answers at once (the flight is nil), or names the flight to wait for. The answer then tells how the value will
// have come about once it lands.
func (c *Cache) decide(s *slot, refresh bool) (Answer, *flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := c.now()
	e := c.look(s) // again: a flight may have landed since the caller looked
	if e == nil {
		c.forget(s) // go-cache keeps what has expired until told
	}
	c.dropSlept(s, now)
	held := within(now.Wall, s.failedAt, s.holdOff)

	forced := refresh && (s.flight != nil || !held && !within(now.Wall, s.attemptedAt, refreshFloor))
	if forced {
		return c.board(s, e, now, Requested)
	}
	if e != nil {
		if a := s.answer(e, now, Hit); a.TTL > 0 {
			if refresh {
				a.How = RefreshLimited
			}
			c.hit(s)
			return a, nil, nil
		}
	}
	if s.refusal != nil && s.key.TTL > 0 && within(now.Wall, s.refusedAt, c.opts.NegativeTTL) {
		return Answer{}, nil, &Failure{Err: s.refusal}
	}
	if held {
		if a, ok := c.stale(s, e, now, HeldOff); ok {
			return a, nil, nil
		}
		if a, ok := c.revalidating(s, e, now); ok {
			return a, nil, nil
		}
		return Answer{}, nil, &Failure{Err: s.failure, RetryAfter: s.left(now)}
	}
	if a, ok := c.revalidating(s, e, now); ok {
		if s.flight == nil {
			c.launch(s, now, false)
		}
		return a, nil, nil
	}
	how := Missed
	if s.stored {
		how = Expired
	}
	return c.board(s, e, now, how)
}

// board takes a place among those who wait and joins the slot's flight, or launches one. Where all places are taken the
// reader is answered from memory if there is anything to answer with. s.mu is held.
func (c *Cache) board(s *slot, e *entry, now Instant, how How) (Answer, *flight, error) {
	if !c.opts.Waiting.enter() {
		if e != nil && how == Requested {
			if a := s.answer(e, now, RefreshLimited); a.TTL > 0 {
				c.hit(s)
				return a, nil, nil
			}
		}
		if a, ok := c.stale(s, e, now, HeldOff); ok {
			return a, nil, nil
		}
		return Answer{}, nil, ErrBusy
	}
	a := Answer{How: how, Collapsed: s.flight != nil}
	if a.Collapsed {
		c.counters.collapsed.Add(1)
	} else {
		c.counters.misses.Add(1)
		c.launch(s, now, how == Requested)
	}
	return a, s.flight, nil
}

// wait gives the outcome of f, or what is at hand when f takes too long. It is not landed when f was dropped.
func (c *Cache) wait(ctx context.Context, s *slot, f *flight, a Answer, refresh bool) (_ Answer, _ error, landed bool) {
	defer c.opts.Waiting.leave()
	if _, ok := s.staleIfError(c.look(s), c.now()); ok && !refresh && s.key.TTL > 0 {
		if err := f.wait(ctx, c.opts.StaleWait); errors.Is(err, ErrTimeout) {
			if a, ok := c.stale(s, c.look(s), c.now(), StaleIfError); ok {
				return a, nil, true
			}
		}
	}
	if err := f.wait(ctx, f.patience); errors.Is(err, ErrTimeout) {
		a, err = c.fallback(s, err, refresh)
		return a, err, true
	} else if err != nil {
		return Answer{}, err, true
	}
	switch {
	case f.dropped:
		return Answer{}, nil, false
	case f.elsewhere && refresh && !f.refresh:
		return Answer{}, nil, false
	case f.err == nil:
		s.reads.Add(1)
		s.waited.Add(1)
		a = s.complete(a, f.entry, c.now())
	case refused(f.err):
		return Answer{}, &Failure{Err: f.err}, true
	default:
		var err error
		if a, err = c.fallback(s, f.err, refresh); err != nil {
			return a, err, true
		}
	}
	a.Shared = f.entry != nil && f.entry.value == a.Value && a.Value.Shared
	return a, nil, true
}

// fallback is what a reader gets when AWS gave nothing: what is held, if it may still be used, else the error.
func (c *Cache) fallback(s *slot, err error, refresh bool) (Answer, error) {
	now, e := c.now(), c.look(s)
	fresh, old := Hit, StaleIfError // fresh: the next flight landed before this reader woke
	if refresh {
		fresh, old = RefreshFailed, RefreshFailedExpired
	}
	if e != nil {
		if a := s.answer(e, now, fresh); a.TTL > 0 {
			c.hit(s)
			return a, nil
		}
	}
	if a, ok := c.stale(s, e, now, old); ok {
		return a, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return Answer{}, &Failure{Err: err, RetryAfter: s.left(now)}
}

// look returns what is held for the slot, fresh or not, or nil. It takes the map's lock.
func (c *Cache) look(s *slot) *entry {
	if s.place != nil {
		return s.place.entry.Load()
	}
	if v, ok := c.items.Get(s.key.Name); ok {
		return v.(*entry)
	}
	return nil
}

// keep holds e for the slot for as long as it is of any use. s.mu is held.
func (c *Cache) keep(s *slot, e *entry, left time.Duration) {
	switch {
	case left <= 0: // go-cache would take it for its default, which is never
	case s.place != nil:
		s.place.entry.Store(e)
	default:
		c.items.Set(s.key.Name, e, left)
	}
}

// forget lets go of what is held for the slot. s.mu is held.
func (c *Cache) forget(s *slot) {
	if s.place != nil {
		s.place.entry.Store(nil)
		return
	}
	c.items.Delete(s.key.Name)
}

func (c *Cache) hit(s *slot) {
	c.counters.hits.Add(1)
	s.reads.Add(1)
}

// stale answers with an expired value inside its stale_if_error.
func (c *Cache) stale(s *slot, e *entry, now Instant, how How) (Answer, bool) {
	a, ok := s.staleIfError(e, now)
	if !ok {
		return Answer{}, false
	}
	a.How = how
	c.counters.stale.Add(1)
	s.reads.Add(1)
	return a, true
}

// revalidating answers with an expired value inside stale_while_revalidate; with a TTL of 0 there is no such window.
func (c *Cache) revalidating(s *slot, e *entry, now Instant) (Answer, bool) {
	if e == nil || s.key.TTL == 0 {
		return Answer{}, false
	}
	a := s.answer(e, now, Revalidating)
	if -a.TTL >= c.opts.StaleWhileRevalidate {
		return Answer{}, false
	}
	c.counters.stale.Add(1)
	s.reads.Add(1)
	return a, true
}

// staleIfError tells whether e may be served in place of an error.
func (s *slot) staleIfError(e *entry, now Instant) (Answer, bool) {
	if e == nil {
		return Answer{}, false
	}
	a := s.answer(e, now, StaleIfError)
	return a, a.TTL <= 0 && -a.TTL < s.key.StaleIfError
}

func (s *slot) answer(e *entry, now Instant, how How) Answer {
	return s.complete(Answer{How: how}, e, now)
}

func (s *slot) complete(a Answer, e *entry, now Instant) Answer {
	a.Value = e.value
	a.Age = max(0, now.Wall.Sub(e.fetchedAt))
	a.TTL = s.key.TTL - a.Age
	return a
}

// left is what is left of the hold-off. s.mu is held.
func (s *slot) left(now Instant) time.Duration {
	if !within(now.Wall, s.failedAt, s.holdOff) {
		return 0
	}
	return s.holdOff - now.Wall.Sub(s.failedAt)
}

// Waiting bounds the readers that wait for AWS at one time, over all caches it is given to. A nil Waiting sets no bound.
type Waiting struct {
	most int64
	n    atomic.Int64
}

// NewWaiting returns a Waiting that lets most readers wait.
func NewWaiting(most int) *Waiting { return &Waiting{most: int64(most)} }

func (w *Waiting) enter() bool {
	if w == nil {
		return true
	}
	if w.n.Add(1) > w.most {
		w.n.Add(-1)
		return false
	}
	return true
}

func (w *Waiting) leave() {
	if w != nil {
		w.n.Add(-1)
	}
}
