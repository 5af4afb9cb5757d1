package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// step is one thing that happens. Its text is what a failing test prints.
type step struct {
	what string
	key  int
	arg  string        // of weather
	d    time.Duration // of all that takes or moves time
	thaw bool          // of readers: the freeze is noticed at once
}

func (s step) String() string {
	text := s.what
	switch s.what {
	case "read", "refresh", "rotate", "weather":
		text += fmt.Sprintf(" key%d %s", s.key, s.arg)
	}
	if s.d != 0 {
		text += fmt.Sprintf(" %v", s.d)
	}
	if s.thaw {
		text += " thaw"
	}
	return text
}

// warmLimit is no sum of the other times in these tests, so that no two things happen at one moment, whose order would
// be anybody's guess. Steps that let time pass add some odd nanoseconds for the same reason.
const warmLimit = 809 * time.Millisecond

func randomSteps(r *rand.Rand, w world) []step {
	pick := func(ds ...time.Duration) time.Duration { return ds[r.IntN(len(ds))] }
	const ms = time.Millisecond
	steps := make([]step, 40)
	for i := range steps {
		s := step{key: r.IntN(len(modelKeys()))}
		switch n := r.IntN(100); {
		case n < 36:
			s.what = "read"
		case n < 46:
			s.what = "refresh"
		case n < 50: // frozen while it waits, if it does
			s.what = []string{"read", "refresh"}[r.IntN(2)]
			s.d, s.thaw = pick(500*ms, 3*time.Second, 40*time.Second, 2*time.Hour), r.IntN(2) == 0
		case n < 55:
			s.what = "rotate"
		case n < 68:
			s.what, s.arg = "weather", []string{"ok", "ok", "missing", "denied", "throttled", "upstream", "hang"}[r.IntN(7)]
		case n < 72:
			s.what, s.d = "latency", pick(37*ms, 713*ms)
			if w.staleWait > 0 && r.IntN(3) == 0 {
				s.d = 0
			}
		case n < 88:
			s.what = "advance"
			s.d = pick(10*ms, 150*ms, 400*ms, 900*ms, 1100*ms, 5*time.Second, 11*time.Second, 25*time.Second,
				55*time.Second, 70*time.Second, 10*time.Minute, 2*time.Hour) + time.Duration(i+1)*1009
		case n < 91:
			s.what, s.d = "freeze", pick(500*ms, 3*time.Second, 40*time.Second, 90*time.Second, 2*time.Hour)
		case n < 92:
			s.what, s.d = "freeze", -pick(20*ms, 5*time.Second, time.Hour)
		case n < 93:
			s.what = "thaw"
		case n < 95:
			s.what = "prefetch"
		default:
			s.what = "invoke"
		}
		steps[i] = s
	}
	return steps
}

// modelKeys returns keys that differ in everything that matters.
func modelKeys() []*Key {
	return []*Key{
		{Name: "key0", TTL: time.Minute, StaleIfError: time.Hour, Timeout: 2 * time.Second},
		{Name: "key1", TTL: 0, StaleIfError: time.Minute, Timeout: 2 * time.Second},
		{Name: "key2", TTL: 20 * time.Second, StaleIfError: 0, Timeout: 2 * time.Second},
		{Name: "key3", TTL: 20 * time.Second, StaleIfError: 10 * time.Second, Timeout: 3 * time.Second},
		{Name: "key4", TTL: 20 * time.Second, StaleIfError: 10 * time.Second, Timeout: 3 * time.Second, Open: true},
	}
}

// play runs steps on a Cache and on the model and returns the first difference, or "".
func play(t *testing.T, w world, steps []step) (difference string) {
	synctest.Test(t, func(t *testing.T) {
		clock := newHandClock()
		opts := Options{StaleWhileRevalidate: w.swr, StaleWait: w.staleWait, NegativeTTL: w.negativeTTL, Clock: clock.now}
		if w.full {
			opts.Waiting = NewWaiting(0)
		}
		src := newSource(t, modelKeys()...)
		src.overlaps = true
		p := &player{t: t, clock: clock, src: src, c: New(src, opts), m: &model{world: w}}
		for _, k := range modelKeys() {
			p.m.keys = append(p.m.keys, &modelKey{Key: *k, weather: "ok"})
		}
		p.setReplies()
		for i, s := range steps {
			p.m.pastJitter()
			p.catchUp()
			got, want := p.step(s)
			synctest.Wait()
			p.m.advance(0)
			got, want = got+p.sums(), want+p.modelSums()
			if got != want {
				difference = fmt.Sprintf("step %d: %s\n got: %s\nwant: %s", i, s, got, want)
				break
			}
		}
		wait(time.Minute) // all flights land
	})
	return difference
}

// player takes a Cache and the model through the same steps.
type player struct {
	t     *testing.T
	clock *handClock
	src   *testSource
	c     *Cache
	m     *model
}

// catchUp lets the time pass that has passed in the model.
func (p *player) catchUp() { wait(p.m.mono - time.Since(p.clock.start)) }

// setReplies gives AWS the weather, versions and latency of the model.
func (p *player) setReplies() {
	for _, k := range p.m.keys {
		r := reply{after: p.m.latency}
		switch k.weather {
		case "ok":
			r.body = fmt.Sprintf("v%d", k.version)
		case "hang":
			r.hang = true
		default:
			r.err = errorOf(k.weather)
		}
		p.src.set(k.Name, r)
	}
}

func errorOf(name string) error {
	for _, c := range classes {
		if c.name == name {
			return c.err
		}
	}
	return errUpstream
}

// step does s on both sides and returns what either answered.
func (p *player) step(s step) (got, want string) {
	k := p.m.keys[s.key]
	switch s.what {
	case "read", "refresh":
		frozen := func() {
			p.m.gap += s.d
			if s.thaw {
				p.m.thaw()
			}
		}
		answer := start(p.t, p.c, k.Name, s.what == "refresh")
		p.clock.freeze(s.d)
		if s.thaw {
			p.c.Thaw()
		}
		return answer(), p.m.get(k, s.what == "refresh", frozen)
	case "rotate":
		k.version++
		p.setReplies()
	case "weather":
		k.weather = s.arg
		p.setReplies()
	case "latency":
		p.m.latency = s.d
		p.setReplies()
	case "advance":
		p.m.advance(s.d)
		p.catchUp()
	case "freeze":
		p.m.gap += s.d
		p.clock.freeze(s.d)
	case "thaw":
		p.m.thaw()
		p.c.Thaw()
	case "prefetch":
		var names []string
		for _, k := range p.src.keys {
			names = append(names, k.Name)
		}
		return p.warm(names), p.m.warm(p.m.declared(), warmLimit)
	case "invoke":
		p.m.thaw()
		p.c.Thaw()
		due := p.m.due()
		var names []string
		for _, k := range due {
			names = append(names, k.Name)
		}
		if got := p.c.Due(); !slices.Equal(got, names) {
			return fmt.Sprintf("due %q", got), fmt.Sprintf("due %q", names)
		}
		return p.warm(names), p.m.warm(due, warmLimit)
	}
	return "", ""
}

func (p *player) warm(names []string) string {
	ctx, cancel := context.WithTimeout(p.t.Context(), warmLimit)
	defer cancel()
	var failed []string
	for _, f := range p.c.Warm(ctx, names) {
		failed = append(failed, f.Key.Name+": "+Class(f.Err))
	}
	return strings.Join(failed, ", ")
}

// sums tells all that can be seen beside an answer: the time, the calls and the counters.
func (p *player) sums() string {
	p.src.mu.Lock()
	var calls []int
	for _, k := range p.m.keys {
		calls = append(calls, p.src.calls[k.Name])
	}
	p.src.mu.Unlock()
	s := p.c.Stats()
	s.Entries, s.Bytes = 0, 0
	return fmt.Sprintf(" | at %v, calls %v, %+v", time.Since(p.clock.start), calls, s)
}

func (p *player) modelSums() string {
	p.m.expire()
	var calls []int
	for _, k := range p.m.keys {
		calls = append(calls, k.calls)
	}
	return fmt.Sprintf(" | at %v, calls %v, %+v", p.m.mono, calls, p.m.stats)
}

// shrink leaves out steps, one at a time, for as long as there is a difference without them.
func shrink(t *testing.T, w world, steps []step) []step {
	for i := 0; i < len(steps); {
		if fewer := slices.Delete(slices.Clone(steps), i, i+1); play(t, w, fewer) != "" {
			steps, i = fewer, 0
		} else {
			i++
		}
	}
	return steps
}

// TestModel holds the cache to the model over thousands of random sequences of reads, refreshes, rotations, faults,
// freezes, prefetches and INVOKEs: answers, ages, durations, calls and counters.
func TestModel(t *testing.T) {
	sequences := 2500
	if testing.Short() {
		sequences = 250
	}
	for seed := range uint64(sequences) {
		r := rand.New(rand.NewPCG(seed, 0))
		w := world{
			swr:         []time.Duration{0, 30 * time.Second}[r.IntN(2)],
			staleWait:   []time.Duration{0, 500 * time.Millisecond, 500 * time.Millisecond}[r.IntN(3)],
			negativeTTL: []time.Duration{0, 10 * time.Second, 10 * time.Second}[r.IntN(3)],
			full:        r.IntN(10) == 0,
			latency:     37 * time.Millisecond,
		}
		steps := randomSteps(r, w)
		if play(t, w, steps) == "" {
			if t.Failed() {
				t.Fatalf("seed %d in %+v broke the contract of Source: %v", seed, w, steps)
			}
			continue
		}
		steps = shrink(t, w, steps)
		t.Errorf("seed %d in %+v, shrunk to %d steps:", seed, w, len(steps))
		for i, s := range steps {
			t.Logf("%3d %s", i, s)
		}
		t.Fatal(play(t, w, steps))
	}
}
