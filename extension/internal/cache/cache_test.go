package cache

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestUndeclaredMakesNoCall(t *testing.T) {
	src := newSource(t, plain("a", time.Minute))
	c := New(src, defaults())
	for _, name := range []string{"", "b", "A", "a/b"} {
		read(t, c, name, "undeclared")
		refresh(t, c, name, "undeclared")
	}
	if len(src.batches) != 0 {
		t.Errorf("calls = %q, want none", src.batches)
	}
}

func TestNewMakesNoCall(t *testing.T) {
	src := newSource(t, plain("a", time.Minute))
	c := New(src, defaults())
	if got := c.Stats(); got != (Stats{}) || len(src.batches) != 0 {
		t.Errorf("New: stats = %+v, calls = %q, want none", got, src.batches)
	}
}

func TestParallelColdReadersShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{body: "v1", after: 50 * time.Millisecond})
		c := New(src, defaults())
		got := make(map[string]int)
		var mu sync.Mutex // guards got
		var readers sync.WaitGroup
		for range 200 {
			readers.Go(func() {
				answer := show(c.Get(t.Context(), "a", false))
				mu.Lock()
				defer mu.Unlock()
				got[answer]++
			})
		}
		took(t, 50*time.Millisecond, readers.Wait)
		if got["missed v1 age=0s ttl=1m0s"] != 1 || got["missed v1 age=0s ttl=1m0s collapsed"] != 199 {
			t.Errorf("answers = %v, want 1 missed and 199 collapsed", got)
		}
		src.wantCalls("a", 1)
	})
}

func TestFreshValueIsAHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, defaults())
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		src.set("a", reply{body: "v2"})
		read(t, c, "a", "hit v1 age=0s ttl=1m0s")
		wait(27 * time.Second)
		read(t, c, "a", "hit v1 age=27s ttl=33s")
		wait(33*time.Second - 1)
		read(t, c, "a", "hit v1 age=59.999999999s ttl=1ns")
		src.wantCalls("a", 1)
	})
}

func TestExpiredValueIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, defaults())
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		src.set("a", reply{body: "v2", after: 100 * time.Millisecond})
		wait(time.Minute)
		took(t, 100*time.Millisecond, func() { read(t, c, "a", "expired v2 age=0s ttl=1m0s") })
		wait(2 * time.Hour) // past the hard limit: memory forgot the value, the key knows that it had one
		read(t, c, "a", "expired v2 age=0s ttl=1m0s")
		src.wantCalls("a", 3)
	})
}

func TestAgeCountsFromTheLandingOfTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{body: "v1", after: time.Second})
		c := New(src, defaults())
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		wait(time.Second)
		read(t, c, "a", "hit v1 age=1s ttl=59s")
	})
}

func TestRefreshFetchesAFreshValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, defaults())
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		src.set("a", reply{body: "v2"})
		wait(time.Second)
		refresh(t, c, "a", "requested v2 age=0s ttl=1m0s")
		wait(3 * time.Second)
		read(t, c, "a", "hit v2 age=3s ttl=57s")
	})
}

func TestRefreshOfNothingIsRequested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, defaults())
		refresh(t, c, "a", "requested v1 age=0s ttl=1m0s")
	})
}

// An empty value is a value.
func TestEmptyValueIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{})
		c := New(src, defaults())
		read(t, c, "a", "missed  age=0s ttl=1m0s")
		read(t, c, "a", "hit  age=0s ttl=1m0s")
		src.wantCalls("a", 1)
	})
}

func TestRefusalIsRemembered(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"missing", ErrMissing, "missing"},
		{"denied", ErrDenied, "denied"},
		{"wrapped", errors.Join(errors.New("GetParameter"), ErrMissing), "missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := newSource(t, plain("a", time.Minute))
				src.set("a", reply{err: tt.err})
				c := New(src, defaults())
				read(t, c, "a", tt.want)
				src.set("a", reply{body: "v1"})
				wait(10*time.Second - 1)
				read(t, c, "a", tt.want)
				src.wantCalls("a", 1)
				wait(1)
				read(t, c, "a", "missed v1 age=0s ttl=1m0s")
				src.wantCalls("a", 2)
			})
		})
	}
}

func TestRefusalIsNotRememberedWithoutNegativeTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{err: ErrMissing})
		c := New(src, Options{})
		read(t, c, "a", "missing")
		read(t, c, "a", "missing")
		src.wantCalls("a", 2)
	})
}

func TestRefusalIsNotRememberedWithTTLZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", 0))
		src.set("a", reply{err: ErrDenied})
		c := New(src, defaults())
		read(t, c, "a", "denied")
		read(t, c, "a", "denied")
		src.wantCalls("a", 2)
	})
}

func TestValueEndsARememberedRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", 2*time.Second))
		src.set("a", reply{err: ErrMissing})
		c := New(src, defaults())
		read(t, c, "a", "missing")
		wait(time.Second)
		src.set("a", reply{body: "v1"})
		refresh(t, c, "a", "requested v1 age=0s ttl=2s")
		wait(2 * time.Second) // expired, and still within the negative TTL of the old refusal
		read(t, c, "a", "expired v1 age=0s ttl=2s")
	})
}

// A failure says nothing about what AWS holds, so it leaves what is known of that alone.
func TestFailureKeepsARememberedRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{err: ErrMissing})
		c := New(src, defaults())
		read(t, c, "a", "missing")
		wait(time.Second)
		src.set("a", reply{err: errUpstream})
		refresh(t, c, "a", "upstream")
		read(t, c, "a", "missing")
		src.wantCalls("a", 2)
	})
}

// The windows are those of the key where it has its own: two keys of one cache differ in everything.
func TestKeysHaveTheirOwnWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		short := &Key{Name: "short", TTL: 10 * time.Second, StaleIfError: 10 * time.Second, Timeout: time.Second}
		long := &Key{Name: "long", TTL: time.Minute, StaleIfError: time.Hour, Timeout: 3 * time.Second}
		src := newSource(t, short, long)
		c := New(src, Options{})
		read(t, c, "short", "missed v1 age=0s ttl=10s")
		read(t, c, "long", "missed v1 age=0s ttl=1m0s")
		src.set("short", reply{hang: true})
		src.set("long", reply{hang: true})
		wait(18 * time.Second)
		took(t, time.Second, func() { refresh(t, c, "short", "refresh-failed-expired v1 age=19s ttl=-9s") })
		took(t, 3*time.Second, func() { refresh(t, c, "long", "refresh-failed v1 age=22s ttl=38s") })
		took(t, time.Second, func() { read(t, c, "short", "timeout retry-after") })
	})
}

func TestTTLZeroAsksEveryTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", 0))
		opts := defaults()
		opts.StaleWhileRevalidate = time.Minute // does not apply
		c := New(src, opts)
		read(t, c, "a", "missed v1 age=0s ttl=0s")
		src.set("a", reply{body: "v2"})
		read(t, c, "a", "expired v2 age=0s ttl=0s")
		wait(time.Second)
		read(t, c, "a", "expired v2 age=0s ttl=0s")
		refresh(t, c, "a", "expired v2 age=0s ttl=0s") // within the floor: what any read does
		wait(time.Second)
		refresh(t, c, "a", "requested v2 age=0s ttl=0s")
		src.wantCalls("a", 5)
	})
}

func TestTTLZeroIsCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", 0))
		src.set("a", reply{body: "v1", after: time.Second})
		c := New(src, defaults())
		first := start(t, c, "a", false)
		second := start(t, c, "a", false)
		want(t, "first", first(), "missed v1 age=0s ttl=0s")
		want(t, "second", second(), "missed v1 age=0s ttl=0s collapsed")
		src.wantCalls("a", 1)
	})
}

// With a TTL of 0 stale_if_error holds, stale_wait does not: the reader asked for what AWS has now.
func TestTTLZeroWaitsForTheWholeFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", 0))
		c := New(src, defaults())
		read(t, c, "a", "missed v1 age=0s ttl=0s")
		src.set("a", reply{body: "v2", after: 1500 * time.Millisecond})
		took(t, 1500*time.Millisecond, func() { read(t, c, "a", "expired v2 age=0s ttl=0s") })
		src.set("a", reply{hang: true})
		took(t, 2*time.Second, func() { read(t, c, "a", "stale-if-error v2 age=2s ttl=-2s") })
	})
}

func TestTTLZeroIsHeldOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", 0))
		c := New(src, defaults())
		read(t, c, "a", "missed v1 age=0s ttl=0s")
		src.set("a", reply{err: ErrThrottled})
		read(t, c, "a", "stale-if-error v1 age=0s ttl=0s")
		read(t, c, "a", "stale-if-error v1 age=0s ttl=0s")
		read(t, c, "a", "held-off v1 age=0s ttl=0s")
		src.wantCalls("a", 3)
	})
}

func TestMembersOfAPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := plain("/app/", time.Minute)
		src := newSource(t, tree)
		src.names["/app/x"] = alias{tree, "x"}
		src.names["/app/gone"] = alias{tree, "gone"}
		src.set("/app/", reply{body: `{"x":"1"}`, members: map[string]*Value{"x": {Body: []byte("1")}}})
		c := New(src, defaults())
		read(t, c, "/app/x", "missed 1 age=0s ttl=1m0s")
		wait(time.Second)
		read(t, c, "/app/gone", "missing")
		read(t, c, "/app/x", "hit 1 age=1s ttl=59s")
		read(t, c, "/app/", `hit {"x":"1"} age=1s ttl=59s`)
		src.wantCalls("/app/", 1)

		src.set("/app/", reply{body: `{"gone":"2"}`, members: map[string]*Value{"gone": {Body: []byte("2")}}})
		refresh(t, c, "/app/x", "missing")
		read(t, c, "/app/gone", "hit 2 age=0s ttl=1m0s")
		src.wantCalls("/app/", 2)
	})
}

// A path with nothing below it is an empty object, not missing.
func TestEmptyPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := plain("/app/", time.Minute)
		src := newSource(t, tree)
		src.names["/app/x"] = alias{tree, "x"}
		src.set("/app/", reply{body: "{}", members: map[string]*Value{}})
		c := New(src, defaults())
		read(t, c, "/app/x", "missing")
		read(t, c, "/app/", "hit {} age=0s ttl=1m0s")
		src.wantCalls("/app/", 1)
	})
}

func TestTwoNamesOfOneKeyShareAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := plain("a", time.Minute)
		src := newSource(t, key)
		src.names["b"] = alias{key: key}
		src.set("a", reply{body: "v1", after: time.Second})
		c := New(src, defaults())
		first := start(t, c, "b", false)
		second := start(t, c, "a", false)
		want(t, "first", first(), "missed v1 age=0s ttl=1m0s")
		want(t, "second", second(), "missed v1 age=0s ttl=1m0s collapsed")
		read(t, c, "b", "hit v1 age=0s ttl=1m0s")
		src.wantCalls("a", 1)
	})
}

func TestHitsNeedNoLiveContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(newSource(t, plain("a", time.Minute)), defaults())
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		want(t, "Get", show(c.Get(ctx, "a", false)), "hit v1 age=0s ttl=1m0s")
	})
}

// The map is given the TTL and the longer of the two windows.
func TestMemoryForgetsWhatIsBeyondUse(t *testing.T) {
	for _, tt := range []struct {
		name     string
		swr, sie time.Duration
		ttl      time.Duration
		limit    time.Duration
	}{
		{"stale_if_error is longer", time.Second, 10 * time.Second, time.Minute, 70 * time.Second},
		{"stale_while_revalidate is longer", 20 * time.Second, 10 * time.Second, time.Minute, 80 * time.Second},
		{"no windows", 0, 0, time.Minute, time.Minute},
		{"no ttl", 0, 10 * time.Second, 0, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key := &Key{Name: "a", TTL: tt.ttl, StaleIfError: tt.sie, Timeout: time.Second}
				c := New(newSource(t, key), Options{StaleWhileRevalidate: tt.swr})
				c.Get(t.Context(), "a", false)
				wait(tt.limit)
				c.Thaw()
				wantHeld(t, c, 1)
				wait(1)
				c.Thaw()
				wantHeld(t, c, 0)
			})
		})
	}
}

// go-cache takes a zero duration for "never", so a value without any window must not be put into it.
func TestZeroHardLimitHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := &Key{Name: "a", Timeout: time.Second}
		c := New(newSource(t, key), Options{})
		read(t, c, "a", "missed v1 age=0s ttl=0s")
		wantHeld(t, c, 0)
		read(t, c, "a", "expired v1 age=0s ttl=0s")
		wantHeld(t, c, 0)
	})
}

func TestExpiredValueLeavesMemory(t *testing.T) {
	for _, tt := range []struct {
		name  string
		input func(*testing.T, *Cache)
	}{
		{"on a miss", func(t *testing.T, c *Cache) { read(t, c, "a", "upstream") }},
		{"on thaw", func(t *testing.T, c *Cache) { c.Thaw() }},
		{"before stats", func(t *testing.T, c *Cache) { c.Stats() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := newSource(t, plain("a", time.Minute))
				c := New(src, defaults())
				read(t, c, "a", "missed v1 age=0s ttl=1m0s")
				src.set("a", reply{err: errUpstream})
				wait(time.Minute + time.Hour + 1)
				wantHeld(t, c, 1)
				tt.input(t, c)
				wantHeld(t, c, 0)
			})
		})
	}
}

// A day of rotation, refreshes and refusals leaves in memory what config.yaml declares and no more.
func TestMemoryIsBoundedByWhatIsDeclared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute), plain("b", 10*time.Second), plain("c", 0))
		c := New(src, defaults())
		replies := []reply{{body: "v1"}, {body: "v22"}, {err: ErrMissing}, {err: ErrThrottled}, {err: ErrDenied}, {body: "v333"}}
		for i := range 24 * 60 {
			for j, name := range []string{"a", "b", "c"} {
				src.set(name, replies[(i+j)%len(replies)])
				c.Get(t.Context(), name, i%2 == 0)
			}
			wait(time.Minute)
		}
		if got := c.items.ItemCount(); got > 3 {
			t.Errorf("values in memory = %d, want at most 3", got)
		}
	})
}
