package cache

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// bound returns a context that ends after d.
func bound(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestReaderWhoHangsUpLeavesTheFlightUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{body: "v1", after: time.Second})
		opts := defaults()
		opts.Waiting = NewWaiting(1)
		c := New(src, opts)
		ctx, hangUp := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, hangUp)
		took(t, 100*time.Millisecond, func() {
			want(t, "who hung up", show(c.Get(ctx, "a", false)), "canceled")
		})
		took(t, 900*time.Millisecond, func() { // and the place is free again
			read(t, c, "a", "missed v1 age=0s ttl=1m0s collapsed")
		})
		src.wantCalls("a", 1)
	})
}

func TestReaderWithAStaleValueWhoHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, defaults(), 0)
		src.set("a", reply{body: "v2", after: time.Second})
		if _, err := c.Get(bound(t, 100*time.Millisecond), "a", false); err != context.DeadlineExceeded {
			t.Errorf("Get with an expired context = %v, want %v", err, context.DeadlineExceeded)
		}
		wait(time.Second)
		read(t, c, "a", "hit v2 age=100ms ttl=59.9s")
	})
}

func TestFlightIsBoundByTheTimeoutOfItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := plain("a", time.Minute)
		key.Timeout = 3 * time.Second
		src := newSource(t, key)
		src.set("a", reply{hang: true})
		c := New(src, defaults())
		took(t, 3*time.Second, func() { read(t, c, "a", "timeout") })
		if got := src.ended["a"]; got != context.DeadlineExceeded {
			t.Errorf("the context of the fetch ended with %v, want %v", got, context.DeadlineExceeded)
		}
	})
}

func TestPanicInASourceIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{panics: "secret", after: time.Second})
		var told reports
		opts := defaults()
		opts.Report = told.add
		c := New(src, opts)
		joined := start(t, c, "a", false)
		_, err := c.Get(t.Context(), "a", false)
		want(t, "joined", joined(), "upstream")
		var p *PanicError
		if !errors.As(err, &p) {
			t.Fatalf("Get = %v, want a *PanicError", err)
		}
		if p.Value != "secret" || !strings.Contains(string(p.Stack), "Fetch") {
			t.Errorf("PanicError = %v with stack %s, want the value and the stack of the panic", p.Value, p.Stack)
		}
		if got, want := err.Error(), "panic of type string"; got != want {
			t.Errorf("Error() = %q, want %q: a panic's value may be a cached one", got, want)
		}
		told.want(t, "a: upstream")
		src.set("a", reply{body: "v1"})
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
	})
}

func TestPanicKeepsAStaleValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, defaults(), 0)
		src.set("a", reply{panics: errors.New("nil map")})
		read(t, c, "a", "stale-if-error v1 age=1m0s ttl=0s")
	})
}

func TestSourceThatForgetsAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{forgets: true})
		c := New(src, defaults())
		read(t, c, "a", "upstream")
		src.set("a", reply{body: "v1"})
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
	})
}

func TestReportIsToldEachFailedFlightOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute), plain("b", time.Minute))
		src.set("a", reply{err: errUpstream, after: time.Second})
		var told reports
		opts := defaults()
		opts.Report = told.add
		c := New(src, opts)
		first, second := start(t, c, "a", false), start(t, c, "a", true)
		first()
		second()
		told.want(t, "a: upstream")
		src.set("a", reply{err: ErrMissing})
		read(t, c, "a", "missing")
		read(t, c, "a", "missing") // remembered: no flight
		told.want(t, "a: upstream", "a: missing")
		src.set("a", reply{body: "v1"})
		wait(10 * time.Second)
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		src.set("b", reply{err: ErrThrottled})
		c.Warm(bound(t, time.Second), []string{"b"}) // in the background, too
		told.want(t, "a: upstream", "a: missing", "b: throttled")
	})
}

// Places are counted over all caches; only who would wait and has nothing is turned away.
func TestMaxWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := revalidate()
		opts.Waiting = NewWaiting(2)
		slow := newSource(t, plain("a", time.Minute), plain("b", time.Minute))
		slow.set("a", reply{body: "v1", after: time.Second})
		src := newSource(t, plain("fresh", time.Hour), plain("stale", time.Second), plain("swr", time.Minute), plain("none", time.Minute))
		other, c := New(slow, opts), New(src, opts)
		read(t, c, "fresh", "missed v1 age=0s ttl=1h0m0s")
		read(t, c, "stale", "missed v1 age=0s ttl=1s")
		read(t, c, "swr", "missed v1 age=0s ttl=1m0s")
		wait(time.Minute)
		first, second := start(t, other, "a", false), start(t, other, "a", false)

		took(t, 0, func() {
			read(t, other, "a", "busy")
			read(t, other, "b", "busy")
			read(t, c, "none", "busy")
			read(t, c, "fresh", "hit v1 age=1m0s ttl=59m0s")
			refresh(t, c, "fresh", "refresh-limited v1 age=1m0s ttl=59m0s")
			read(t, c, "stale", "held-off v1 age=1m0s ttl=-59s")
			refresh(t, c, "stale", "held-off v1 age=1m0s ttl=-59s")
			read(t, c, "swr", "revalidating v1 age=1m0s ttl=0s")
			read(t, c, "undeclared", "undeclared")
		})
		slow.wantCalls("b", 0)
		src.wantCalls("none", 0)
		src.wantCalls("fresh", 1)
		src.wantCalls("stale", 1)

		want(t, "first", first(), "missed v1 age=0s ttl=1m0s")
		want(t, "second", second(), "missed v1 age=0s ttl=1m0s collapsed")
		read(t, c, "none", "missed v1 age=0s ttl=1m0s") // the places are free again
		read(t, c, "stale", "expired v1 age=0s ttl=1s")
	})
}

// Every way out of a wait gives the place back.
func TestPlacesAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := defaults()
		opts.Waiting = NewWaiting(1)
		src := newSource(t, plain("a", time.Second))
		c := New(src, opts)
		for range 3 {
			read(t, c, "a", "missed v1 age=0s ttl=1s")
			src.set("a", reply{hang: true})
			wait(time.Second)
			c.Get(t.Context(), "a", false)                                 // outlasts stale_wait
			c.Get(bound(t, time.Millisecond), "a", true)                   // hangs up
			refresh(t, c, "a", "refresh-failed-expired v1 age=3s ttl=-2s") // times out
			src.set("a", reply{panics: 1})
			c.Get(t.Context(), "a", false)
			src.set("a", reply{err: ErrMissing})
			wait(time.Second)
			read(t, c, "a", "missing")
			src.set("a", reply{body: "v1"})
			wait(10 * time.Second)
		}
		if got := opts.Waiting.n.Load(); got != 0 {
			t.Errorf("places taken = %d, want 0", got)
		}
	})
}

func TestNoBoundOnWaitingWithoutOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{body: "v1", after: time.Second})
		c := New(src, defaults())
		var answers []func() string
		for range 1000 {
			answers = append(answers, start(t, c, "a", false))
		}
		want(t, "first", answers[0](), "missed v1 age=0s ttl=1m0s")
		for _, answer := range answers[1:] {
			want(t, "other", answer(), "missed v1 age=0s ttl=1m0s collapsed")
		}
	})
}

// A reader is woken by a flight that failed, and before it runs the next flight has landed: it must not be given the
// error while a fresh value is at hand.
func TestReaderWokenLateFindsTheNextFlightsValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, defaults(), 0)
		s := c.byName["a"]
		src.set("a", reply{err: errUpstream})
		a, f, _ := c.decide(s, false)
		synctest.Wait() // f has failed, its reader is yet to run
		src.set("a", reply{body: "v2"})
		read(t, c, "a", "expired v2 age=0s ttl=1m0s")
		a, err, _ := c.wait(t.Context(), s, f, a, false)
		want(t, "woken late", show(a, err), "hit v2 age=0s ttl=1m0s")
	})
}
