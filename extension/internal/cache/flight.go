package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"cache-extension/extension/internal/stack"
)

// flight is one fetch of one key. Nobody owns it: a reader who hangs up does not end it.
type flight struct {
	began    Instant
	refresh  bool               // launched by a reader who asks for what AWS itself says
	patience time.Duration      // how long a reader waits for it, or noBound: its own bound sees to it
	cancel   context.CancelFunc // ends the fetch; nil while it is part of a batch that others wait for, too

	// Written before done is closed, read after.
	done      chan struct{}
	entry     *entry
	err       error
	dropped   bool // no outcome: whoever waits decides anew
	elsewhere bool // AWS was not asked
}

// noBound waits for as long as the flight takes.
const noBound time.Duration = -1

// wait returns nil when the flight has landed, ErrTimeout when it has not within d, else ctx.Err().
func (f *flight) wait(ctx context.Context, d time.Duration) (err error) {
	var out <-chan time.Time
	if d != noBound {
		t := time.NewTimer(d)
		defer t.Stop()
		out = t.C
	}
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-out:
		err = ErrTimeout
	}
	select { // both at once: the outcome is worth more than the bound
	case <-f.done:
		return nil
	default:
		return err
	}
}

// launch starts a flight of the slot's key alone. s.mu is held.
func (c *Cache) launch(s *slot, now Instant, refresh bool) {
	ctx, cancel := context.WithTimeout(context.Background(), s.key.Timeout)
	if refresh {
		ctx = context.WithValue(ctx, refreshing{}, true)
	}
	f := c.take(s, now)
	f.refresh, f.cancel = refresh, cancel
	go func() {
		defer cancel()
		stack.Grow[[5 << 10]byte]() // what one call to AWS needs, but for its TLS handshake
		c.fetch(ctx, []string{s.key.Name}, map[string]landing{s.key.Name: {s, f}}, false)
	}()
}

// take makes the slot's flight. s.mu is held.
func (c *Cache) take(s *slot, now Instant) *flight {
	s.flight = &flight{began: now, patience: noBound, done: make(chan struct{})}
	s.attemptedAt = now.Wall
	s.past.fetches++
	if s.place != nil {
		c.opts.Memory.took(s)
	}
	return s.flight
}

// landing is where the outcome of one name goes.
type landing struct {
	s *slot
	f *flight
}

// fetch asks the source for names and lands the flight of each with what comes. With yielding, flights that end because
// ctx does are dropped rather than failed.
func (c *Cache) fetch(ctx context.Context, names []string, flights map[string]landing, yielding bool) {
	put := func(name string, v *Value, err error) {
		l := flights[name]
		drop := yielding && ctx.Err() != nil && errors.Is(err, ErrTimeout)
		c.land(l.s, l.f, v, err, drop)
	}
	defer func() {
		err := errors.New("the source gave no outcome")
		if r := recover(); r != nil {
			err = Panicked(r)
		}
		for _, l := range flights { // those that have landed are left alone
			c.land(l.s, l.f, nil, err, false)
		}
	}()
	c.counters.fetches.Add(uint64(len(names)))
	c.source.Fetch(ctx, names, put)
}

// land ends a flight, once: it stores the value or notes the failure, and wakes all who wait.
func (c *Cache) land(s *slot, f *flight, v *Value, err error, drop bool) {
	if !c.settle(s, f, v, err, drop) {
		return
	}
	if f.err != nil && c.opts.Report != nil {
		c.opts.Report(s.key, f.err)
	}
}

func (c *Cache) settle(s *slot, f *flight, v *Value, err error, drop bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != f {
		return false // landed, or dropped after a freeze: what comes now is of unknown age
	}
	now := c.now()
	if drop || Slept(f.began, now) {
		c.abandon(s)
		return true
	}
	f.err = err
	defer c.end(s) // after all is noted: a reader may ask for /stats next
	if err != nil {
		c.counters.failed(err)
		s.past.failure, s.past.failedAt = Class(err), now.Wall
	}
	if v != nil && !refused(err) {
		f.entry = c.store(s, v, now)
	}
	switch {
	case err == nil:
		s.answered(f, nil, now)
		if f.elsewhere = v.Shared; f.elsewhere {
			s.attemptedAt = time.Time{} // refresh=true may ask it at once
		}
	case refused(err):
		s.stored = false
		s.answered(f, err, now)
		c.forget(s)
	default:
		s.failures++
		s.failure, s.failedAt, s.holdOff = err, now.Wall, holdOff(s.failures)
	}
	return true
}

// store holds v, unless a newer value is held, and returns what is held then. s.mu is held.
func (c *Cache) store(s *slot, v *Value, now Instant) *entry {
	at := now.Wall
	if !v.FetchedAt.IsZero() {
		if v.FetchedAt.Before(at) { // another's clock may be ahead of ours
			at = v.FetchedAt.Round(0)
		}
		if e := c.look(s); e != nil && at.Before(e.fetchedAt) {
			return e
		}
	}
	e := &entry{value: v, fetchedAt: at}
	s.stored, s.fetchedAt = true, at
	c.keep(s, e, s.limit-now.Wall.Sub(at))
	return e
}

// answered notes that AWS gave an answer, be it a refusal; it ends a hold-off. s.mu is held.
func (s *slot) answered(f *flight, refusal error, now Instant) {
	s.turn(now.Mono - f.began.Mono)
	s.refusal, s.refusedAt = refusal, now.Wall
	s.failures, s.failure, s.holdOff = 0, nil, 0
}

// refused says whether AWS answered that there is nothing for us: what is held must not outlive that.
func refused(err error) bool { return errors.Is(err, ErrMissing) || errors.Is(err, ErrDenied) }

// dropSlept ends the slot's flight without an outcome if the process was frozen while it was up: its connection is
// likely dead, and an answer that was waiting in a buffer is of unknown age. s.mu is held.
func (c *Cache) dropSlept(s *slot, now Instant) {
	f := s.flight
	if f == nil || !Slept(f.began, now) {
		return
	}
	if f.cancel != nil {
		f.cancel()
	}
	c.abandon(s)
}

// abandon ends the slot's flight without an outcome, as if it had never been tried. s.mu is held.
func (c *Cache) abandon(s *slot) {
	s.flight.dropped, s.attemptedAt = true, time.Time{}
	c.end(s)
}

// end takes the flight from its slot and wakes who waits for it. s.mu is held.
func (c *Cache) end(s *slot) {
	f := s.flight
	s.flight = nil
	if s.place != nil {
		c.opts.Memory.landed(s)
	}
	close(f.done)
}

// Thaw drops the flights that slept through a freeze, so that nobody waits for them, and forgets values that have expired
// beyond use. It is to be called when the process may have been frozen.
func (c *Cache) Thaw() {
	now := c.now()
	for _, s := range c.slots {
		s.mu.Lock()
		c.dropSlept(s, now)
		s.mu.Unlock()
	}
	c.items.DeleteExpired()
	c.thawOpen(now)
}

const (
	firstHoldOff = 250 * time.Millisecond // from the second failure in a row
	lastHoldOff  = 30 * time.Second
)

// holdOff is how long to leave AWS alone after so many failures in a row: nothing after the first, then doubling, each
// with a fifth of jitter either way so that a fleet does not come back in step.
func holdOff(failures int) time.Duration {
	if failures < 2 {
		return 0
	}
	d := lastHoldOff
	if n := failures - 2; n < 7 { // 250 ms << 7 is past the last
		d = firstHoldOff << n
	}
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// FetchFailure is a key that Warm did not bring in.
type FetchFailure struct {
	Key *Key
	Err error // ErrTimeout where it has not landed in time
}

// Warm fetches those of the given names (each a Key.Name) that are not fresh or soon will not be, in one call of the source,
// joins flights that are up and leaves alone what is held off. It returns when all have landed or ctx is done; what
// has not landed by then is left to its first reader. It returns what did not land well.
func (c *Cache) Warm(ctx context.Context, names []string) []FetchFailure {
	var due []string
	var waits []landing
	var failed []FetchFailure
	flights := make(map[string]landing)
	for _, name := range names {
		s := c.byName[name]
		f, launched, err := c.claim(s)
		if err != nil {
			failed = append(failed, FetchFailure{s.key, err})
		}
		if f != nil {
			waits = append(waits, landing{s, f})
		}
		if launched {
			due = append(due, name)
			flights[name] = landing{s, f}
		}
	}
	if len(due) > 0 {
		go c.fetch(ctx, due, flights, true)
	}
	for _, l := range waits {
		err := l.f.wait(ctx, noBound)
		switch {
		case err != nil, l.f.dropped:
			err = ErrTimeout
		case l.f.err == nil && l.s.key.Required && l.f.entry.value.emptyTree():
			err = ErrMissing
		default:
			err = l.f.err
		}
		if err != nil {
			failed = append(failed, FetchFailure{l.s.key, err})
		}
	}
	return failed
}

// claim gives the flight that Warm is to wait for: the one that is up, or a new one that is yet to be fetched. It is nil
// when nothing is due.
func (c *Cache) claim(s *slot) (f *flight, launched bool, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := c.now()
	c.dropSlept(s, now)
	switch {
	case s.flight != nil:
		return s.flight, false, nil
	case s.stored && !s.due(now):
		return nil, false, nil
	case within(now.Wall, s.failedAt, s.holdOff):
		return nil, false, s.failure
	}
	f = c.take(s, now)
	f.patience = s.key.Timeout // a batch may be longer under way than a reader should wait
	return f, true, nil
}

// due says whether the value is in the last tenth of its TTL, or past it. s.mu is held.
func (s *slot) due(now Instant) bool {
	return now.Wall.Sub(s.fetchedAt) >= s.key.TTL-s.key.TTL/10
}

// Due returns the names (Key.Name) of what was read since it was fetched and is past its TTL or in the last tenth of it,
// in the order of config.yaml. What has a TTL of 0 is never due.
func (c *Cache) Due() []string {
	now := c.now()
	var names []string
	for _, k := range c.source.Keys() {
		s := c.slots[k]
		s.mu.Lock()
		if s.stored && k.TTL > 0 && s.reads.Load() > 0 && s.due(now) {
			names = append(names, k.Name)
		}
		s.mu.Unlock()
	}
	return names
}
