package cache

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestWarmFetchesInOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute), plain("b", time.Minute), plain("c", 0))
		for i, name := range []string{"a", "b", "c"} {
			src.set(name, reply{body: "v1", after: time.Duration(i+1) * 100 * time.Millisecond})
		}
		c := New(src, defaults())
		took(t, 300*time.Millisecond, func() {
			wantFailures(t, c.Warm(bound(t, 5*time.Second), []string{"a", "b", "c"}))
		})
		if len(src.batches) != 1 || !slices.Equal(src.batches[0], []string{"a", "b", "c"}) {
			t.Errorf("calls = %q, want one for a, b and c", src.batches)
		}
		read(t, c, "a", "hit v1 age=200ms ttl=59.8s") // stored as it landed
		read(t, c, "b", "hit v1 age=100ms ttl=59.9s")
		read(t, c, "c", "expired v1 age=0s ttl=0s")
		src.wantCalls("a", 1)
	})
}

func TestWarmOfNothingMakesNoCall(t *testing.T) {
	src := newSource(t, plain("a", time.Minute))
	c := New(src, defaults())
	wantFailures(t, c.Warm(t.Context(), nil))
	if len(src.batches) != 0 {
		t.Errorf("calls = %q, want none", src.batches)
	}
}

func TestWarmSkipsWhatIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute), plain("b", time.Minute))
		c := New(src, defaults())
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		for _, tt := range []struct {
			age  time.Duration
			want int // calls for a, all told
		}{{54*time.Second - 1, 1}, {54 * time.Second, 2}} { // soon it will not be: the last tenth
			wait(tt.age - time.Since(c.byName["a"].fetchedAt))
			wantFailures(t, c.Warm(bound(t, time.Second), []string{"a"}))
			src.wantCalls("a", tt.want)
		}
	})
}

func TestWarmJoinsFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute), plain("b", time.Minute))
		src.set("a", reply{body: "v1", after: time.Second})
		c := New(src, defaults())
		reader := start(t, c, "a", false)
		took(t, time.Second, func() {
			wantFailures(t, c.Warm(bound(t, 5*time.Second), []string{"a", "b"}))
		})
		want(t, "reader", reader(), "missed v1 age=0s ttl=1m0s")
		if len(src.batches) != 2 || !slices.Equal(src.batches[1], []string{"b"}) {
			t.Errorf("calls = %q, want one for a and one for b", src.batches)
		}
	})
}

func TestWarmLeavesAloneWhatIsHeldOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute), plain("b", time.Minute))
		src.set("a", reply{err: ErrThrottled})
		c := New(src, defaults())
		read(t, c, "a", "throttled")
		read(t, c, "a", "throttled retry-after")
		wantFailures(t, c.Warm(bound(t, time.Second), []string{"a", "b"}), "a: throttled")
		src.wantCalls("a", 2)
		src.wantCalls("b", 1)
	})
}

// Failures of Warm count towards the hold-off like any other.
func TestWarmFailuresHoldOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{err: ErrThrottled})
		c := New(src, defaults())
		for range 2 {
			wantFailures(t, c.Warm(bound(t, time.Second), []string{"a"}), "a: throttled")
		}
		read(t, c, "a", "throttled retry-after")
		src.wantCalls("a", 2)
	})
}

func TestWarmNamesWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute), plain("b", time.Minute), plain("c", time.Minute), plain("d", time.Minute))
		src.set("b", reply{err: ErrMissing})
		src.set("c", reply{err: ErrDenied, after: time.Second})
		src.set("d", reply{forgets: true})
		c := New(src, defaults())
		failures := c.Warm(bound(t, 5*time.Second), []string{"a", "b", "c", "d"})
		wantFailures(t, failures, "b: missing", "c: denied", "d: upstream")
		read(t, c, "a", "hit v1 age=1s ttl=59s") // one bad name costs the others nothing
		read(t, c, "b", "missing")               // remembered
		read(t, c, "c", "denied")
		src.wantCalls("b", 1)
		src.wantCalls("c", 1)
	})
}

// A required path without one parameter below it is missing to prefetch; to a reader it is an empty object.
func TestWarmMissesARequiredEmptyPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		required, other, full := plain("/required/", time.Minute), plain("/other/", time.Minute), plain("/full/", time.Minute)
		required.Required, full.Required = true, true
		src := newSource(t, required, other, full)
		src.set("/required/", reply{body: "{}", members: map[string]*Value{}})
		src.set("/other/", reply{body: "{}", members: map[string]*Value{}})
		src.set("/full/", reply{body: `{"x":"1"}`, members: map[string]*Value{"x": {Body: []byte("1")}}})
		c := New(src, defaults())
		failures := c.Warm(bound(t, time.Second), []string{"/required/", "/other/", "/full/"})
		wantFailures(t, failures, "/required/: missing")
		read(t, c, "/required/", "hit {} age=0s ttl=1m0s")
	})
}

func TestWarmSurvivesAPanicInTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute), plain("b", time.Minute))
		src.set("b", reply{panics: "bad", after: time.Second})
		c := New(src, defaults())
		failures := c.Warm(bound(t, 5*time.Second), []string{"a", "b"})
		wantFailures(t, failures, "b: upstream")
		var p *PanicError
		if !errors.As(failures[0].Err, &p) {
			t.Errorf("Warm reports %v, want a *PanicError", failures[0].Err)
		}
		read(t, c, "a", "hit v1 age=1s ttl=59s")
		src.set("b", reply{body: "v1"})
		read(t, c, "b", "missed v1 age=0s ttl=1m0s")
	})
}

// What has not landed when prefetch has to end is no failure: it is left to its first reader.
func TestWarmOutOfTimeLeavesTheRestToReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("slow", time.Minute), plain("quick", time.Minute))
		src.set("slow", reply{hang: true})
		var told reports
		opts := defaults()
		opts.Report = told.add
		c := New(src, opts)
		took(t, 500*time.Millisecond, func() {
			wantFailures(t, c.Warm(bound(t, 500*time.Millisecond), []string{"slow", "quick"}), "slow: timeout")
		})
		synctest.Wait()
		src.set("slow", reply{body: "v1"})
		refresh(t, c, "slow", "requested v1 age=0s ttl=1m0s") // nor does the floor count it
		read(t, c, "quick", "hit v1 age=500ms ttl=59.5s")
		told.want(t)
	})
}

// Of two things that end at once the outcome is worth more: a required entry that has landed must never be reported as
// one that has not, only because another one has not.
func TestWarmOutOfTimeTellsWhatLanded(t *testing.T) {
	for range 50 { // a select would choose at random
		synctest.Test(t, func(t *testing.T) {
			src := newSource(t, plain("slow", time.Minute), plain("quick", time.Minute), plain("gone", time.Minute))
			src.set("slow", reply{hang: true})
			src.set("gone", reply{err: ErrMissing})
			c := New(src, defaults())
			failures := c.Warm(bound(t, time.Second), []string{"slow", "quick", "gone"})
			wantFailures(t, failures, "slow: timeout", "gone: missing")
		})
	}
}

func TestReadersOfAFlightThatWarmDropsStartTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{hang: true})
		c := New(src, defaults())
		ctx := bound(t, time.Second)
		warmed := make(chan []FetchFailure, 1)
		go func() { warmed <- c.Warm(ctx, []string{"a"}) }()
		synctest.Wait()
		src.set("a", reply{body: "v1", after: 100 * time.Millisecond})
		first, second := start(t, c, "a", false), start(t, c, "a", false)
		src.wantCalls("a", 1)
		got := []string{first(), second()}
		slices.Sort(got)
		if !slices.Equal(got, []string{"missed v1 age=0s ttl=1m0s", "missed v1 age=0s ttl=1m0s collapsed"}) {
			t.Errorf("readers got %q, want one flight of their own", got)
		}
		wantFailures(t, <-warmed, "a: timeout")
		src.wantCalls("a", 2)
	})
}

// A failure that AWS did give is one, also when it comes with the end of prefetch.
func TestWarmOutOfTimeKeepsOtherFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, defaults())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s := c.byName["a"]
		f, _, _ := c.claim(s)
		wait(time.Second)
		src.set("a", reply{err: ErrThrottled})
		c.fetch(ctx, []string{"a"}, map[string]landing{"a": {s, f}}, true)
		want(t, "flight", class(f.err), "throttled")
	})
}

func TestReaderJoinsAWarmFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{body: "v1", after: time.Second})
		c := New(src, defaults())
		ctx := bound(t, 5*time.Second)
		go c.Warm(ctx, []string{"a"})
		synctest.Wait()
		took(t, time.Second, func() { read(t, c, "a", "missed v1 age=0s ttl=1m0s collapsed") })
		src.wantCalls("a", 1)
	})
}

// A batch may be longer under way than a reader should wait.
func TestReaderWaitsForAWarmFlightNoLongerThanItsKeyAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{body: "v1", after: 4 * time.Second})
		c := New(src, defaults())
		ctx := bound(t, 5*time.Second)
		go c.Warm(ctx, []string{"a"})
		synctest.Wait()
		took(t, 2*time.Second, func() { read(t, c, "a", "timeout") })
		wait(2 * time.Second)
		read(t, c, "a", "hit v1 age=0s ttl=1m0s")
		src.wantCalls("a", 1)
	})
}

func TestReaderWithAStaleValueJoinsAWarmFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, defaults(), 0)
		src.set("a", reply{body: "v2", after: 4 * time.Second})
		ctx := bound(t, 5*time.Second)
		go c.Warm(ctx, []string{"a"})
		synctest.Wait()
		took(t, 500*time.Millisecond, func() { read(t, c, "a", "stale-if-error v1 age=1m0.5s ttl=-500ms") })
		took(t, 2*time.Second, func() { refresh(t, c, "a", "refresh-failed-expired v1 age=1m2.5s ttl=-2.5s") })
		src.wantCalls("a", 2)
	})
}

func TestDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("c", time.Minute), plain("unread", time.Minute), plain("zero", 0), plain("a", time.Minute), plain("cold", time.Minute))
		c := New(src, defaults())
		due := func(want ...string) {
			t.Helper()
			if got := c.Due(); !slices.Equal(got, want) {
				t.Errorf("Due() = %q, want %q", got, want)
			}
		}
		due()
		wantFailures(t, c.Warm(bound(t, time.Second), []string{"a", "unread"}))
		read(t, c, "c", "missed v1 age=0s ttl=1m0s") // its first reader has read it
		read(t, c, "a", "hit v1 age=0s ttl=1m0s")
		read(t, c, "zero", "missed v1 age=0s ttl=0s")
		wait(54*time.Second - 1)
		due()
		wait(1)
		due("c", "a")
		wait(time.Minute)
		due("c", "a") // past the TTL, too

		wantFailures(t, c.Warm(bound(t, time.Second), c.Due()))
		wait(time.Minute)
		due() // not read since
		read(t, c, "a", "expired v1 age=0s ttl=1m0s")
		wait(59 * time.Second)
		due("a")
		src.set("a", reply{err: ErrDenied})
		refresh(t, c, "a", "denied")
		wait(time.Minute)
		due() // dropped
	})
}

// A failed attempt is no fetch: what was read before it stays due.
func TestDueAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, defaults(), 0)
		src.set("a", reply{err: errUpstream})
		wantFailures(t, c.Warm(bound(t, time.Second), c.Due()), "a: upstream")
		if got := c.Due(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("Due() = %q, want a", got)
		}
	})
}

// Every way to read a value marks it as read.
func TestEveryReadCountsForDue(t *testing.T) {
	for _, tt := range []struct {
		name  string
		at    time.Duration // since it was fetched
		reply reply
		input func(*testing.T, *Cache)
	}{
		{"hit", time.Second, reply{}, func(t *testing.T, c *Cache) { read(t, c, "a", "hit v1 age=1s ttl=59s") }},
		{"limited refresh", 0, reply{}, func(t *testing.T, c *Cache) { refresh(t, c, "a", "refresh-limited v1 age=0s ttl=1m0s") }},
		{"failed refresh", time.Second, reply{err: errUpstream}, func(t *testing.T, c *Cache) {
			refresh(t, c, "a", "refresh-failed v1 age=1s ttl=59s")
		}},
		{"refresh", time.Second, reply{body: "v1"}, func(t *testing.T, c *Cache) {
			refresh(t, c, "a", "requested v1 age=0s ttl=1m0s")
		}},
		{"stale if error", time.Minute, reply{err: errUpstream}, func(t *testing.T, c *Cache) {
			read(t, c, "a", "stale-if-error v1 age=1m0s ttl=0s")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := newSource(t, plain("a", time.Minute))
				c := New(src, defaults())
				wantFailures(t, c.Warm(bound(t, time.Second), []string{"a"}))
				wait(tt.at)
				src.set("a", tt.reply)
				tt.input(t, c)
				wait(time.Minute)
				if got := c.Due(); !slices.Equal(got, []string{"a"}) {
					t.Errorf("Due() = %q, want a", got)
				}
			})
		})
	}
}

// wantFailures compares what Warm returned, each as its name and the class of its error.
func wantFailures(t testing.TB, failures []FetchFailure, want ...string) {
	t.Helper()
	var got []string
	for _, f := range failures {
		got = append(got, f.Key.Name+": "+Class(f.Err))
	}
	if !slices.Equal(got, want) {
		t.Errorf("Warm = %q, want %q", got, want)
	}
}
