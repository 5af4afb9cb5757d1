package cache

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A value from a tier before AWS is as old as it says, in memory and for the reader.
func TestSharedValueKeepsItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, defaults())
		src.set("a", reply{body: "old", shared: true, at: time.Now().Add(-40 * time.Second)})
		read(t, c, "a", "missed old age=40s ttl=20s shared")
		wait(15 * time.Second)
		read(t, c, "a", "hit old age=55s ttl=5s")
		want(t, "due", strings.Join(c.Due(), " "), "a")
		wait(5 * time.Second)
		src.set("a", reply{body: "new"})
		read(t, c, "a", "expired new age=0s ttl=1m0s")
	})
}

func TestSharedValueFromAClockThatIsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, defaults())
		src.set("a", reply{body: "v", shared: true, at: time.Now().Add(time.Hour)})
		read(t, c, "a", "missed v age=0s ttl=1m0s shared")
		wait(time.Minute)
		src.set("a", reply{body: "new"})
		read(t, c, "a", "expired new age=0s ttl=1m0s")
	})
}

// What is held is not replaced by something older, whoever has that.
func TestOlderSharedValueIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, defaults())
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		wait(55 * time.Second)
		src.set("a", reply{body: "older", shared: true, at: time.Now().Add(-56 * time.Second)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c.Warm(ctx, []string{"a"})
		read(t, c, "a", "hit v1 age=55s ttl=5s")
		src.set("a", reply{body: "newer", shared: true, at: time.Now().Add(-10 * time.Second)})
		c.Warm(ctx, []string{"a"})
		read(t, c, "a", "hit newer age=10s ttl=50s")
	})
}

// Before AWS failed, another got a value: it stands in for the error, as if it had been held.
func TestSharedValueStandsInForAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, defaults())
		src.set("a", reply{body: "old", shared: true, at: time.Now().Add(-2 * time.Minute), err: errUpstream})
		read(t, c, "a", "stale-if-error old age=2m0s ttl=-1m0s shared")
		read(t, c, "a", "stale-if-error old age=2m0s ttl=-1m0s shared")
		read(t, c, "a", "held-off old age=2m0s ttl=-1m0s")
		if got := c.Stats(); got.Errors.Upstream != 2 || got.Stale != 3 || got.Entries != 1 {
			t.Errorf("Stats = %+v, want 2 upstream errors, 3 stale reads and a value", got)
		}

		wait(time.Minute)
		src.set("a", reply{body: "ancient", shared: true, at: time.Now().Add(-2 * time.Hour), err: errUpstream})
		c = New(src, defaults())
		read(t, c, "a", "upstream") // beyond stale_if_error
		src.set("a", reply{body: "v", shared: true, at: time.Now(), err: ErrDenied})
		wait(time.Minute)
		read(t, c, "a", "denied") // a revoked permission is not outlived
		if got := c.Stats().Entries; got != 0 {
			t.Errorf("values in memory after a refusal = %d, want 0", got)
		}
	})
}

// refresh=true asks for what AWS itself says: no tier before it answers, and no flight that was up for others.
func TestRefreshPassesTheTierBeforeAWS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, defaults())
		shared := reply{body: "theirs", shared: true, at: time.Now().Add(-time.Second), after: 50 * time.Millisecond}
		src.set("a", shared)
		other := start(t, c, "a", false)
		refresher := start(t, c, "a", true)
		want(t, "reader", other(), "missed theirs age=1.05s ttl=58.95s shared")
		want(t, "refresh that joined", refresher(), "requested AWS's age=0s ttl=1m0s")
		src.wantCalls("a", 2)
		refresh(t, c, "a", "refresh-limited AWS's age=0s ttl=1m0s")
		wait(2 * time.Second)
		refresh(t, c, "a", "requested AWS's age=0s ttl=1m0s")
	})
}
