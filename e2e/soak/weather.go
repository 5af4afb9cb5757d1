//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

// fault is what AWS does instead of answering. The empty one is none.
type fault string

const (
	throttled fault = "throttled"
	failing   fault = "failing" // HTTP 500
	dropping  fault = "dropping"
	hanging   fault = "hanging"
	garbled   fault = "garbled" // HTTP 200 with a web page
	slow      fault = "slow"
	denied    fault = "denied"
	missing   fault = "missing"
)

// longestFreeze is well past the timeout of a fetch.
const longestFreeze = 2500 * time.Millisecond

// span is a time from one instant to another; a zero end is now.
type span struct{ from, to time.Time }

func (s span) overlaps(from, to time.Time) bool {
	return s.from.Before(to) && (s.to.IsZero() || s.to.After(from))
}

// phase is a time of one fault. Its zero value is calm.
type phase struct {
	span
	fault fault
	all   bool // it befalls every name; else a quarter of them, which seed chooses
	seed  uint64
}

func (p phase) befalls(name string) bool {
	if p.fault == "" || p.all {
		return p.fault != ""
	}
	h := fnv.New64a()
	fmt.Fprint(h, p.seed, name)
	return h.Sum64()%4 == 0
}

// weather decides what befalls whom, and remembers it for those who judge answers. It may be used concurrently.
type weather struct {
	mu      sync.Mutex // guards what follows
	phases  []phase    // the last of them is now
	freezes []span
}

// remembered is how many phases and freezes are kept: minutes, while no answer depends on more than the last ten seconds.
const remembered = 100

// run changes the weather until ctx ends.
func (w *weather) run(ctx context.Context) {
	random := rand.New(rand.NewPCG(2, 2))
	faults := []fault{throttled, failing, dropping, hanging, garbled, slow, denied, missing}
	for next := 0; ; next++ {
		if next%len(faults) == 0 {
			random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		}
		w.set(phase{})
		if !pause(ctx, between(random, time.Second, 3*time.Second)) {
			return
		}
		w.set(phase{fault: faults[next%len(faults)], all: random.IntN(3) == 0, seed: random.Uint64()})
		if !pause(ctx, between(random, 500*time.Millisecond, 4*time.Second)) {
			return
		}
	}
}

// set ends the present phase and begins p.
func (w *weather) set(p phase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if n := len(w.phases); n > 0 {
		w.phases[n-1].to = now
	}
	p.from = now
	w.phases = append(w.phases[max(0, len(w.phases)-remembered):], p)
}

// on returns what befalls name now.
func (w *weather) on(name string) fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.phases); n > 0 && w.phases[n-1].befalls(name) {
		return w.phases[n-1].fault
	}
	return ""
}

// was reports whether f befell name at some moment between two.
func (w *weather) was(f fault, name string, from, to time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.phases {
		if p.fault == f && p.befalls(name) && p.overlaps(from, to) {
			return true
		}
	}
	return false
}

// freeze stops the process for a while, as Lambda does.
func (w *weather) freeze(ctx context.Context, c *child, d time.Duration) error {
	w.mu.Lock()
	w.freezes = append(w.freezes[max(0, len(w.freezes)-remembered):], span{from: time.Now()})
	w.mu.Unlock()
	err := c.signal(syscall.SIGSTOP)
	pause(ctx, d)
	err = errors.Join(err, c.signal(syscall.SIGCONT))
	w.mu.Lock()
	w.freezes[len(w.freezes)-1].to = time.Now()
	w.mu.Unlock()
	return err
}

// landing bounds the time from when AWS made a value to when the cache had it, on a machine with much else to do.
const landing = time.Second

// underway is how long a value that AWS made at that moment may have been on its way. SIGSTOP does not stop the monotonic
// clock, so the program cannot see such a freeze, and counts the age of what it slept through from the thaw on.
func (w *weather) underway(made time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	longest := landing
	for _, f := range w.freezes {
		if f.overlaps(made, made.Add(landing)) {
			longest += longestFreeze
		}
	}
	return longest
}
