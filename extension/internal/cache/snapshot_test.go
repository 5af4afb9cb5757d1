package cache

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// String shows what is not zero.
func (s State) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", s.Status)
	add := func(name string, v any, zero bool) {
		if !zero {
			fmt.Fprintf(&b, " %s=%v", name, v)
		}
	}
	add("fetching", s.Fetching, !s.Fetching)
	if s.Holds {
		fmt.Fprintf(&b, " age=%v size=%d stale-if-error=%v", s.Age, s.Size, s.StaleIfError)
	}
	add("hold-off", s.HoldOff.Round(time.Second), s.HoldOff == 0)
	if s.Failure != "" {
		fmt.Fprintf(&b, " %s=%v", s.Failure, s.Failed)
	}
	add("reads", s.Reads, s.Reads == 0)
	add("fetches", s.Fetches, s.Fetches == 0)
	add("took", s.Took, s.Took == 0)
	add("spared", s.Spared, s.Spared == 0)
	add("saved", s.Saved, s.Saved == 0)
	return b.String()
}

// wantState compares the state of the only key.
func wantState(t *testing.T, c *Cache, want string) {
	t.Helper()
	synctest.Wait()
	if got := c.Snapshot()[0].String(); got != want {
		t.Errorf("Snapshot() = %s\nwant %s", got, want)
	}
}

func TestSnapshotOfAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, revalidate())
		wantState(t, c, "not read yet")

		src.set("a", reply{body: "four", after: 100 * time.Millisecond})
		first, second := start(t, c, "a", false), start(t, c, "a", false)
		wantState(t, c, "not read yet fetching=true fetches=1")
		first()
		second()
		wantState(t, c, "fresh age=0s size=4 stale-if-error=1h0m0s reads=2 fetches=1 took=100ms spared=1")

		wait(20 * time.Second)
		for range 3 {
			c.Get(t.Context(), "a", false)
		}
		wantState(t, c, "fresh age=20s size=4 stale-if-error=1h0m0s reads=5 fetches=1 took=100ms spared=4 saved=300ms")

		src.set("a", reply{body: "seven..", after: time.Second})
		wait(41 * time.Second)
		wantState(t, c, "stale age=1m1s size=4 stale-if-error=59m59s reads=5 fetches=1 took=100ms spared=4 saved=300ms")
		c.Get(t.Context(), "a", false)
		wantState(t, c, "stale fetching=true age=1m1s size=4 stale-if-error=59m59s reads=6 fetches=2 took=100ms spared=4 saved=400ms")
		wait(time.Second)
		c.Get(t.Context(), "a", false) // saves what the fetch of this value took
		wantState(t, c, "fresh age=0s size=7 stale-if-error=1h0m0s reads=7 fetches=2 took=1s spared=5 saved=1.4s")

		wait(time.Minute + time.Hour + 1)
		wantState(t, c, "expired reads=7 fetches=2 took=1s spared=5 saved=1.4s")
	})
}

func TestSnapshotOfRefusals(t *testing.T) {
	for _, err := range []error{ErrMissing, ErrDenied} {
		t.Run(class(err), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := newSource(t, plain("a", time.Minute))
				src.set("a", reply{err: err})
				c := New(src, defaults())
				for range 3 {
					c.Get(t.Context(), "a", false)
				}
				wantState(t, c, fmt.Sprintf("%s %[1]s=0s reads=3 fetches=1 spared=2", class(err)))
				wait(time.Minute) // it is what AWS said last, though the next read asks again
				wantState(t, c, fmt.Sprintf("%s %[1]s=1m0s reads=3 fetches=1 spared=2", class(err)))

				src.set("a", reply{err: ErrThrottled})
				c.Get(t.Context(), "a", false)
				wantState(t, c, "failed throttled=0s reads=4 fetches=2 spared=2")
				src.set("a", reply{body: "v1"})
				c.Get(t.Context(), "a", false)
				wantState(t, c, "fresh age=0s size=2 stale-if-error=1h0m0s throttled=0s reads=5 fetches=3 spared=2")
				src.set("a", reply{err: err})
				wait(time.Second)
				c.Get(t.Context(), "a", true)
				wantState(t, c, fmt.Sprintf("%s %[1]s=0s reads=6 fetches=4 spared=2", class(err)))
			})
		})
	}
}

func TestSnapshotOfFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, defaults(), time.Second)
		src.set("a", reply{err: ErrThrottled})
		c.Get(t.Context(), "a", false)
		wantState(t, c, "stale age=1m1s size=2 stale-if-error=59m59s throttled=0s reads=2 fetches=2")
		for range 8 {
			wait(time.Minute)
			c.Get(t.Context(), "a", false)
		}
		wait(10 * time.Second)
		got := c.Snapshot()[0]
		if got.Status != StatusHeldOff || got.HoldOff < 14*time.Second || got.HoldOff > 26*time.Second || !got.Holds {
			t.Errorf("Snapshot() = %s, want held off for 14s to 26s with a value", got)
		}
		wait(time.Minute)
		wantState(t, c, "stale age=10m11s size=2 stale-if-error=50m49s throttled=1m10s reads=10 fetches=10")
		wait(time.Hour)
		wantState(t, c, "failed throttled=1h1m10s reads=10 fetches=10")
	})
}

func TestSnapshotOfAFailureWithoutAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{hang: true})
		c := New(src, defaults())
		c.Get(t.Context(), "a", false)
		wantState(t, c, "failed timeout=0s reads=1 fetches=1")
	})
}

// What is remembered is what readers get, though asking anew has failed.
func TestSnapshotOfARememberedRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{err: ErrMissing})
		c := New(src, defaults())
		c.Get(t.Context(), "a", false)
		wait(time.Second)
		src.set("a", reply{err: errUpstream})
		c.Get(t.Context(), "a", true)
		wantState(t, c, "missing upstream=0s reads=2 fetches=2")
		wait(9 * time.Second)
		wantState(t, c, "failed upstream=9s reads=2 fetches=2")
	})
}

func TestSnapshotWithinStaleWhileRevalidateAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(newSource(t, &Key{Name: "a", TTL: time.Minute, Timeout: time.Second}), revalidate())
		c.Get(t.Context(), "a", false)
		wait(90*time.Second - 1)
		wantState(t, c, "stale age=1m29.999999999s size=2 stale-if-error=0s reads=1 fetches=1")
		wait(2)
		wantState(t, c, "expired reads=1 fetches=1")
	})
}

func TestSnapshotWithTTLZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", 0))
		c := New(src, defaults())
		c.Get(t.Context(), "a", false)
		wantState(t, c, "uncached age=0s size=2 stale-if-error=1h0m0s reads=1 fetches=1")
		src.set("a", reply{err: errUpstream})
		wait(time.Second)
		c.Get(t.Context(), "a", false)
		wantState(t, c, "stale age=1s size=2 stale-if-error=59m59s upstream=0s reads=2 fetches=2")
	})
}

// A snapshot is no read, and tells of each key in the order of config.yaml.
func TestSnapshotStartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("b", time.Minute), plain("a", time.Minute))
		src.keys[1].Line = 12
		c := New(src, defaults())
		c.Get(t.Context(), "a", false)
		wait(time.Minute)
		before := c.Stats()
		all := c.Snapshot()
		synctest.Wait()
		if len(all) != 2 || all[0].Name != "b" || all[1].Name != "a" || all[1].Line != 12 || all[1].TTL != time.Minute {
			t.Errorf("Snapshot() = %+v, want b, then a of line 12", all)
		}
		if got := c.Stats(); got != before {
			t.Errorf("Stats() after Snapshot() = %+v, want %+v", got, before)
		}
		src.wantCalls("a", 1)
		src.wantCalls("b", 0)
	})
}
