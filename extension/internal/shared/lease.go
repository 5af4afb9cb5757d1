package shared

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/valkey-io/valkey-go"
)

// nothingComes is what a lease holds when AWS told its holder that there is nothing: those who wait may hold other
// permissions, and each asks for itself at once.
const nothingComes = "-"

// claim leases what nobody else is fetching: mine is ours to fetch, others is what somebody else is about to bring. What
// has a TTL of 0 is ours always, and so is everything where the server takes no leases.
//
// Since we looked for a value, its holder may have written it and released the lease that we now get. A value goes before
// its lease is released, so a look behind the claim finds it.
func (f *fetch) claim(wants []*want) (mine, others []*want) {
	var keys []string
	var claimed []*want
	for _, w := range wants {
		if w.ttl <= 0 {
			mine = append(mine, w)
			continue
		}
		keys, claimed = append(keys, w.lease, w.key), append(claimed, w)
	}
	if len(claimed) == 0 {
		return mine, nil
	}
	token, lasts := f.token, max(f.leaseTime.Milliseconds(), 1)
	results, err := f.tier.do(f.exchange, true, func(b valkey.Builder) valkey.Commands {
		cmds := make(valkey.Commands, len(keys))
		for i := 0; i < len(keys); i += 2 {
			cmds[i] = b.Set().Key(keys[i]).Value(token).Nx().PxMilliseconds(lasts).Build()
			cmds[i+1] = b.Get().Key(keys[i+1]).Build()
		}
		return cmds
	})
	if err != nil {
		return append(mine, claimed...), nil
	}
	for i, w := range claimed {
		w.leased = results[2*i].Error() == nil
		switch {
		case f.take(w, results[2*i+1]):
			f.outcomes <- outcome{want: w}
		case w.leased:
			mine = append(mine, w)
		default:
			others = append(others, w)
		}
	}
	return mine, others
}

const (
	firstPoll = 10 * time.Millisecond // AWS answers in about this
	lastPoll  = 100 * time.Millisecond
	// maxPolled bounds what one poll asks for; the rest is asked for as soon as something comes. 1,000 environments that
	// wait for 60 names each would otherwise read a million keys a second, ten times what one server answers.
	maxPolled = 4
)

// await waits for what other environments are fetching, for as long as our patience lasts, and puts it. What does not
// come is fetched from below.
func (f *fetch) await(wants []*want) {
	f.tier.waits.Add(uint64(len(wants)))
	ctx, cancel := context.WithTimeout(f.ctx, f.patience)
	defer cancel()
	every, asked := firstPoll, maxPolled
	for len(wants) > 0 {
		if asked <= maxPolled { // else something came, and the rest may be there, too
			select {
			case <-ctx.Done():
				f.upstream(wants)
				return
			case <-time.After(time.Duration(float64(every) * (0.5 + rand.Float64()))):
			}
			every = min(every*3/2, lastPoll)
		}
		n := min(asked, len(wants))
		polled, rest := wants[:n], wants[n:]
		p, ok := f.poll(polled)
		if !ok {
			f.upstream(wants)
			return
		}
		asked = maxPolled
		if p.moved {
			asked = max(len(rest)+len(p.waiting), maxPolled+1)
		}
		if len(p.ours) > 0 {
			f.running.Go(func() { f.upstream(p.ours) })
		}
		wants = append(rest[:len(rest):len(rest)], p.waiting...) // others first next time
	}
}

// polled is what has become of resources that others are fetching.
type polled struct {
	moved   bool    // of some there is news
	ours    []*want // to be fetched by us after all
	waiting []*want
}

// poll looks for values and leases. It is not ok when the server did not answer.
func (f *fetch) poll(wants []*want) (p polled, ok bool) {
	keys := make([]string, 0, 2*len(wants))
	for _, w := range wants {
		keys = append(keys, w.key, w.lease)
	}
	results, err := f.tier.get(f.exchange, keys)
	if err != nil {
		return p, false
	}
	var free []*want
	for i, w := range wants {
		if f.take(w, results[2*i]) {
			continue
		}
		switch holder, err := results[2*i+1].ToString(); {
		case valkey.IsValkeyNil(err):
			free = append(free, w)
		case holder == nothingComes, len(holder) != len(f.token): // or another program's, which may never end
			p.ours = append(p.ours, w)
		case holder == f.token: // the answer to our claim was lost
			w.leased = true
			p.ours = append(p.ours, w)
		default:
			p.waiting = append(p.waiting, w)
		}
	}
	if len(free) > 0 {
		mine, others := f.claim(free)
		p.ours, p.waiting = append(p.ours, mine...), append(p.waiting, others...)
	}
	p.moved = len(p.waiting) < len(wants)
	return p, true
}
