package cache

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// open is a key of an open name.
func open(name string, ttl time.Duration) *Key {
	k := plain(name, ttl)
	k.Open = true
	return k
}

// An open name is read like any other, with all that goes with that; TestModel has the rest.
func TestOpenNameIsReadLikeAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, open("p/1", time.Minute), plain("a", time.Minute))
		opts := defaults()
		opts.StaleWhileRevalidate = 30 * time.Second
		var told reports
		opts.Report = told.add
		c := New(src, opts)
		read(t, c, "p/2", "undeclared")
		src.set("p/1", reply{body: "v1", after: 100 * time.Millisecond})
		first, second := start(t, c, "p/1", false), start(t, c, "p/1", false)
		want(t, "first", first(), "missed v1 age=0s ttl=1m0s")
		want(t, "second", second(), "missed v1 age=0s ttl=1m0s collapsed")
		read(t, c, "p/1", "hit v1 age=0s ttl=1m0s")
		wait(70 * time.Second)
		src.set("p/1", reply{body: "v2"})
		read(t, c, "p/1", "revalidating v1 age=1m10s ttl=-10s")
		synctest.Wait()
		read(t, c, "p/1", "hit v2 age=0s ttl=1m0s")
		wait(10 * time.Second)
		refresh(t, c, "p/1", "requested v2 age=0s ttl=1m0s")
		src.set("p/1", reply{err: errUpstream})
		wait(100 * time.Second)
		read(t, c, "p/1", "stale-if-error v2 age=1m40s ttl=-40s")
		src.set("p/1", reply{err: ErrMissing})
		read(t, c, "p/1", "missing")
		read(t, c, "p/1", "missing") // remembered
		src.wantCalls("p/1", 5)
		told.want(t, "p/1: upstream", "p/1: missing")
	})
}

// Nobody but its readers has an open name fetched.
func TestOpenNamesAreNotWarmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, open("p/1", time.Minute), plain("a", time.Minute))
		c := New(src, defaults())
		read(t, c, "p/1", "missed v1 age=0s ttl=1m0s")
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		wait(58 * time.Second)
		if got := c.Due(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("Due() = %q, want what is declared", got)
		}
		if got := c.Snapshot(); len(got) != 1 {
			t.Errorf("Snapshot() = %+v, want what is declared", got)
		}
	})
}

func TestDeclaredNameWinsOverAnOpenOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("p/1", time.Hour))
		src.open["p/1"] = open("p/1", time.Minute)
		c := New(src, defaults())
		read(t, c, "p/1", "missed v1 age=0s ttl=1h0m0s")
	})
}

// After a freeze nobody waits for a flight that slept, and what it brings is of unknown age.
func TestThawDropsFlightsOfOpenNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, open("p/1", time.Minute))
		src.overlaps = true
		clock := newHandClock()
		opts := defaults()
		opts.Clock = clock.now
		c := New(src, opts)
		src.set("p/1", reply{hang: true})
		answer := start(t, c, "p/1", false)
		clock.freeze(time.Hour)
		src.set("p/1", reply{body: "v2"})
		took(t, 0, func() {
			c.Thaw()
			want(t, "reader", answer(), "missed v2 age=0s ttl=1m0s")
		})
		wait(time.Minute) // the flight that slept ends
		if m := c.opts.Memory; len(m.flying) != 0 {
			t.Errorf("flights noted after all have ended = %d, want 0", len(m.flying))
		}
	})
}

// What is beyond all use is forgotten without being evicted.
func TestOpenNamesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long, short, gone, failing := open("long", 2*time.Hour), open("short", time.Minute), open("gone", time.Minute), open("failing", time.Minute)
		src := newSource(t, short, gone, failing, long)
		c := New(src, defaults())
		src.set("gone", reply{err: ErrMissing})
		src.set("failing", reply{err: errUpstream})
		for _, k := range []*Key{gone, failing, short, long} {
			c.Get(t.Context(), k.Name, false)
		}
		m := c.opts.Memory
		for _, tt := range []struct {
			after time.Duration
			want  int
		}{
			{5 * time.Second, 4},
			{6 * time.Second, 3},  // negative_ttl of gone
			{time.Minute, 2},      // the next failure of failing would be its first again
			{58 * time.Minute, 2}, // short is past its ttl
			{2 * time.Minute, 1},  // and past stale_if_error
		} {
			wait(tt.after)
			c.Thaw()
			if got := m.probation.Len() + m.protected.Len(); got != tt.want {
				t.Errorf("names known %v later = %d, want %d", tt.after, got, tt.want)
			}
		}
		m.sound(t)
		if got := c.Stats(); got.Evictions != 0 || got.Entries != 1 || got.Bytes != 2 {
			t.Errorf("Stats = %+v, want no evictions, one value and its 2 bytes", got)
		}
	})
}

func BenchmarkHitOpen(b *testing.B) {
	c := New(newSource(b, open("p/1", time.Hour)), defaults())
	if _, err := c.Get(b.Context(), "p/1", false); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.Hit("p/1", 1<<10); !ok {
			b.Fatal("no hit")
		}
	}
}
