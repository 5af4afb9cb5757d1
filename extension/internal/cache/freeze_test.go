package cache

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// handClock is the bubble's clock with a wall clock that can be moved by hand, as a freeze and a step of the clock do.
type handClock struct {
	start time.Time
	gap   atomic.Int64 // nanoseconds by which the wall clock is ahead
}

func newHandClock() *handClock { return &handClock{start: time.Now()} }

func (k *handClock) now() Instant {
	now := time.Now()
	return Instant{Wall: now.Round(0).Add(time.Duration(k.gap.Load())), Mono: now.Sub(k.start)}
}

// freeze lets d pass on the wall clock alone; a negative d sets it back.
func (k *handClock) freeze(d time.Duration) { k.gap.Add(int64(d)) }

// frozen returns a cache on a hand clock, whose fetches may overlap where the first of two was dropped.
func frozen(t *testing.T, opts Options, keys ...*Key) (*Cache, *testSource, *handClock) {
	clock := newHandClock()
	opts.Clock = clock.now
	src := newSource(t, keys...)
	src.overlaps = true
	return New(src, opts), src, clock
}

func TestSlept(t *testing.T) {
	start := Instant{Wall: time.Date(2026, 3, 29, 1, 59, 0, 0, time.UTC), Mono: time.Hour}
	for _, tt := range []struct {
		name       string
		wall, mono time.Duration // gone by
		want       bool
	}{
		{"no time at all", 0, 0, false},
		{"both clocks went on", time.Hour, time.Hour, false},
		{"a second apart", time.Minute + time.Second, time.Minute, false},
		{"more than a second apart", time.Minute + time.Second + 1, time.Minute, true},
		{"only the wall clock went on", time.Hour, 0, true},
		{"a day", 24*time.Hour + time.Millisecond, time.Millisecond, true},
		{"wall clock set back", -time.Hour, time.Minute, false},
		{"wall clock slowed down", time.Minute - 2*time.Second, time.Minute, false},
	} {
		now := Instant{Wall: start.Wall.Add(tt.wall), Mono: start.Mono + tt.mono}
		if got := Slept(start, now); got != tt.want {
			t.Errorf("%s: Slept(%v later, %v on the monotonic clock) = %t, want %t", tt.name, tt.wall, tt.mono, got, tt.want)
		}
	}
}

func TestClockTellsBothTimesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := Clock()
		wait(time.Hour)
		got := now()
		if want := time.Now().Round(0); got.Wall != want || got.Mono != time.Hour {
			t.Errorf("Clock()() = %v and %v, want %v without a monotonic reading, and %v", got.Wall, got.Mono, want, time.Hour)
		}
	})
}

// In a bubble no time has a monotonic reading.
func TestClockTellsTheWallClockAlone(t *testing.T) {
	if got := Clock()().Wall; got != got.Round(0) {
		t.Errorf("Clock()().Wall = %v, want no monotonic reading", got)
	}
}

func TestAgesAreToldByTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, clock := frozen(t, revalidate(), plain("a", time.Minute))
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		clock.freeze(27 * time.Second)
		wait(3 * time.Second)
		read(t, c, "a", "hit v1 age=30s ttl=30s")
		clock.freeze(33 * time.Second)
		read(t, c, "a", "revalidating v1 age=1m3s ttl=-3s")
		synctest.Wait()
		clock.freeze(2 * time.Hour)
		read(t, c, "a", "expired v1 age=0s ttl=1m0s")
	})
}

func TestStaleIfErrorIsToldByTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src, clock := frozen(t, defaults(), plain("a", time.Minute))
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		src.set("a", reply{err: errUpstream})
		clock.freeze(time.Hour)
		read(t, c, "a", "stale-if-error v1 age=1h0m0s ttl=-59m0s")
		clock.freeze(time.Minute)
		read(t, c, "a", "upstream retry-after")
	})
}

func TestDueIsToldByTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, clock := frozen(t, defaults(), plain("a", time.Minute))
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		clock.freeze(54 * time.Second)
		if got := c.Due(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("Due() = %q, want a", got)
		}
		wantFailures(t, c.Warm(bound(t, time.Second), c.Due()))
		read(t, c, "a", "hit v1 age=0s ttl=1m0s")
	})
}

func TestFreezeEndsWhatIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src, clock := frozen(t, defaults(), plain("gone", time.Minute), plain("bad", time.Minute))
		src.set("gone", reply{err: ErrMissing})
		src.set("bad", reply{err: ErrThrottled})
		read(t, c, "gone", "missing")
		read(t, c, "bad", "throttled")
		read(t, c, "bad", "throttled retry-after")
		clock.freeze(10 * time.Second)
		src.set("gone", reply{body: "v1"})
		src.set("bad", reply{body: "v1"})
		read(t, c, "gone", "missed v1 age=0s ttl=1m0s")
		read(t, c, "bad", "missed v1 age=0s ttl=1m0s")
	})
}

// A flight that was up when the process froze waits on a connection that is likely dead. Whoever waits for it starts a
// new one as soon as the freeze is noticed, and does not sit out the timeout of the old one.
func TestFlightThatSleptIsDropped(t *testing.T) {
	for _, tt := range []struct {
		name  string
		input func(*testing.T, *Cache) // what notices the freeze
	}{
		{"on thaw", func(_ *testing.T, c *Cache) { c.Thaw() }},
		{"by another reader", func(t *testing.T, c *Cache) { start(t, c, "a", false) }},
		{"by a refresh", func(t *testing.T, c *Cache) { start(t, c, "a", true) }},
		{"by warming", func(t *testing.T, c *Cache) {
			ctx := bound(t, time.Minute)
			go c.Warm(ctx, []string{"a"})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, src, clock := frozen(t, defaults(), plain("a", time.Minute))
				src.set("a", reply{hang: true})
				first, second := start(t, c, "a", false), start(t, c, "a", false)
				wait(100 * time.Millisecond)
				src.set("a", reply{body: "v2", after: 50 * time.Millisecond})
				clock.freeze(time.Minute)
				took(t, 50*time.Millisecond, func() {
					tt.input(t, c)
					for _, answer := range []string{first(), second()} {
						if answer != "missed v2 age=0s ttl=1m0s" && answer != "missed v2 age=0s ttl=1m0s collapsed" {
							t.Errorf("reader got %s, want v2", answer)
						}
					}
				})
				src.wantCalls("a", 2)
			})
		})
	}
}

func TestFlightThatSleptIsEndedUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src, clock := frozen(t, revalidate(), plain("a", time.Minute))
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		wait(time.Minute)
		src.set("a", reply{hang: true})
		read(t, c, "a", "revalidating v1 age=1m0s ttl=0s")
		synctest.Wait()
		clock.freeze(2 * time.Second)
		took(t, 0, func() {
			c.Thaw()
			synctest.Wait()
		})
		src.mu.Lock()
		defer src.mu.Unlock()
		if src.flying["a"] != 0 || src.ended["a"] == nil {
			t.Errorf("fetches up after the thaw = %d, the last ended with %v, want 0 and an end", src.flying["a"], src.ended["a"])
		}
	})
}

// Nothing noticed the freeze before the old answer came out of a buffer: it is of unknown age.
func TestAnswerThatSleptIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src, clock := frozen(t, defaults(), plain("a", time.Minute))
		src.set("a", reply{body: "old", after: time.Second})
		answer := start(t, c, "a", false)
		clock.freeze(time.Hour)
		src.set("a", reply{body: "new"})
		want(t, "reader", answer(), "missed new age=0s ttl=1m0s")
		src.wantCalls("a", 2)
	})
}

// A batch is not ended for one of its names, so that its answer may come after that of the flight that took its place.
func TestLateAnswerOfADroppedFlightIsNotStored(t *testing.T) {
	for _, late := range []reply{
		{body: "old", after: time.Second},
		{err: ErrMissing, after: time.Second},
		{err: ErrThrottled, after: time.Second},
		{forgets: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, src, clock := frozen(t, defaults(), plain("a", time.Minute), plain("b", time.Minute))
			src.set("a", late)
			src.set("b", reply{hang: true})
			ctx := bound(t, time.Minute)
			go c.Warm(ctx, []string{"a", "b"})
			synctest.Wait()
			clock.freeze(time.Minute)
			c.Thaw()
			src.set("a", reply{body: "new"})
			want(t, "after the thaw", show(c.Get(t.Context(), "a", true)), "requested new age=0s ttl=1m0s")
			wait(time.Minute - time.Second)
			read(t, c, "a", "hit new age=59s ttl=1s")
			src.wantCalls("a", 2)
		})
	}
}

// That a flight slept says nothing about AWS: it counts neither as a failure nor for the floor of a refresh.
func TestFlightThatSleptLeavesNoTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told reports
		opts := defaults()
		opts.Report = told.add
		c, src, clock := frozen(t, opts, plain("a", time.Minute))
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		src.set("a", reply{hang: true})
		for range 3 {
			wait(time.Second)
			refreshed := make(chan string, 1)
			ctx := bound(t, time.Millisecond)
			go func() { refreshed <- show(c.Get(ctx, "a", true)) }()
			<-refreshed
			clock.freeze(2 * time.Second)
			c.Thaw()
		}
		src.set("a", reply{body: "v2"})
		refresh(t, c, "a", "requested v2 age=0s ttl=1m0s")
		told.want(t)
		if got := c.Stats().Errors; got != (Errors{}) {
			t.Errorf("errors = %+v, want none", got)
		}
	})
}

func TestShortGapIsNoFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src, clock := frozen(t, defaults(), plain("a", time.Minute))
		src.set("a", reply{body: "v1", after: time.Second})
		answer := start(t, c, "a", false)
		clock.freeze(time.Second)
		c.Thaw()
		want(t, "reader", answer(), "missed v1 age=0s ttl=1m0s")
		src.wantCalls("a", 1)
	})
}

func TestThawLeavesTheRestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src, clock := frozen(t, defaults(), plain("a", time.Minute), plain("gone", time.Minute), plain("later", time.Minute))
		src.set("gone", reply{err: ErrMissing})
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		read(t, c, "gone", "missing")
		clock.freeze(5 * time.Second)
		src.set("later", reply{body: "v1", after: time.Second})
		later := start(t, c, "later", false) // began after the freeze
		c.Thaw()
		read(t, c, "a", "hit v1 age=5s ttl=55s")
		read(t, c, "gone", "missing")
		want(t, "later", later(), "missed v1 age=0s ttl=1m0s")
		src.wantCalls("later", 1)
	})
}

// What prefetch waits for and a freeze ends has not landed.
func TestWarmThroughAFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src, clock := frozen(t, defaults(), plain("a", time.Minute), plain("b", time.Minute))
		src.set("b", reply{hang: true})
		ctx := bound(t, 5*time.Second)
		warmed := make(chan []FetchFailure, 1)
		go func() { warmed <- c.Warm(ctx, []string{"a", "b"}) }()
		synctest.Wait()
		clock.freeze(time.Minute)
		took(t, 0, func() {
			c.Thaw()
			wantFailures(t, <-warmed, "b: timeout")
		})
		src.set("b", reply{body: "v1"})
		read(t, c, "b", "missed v1 age=0s ttl=1m0s")
	})
}

func TestNegativeAgesAreClamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, clock := frozen(t, defaults(), plain("a", time.Minute), plain("zero", 0))
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		read(t, c, "zero", "missed v1 age=0s ttl=0s")
		clock.freeze(-time.Hour)
		read(t, c, "a", "hit v1 age=0s ttl=1m0s")
		read(t, c, "zero", "expired v1 age=0s ttl=0s")
	})
}

// A clock set back must not prolong what keeps readers from AWS.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src, clock := frozen(t, defaults(), plain("held", time.Minute), plain("gone", time.Minute), plain("floor", time.Minute))
		src.set("held", reply{err: ErrThrottled})
		src.set("gone", reply{err: ErrMissing})
		read(t, c, "held", "throttled")
		read(t, c, "held", "throttled retry-after")
		read(t, c, "gone", "missing")
		read(t, c, "floor", "missed v1 age=0s ttl=1m0s")
		refresh(t, c, "floor", "refresh-limited v1 age=0s ttl=1m0s")
		clock.freeze(-time.Millisecond)
		src.set("held", reply{body: "v1"})
		src.set("gone", reply{body: "v1"})
		read(t, c, "held", "missed v1 age=0s ttl=1m0s")
		read(t, c, "gone", "missed v1 age=0s ttl=1m0s")
		refresh(t, c, "floor", "requested v1 age=0s ttl=1m0s")
	})
}

// The value becomes fresh again while its reader waits for a flight that fails.
func TestClockSetBackDuringAFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src, clock := frozen(t, defaults(), plain("a", time.Minute))
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		wait(time.Minute)
		src.set("a", reply{err: errUpstream, after: 100 * time.Millisecond})
		answer := start(t, c, "a", false)
		clock.freeze(-time.Hour)
		want(t, "reader", answer(), "hit v1 age=0s ttl=1m0s")
	})
}
