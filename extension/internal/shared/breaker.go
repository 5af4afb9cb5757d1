package shared

import (
	"math/rand/v2"
	"sync"
	"time"
)

// breaker keeps us away from a server that failed. It opens with a failure and lets nothing through for a pause that
// doubles with each further failure; then one use probes, and what becomes of that decides.
type breaker struct {
	mu       sync.Mutex // guards what follows
	failures int        // in a row, or nearly: see fail
	until    time.Time  // by the wall clock, for a sandbox may be frozen; zero while closed
	probing  bool
	closedAt time.Time
}

const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// pass is what enter gives.
type pass int

const (
	refused pass = iota // the server is to be left alone
	through             // as the server works
	probe               // to see whether it works again
)

// enter says whether the server may be used. Who may must end that with succeed, fail or abandon.
func (b *breaker) enter(now time.Time) pass {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.IsZero():
		return through
	case b.probing, b.waits(now):
		return refused
	}
	b.probing = true
	return probe
}

// refuses says whether enter would refuse.
func (b *breaker) refuses(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.until.IsZero() && (b.probing || b.waits(now))
}

// waits says whether the pause goes on. A clock that was set back does not prolong it. b.mu is held.
func (b *breaker) waits(now time.Time) bool {
	left := b.until.Sub(now)
	return left > 0 && left <= 2*lastPause
}

// open says whether the last that is known of the server is a failure.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.until.IsZero()
}

// succeed ends a use that the server answered well, and says whether that closed the breaker.
func (b *breaker) succeed(p pass, now time.Time) (closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p != probe {
		return false // begun before the failure that opened it, or it is closed
	}
	b.until, b.probing, b.closedAt = time.Time{}, false, now
	return true
}

// fail ends a use that failed, and says whether that opened the breaker. One that fails again soon after it closed goes
// on with longer pauses, so that a server that works every other time is not told of each time.
func (b *breaker) fail(p pass, now time.Time) (opened bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p == through && !b.until.IsZero() {
		return false // begun before the failure that opened it
	}
	opened = b.until.IsZero()
	if opened && now.Sub(b.closedAt) > lastPause {
		b.failures = 0
	}
	b.failures++
	b.until, b.probing = now.Add(pause(b.failures)), false
	return opened
}

// abandon ends a use that says nothing about the server.
func (b *breaker) abandon(p pass) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p == probe {
		b.probing = false
	}
}

// pause is how long the server is left alone after so many failures, with a fifth of jitter either way so that a fleet
// does not come back in step.
func pause(failures int) time.Duration {
	d := lastPause
	if failures < 6 { // 1 s << 5 is past the last
		d = firstPause << (failures - 1)
	}
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}
