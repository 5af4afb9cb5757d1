package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// numbering is a Source whose values are numbered by fetch, "a#1", "a#2", and which now and then fails or panics.
type numbering struct {
	*testSource
	n atomic.Int64
}

func (s *numbering) Fetch(ctx context.Context, names []string, put func(string, *Value, error)) {
	for _, name := range names {
		n := s.n.Add(1)
		r := reply{body: fmt.Sprintf("%s#%d", name, n), after: time.Duration(rand.IntN(30)) * time.Millisecond}
		switch rand.IntN(16) {
		case 0:
			r = reply{err: ErrThrottled, after: r.after}
		case 1:
			r = reply{err: errUpstream}
		case 2:
			r = reply{err: ErrDenied}
		case 3:
			r = reply{hang: true}
		case 4:
			r = reply{panics: n}
		case 5:
			r = reply{forgets: true}
		}
		s.set(name, r)
	}
	s.testSource.Fetch(ctx, names, put)
}

// Readers, refreshers, warming, thaws and stats all at once, for the race detector; that no goroutine is left is what
// the bubble checks at its end. Each reader checks that what it gets is of the name it asked for, inside its windows,
// and never older than what it got before.
func TestHammer(t *testing.T) {
	const rounds = 400
	synctest.Test(t, func(t *testing.T) {
		var keys []*Key
		var names []string
		for i := range 6 {
			keys = append(keys, &Key{
				Name:         "key" + strconv.Itoa(i),
				TTL:          time.Duration(i) * 50 * time.Millisecond,
				StaleIfError: time.Duration(i%3) * time.Second,
				Timeout:      200 * time.Millisecond,
			})
			names = append(names, keys[i].Name)
		}
		clock := newHandClock()
		src := &numbering{testSource: newSource(t, keys...)}
		src.overlaps = true
		var told atomic.Uint64
		c := New(src, Options{
			StaleWhileRevalidate: 100 * time.Millisecond,
			StaleWait:            20 * time.Millisecond,
			NegativeTTL:          30 * time.Millisecond,
			Waiting:              NewWaiting(12),
			Report:               func(*Key, error) { told.Add(1) },
			Clock:                clock.now,
		})

		var all sync.WaitGroup
		reader := func(refresh bool) {
			seen := make(map[string]int)
			for range rounds {
				k := keys[rand.IntN(len(keys))]
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rand.IntN(300))*time.Millisecond)
				a, err := c.Get(ctx, k.Name, refresh)
				cancel()
				if err == nil {
					if at := checkAnswer(t, k, a, seen[k.Name]); at > 0 {
						seen[k.Name] = at
					}
				}
				time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
			}
		}
		for i := range 16 {
			all.Go(func() { reader(i%4 == 0) })
		}
		all.Go(func() {
			for range rounds / 4 {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				c.Warm(ctx, names)
				c.Warm(ctx, c.Due())
				cancel()
				time.Sleep(20 * time.Millisecond)
			}
		})
		all.Go(func() {
			for range rounds / 4 {
				time.Sleep(30 * time.Millisecond)
				clock.freeze(time.Duration(rand.IntN(2000)) * time.Millisecond)
				c.Thaw()
			}
		})
		all.Go(func() {
			for range rounds {
				c.Stats()
				time.Sleep(5 * time.Millisecond)
			}
		})
		all.Wait()

		wait(time.Second) // the last flights land
		s := c.Stats()
		if got := s.Errors.Missing + s.Errors.Denied + s.Errors.Throttled + s.Errors.Timeout + s.Errors.Upstream; got != told.Load() {
			t.Errorf("errors counted = %d, reported %d, want the same", got, told.Load())
		}
		src.mu.Lock()
		defer src.mu.Unlock()
		var calls uint64
		for _, n := range src.calls {
			calls += uint64(n)
		}
		if s.Fetches != calls {
			t.Errorf("fetches counted = %d, made %d, want the same", s.Fetches, calls)
		}
		if got := c.opts.Waiting.n.Load(); got != 0 {
			t.Errorf("places taken at the end = %d, want 0", got)
		}
	})
}

// checkAnswer gives the number of an answer's value, which must not be below last.
func checkAnswer(t *testing.T, k *Key, a Answer, last int) int {
	name, number, _ := strings.Cut(string(a.Value.Body), "#")
	n, err := strconv.Atoi(number)
	if name != k.Name || err != nil {
		t.Errorf("Get(%q) = %s, want a value of that name", k.Name, a.Value.Body)
	}
	if n < last {
		t.Errorf("Get(%q) = %s after number %d, want none older", k.Name, show(a, nil), last)
	}
	if a.Age < 0 || a.TTL != k.TTL-a.Age {
		t.Errorf("Get(%q) = %s, want an age of at least 0 and the TTL to match", k.Name, show(a, nil))
	}
	switch a.How {
	case Hit, RefreshLimited, RefreshFailed:
		if a.TTL <= 0 {
			t.Errorf("Get(%q) = %s, want a fresh value", k.Name, show(a, nil))
		}
	case StaleIfError, HeldOff, RefreshFailedExpired:
		if -a.TTL >= k.StaleIfError {
			t.Errorf("Get(%q) = %s, want a value inside stale_if_error", k.Name, show(a, nil))
		}
	case Revalidating:
		if -a.TTL >= 100*time.Millisecond {
			t.Errorf("Get(%q) = %s, want a value inside stale_while_revalidate", k.Name, show(a, nil))
		}
	}
	return n
}
