package cache

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// expired returns a cache that holds v1 of "a" for over after its TTL of a minute, and its source.
func expired(t *testing.T, opts Options, over time.Duration) (*Cache, *testSource) {
	t.Helper()
	src := newSource(t, plain("a", time.Minute))
	c := New(src, opts)
	read(t, c, "a", "missed v1 age=0s ttl=1m0s")
	wait(time.Minute + over)
	return c, src
}

func revalidate() Options {
	opts := defaults()
	opts.StaleWhileRevalidate = 30 * time.Second
	return opts
}

func TestStaleWhileRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, revalidate(), 3*time.Second)
		src.set("a", reply{body: "v2", after: time.Second})
		took(t, 0, func() {
			for range 100 { // one flight for all of them
				read(t, c, "a", "revalidating v1 age=1m3s ttl=-3s")
			}
		})
		synctest.Wait()
		src.wantCalls("a", 2)
		wait(999 * time.Millisecond)
		read(t, c, "a", "revalidating v1 age=1m3.999s ttl=-3.999s")
		wait(time.Millisecond)
		read(t, c, "a", "hit v2 age=0s ttl=1m0s")
		src.wantCalls("a", 2)
	})
}

func TestStaleWhileRevalidateEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, revalidate(), 30*time.Second-1)
		src.set("a", reply{body: "v2", after: 100 * time.Millisecond})
		read(t, c, "a", "revalidating v1 age=1m29.999999999s ttl=-29.999999999s")
		wait(1)
		took(t, 100*time.Millisecond-1, func() { read(t, c, "a", "expired v2 age=0s ttl=1m0s collapsed") })
		src.wantCalls("a", 2)
	})
}

// Background flights fail under the same rules as others.
func TestStaleWhileRevalidateIsHeldOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, revalidate(), time.Second)
		src.set("a", reply{err: ErrThrottled})
		read(t, c, "a", "revalidating v1 age=1m1s ttl=-1s")
		synctest.Wait()
		read(t, c, "a", "revalidating v1 age=1m1s ttl=-1s")
		synctest.Wait()
		read(t, c, "a", "held-off v1 age=1m1s ttl=-1s")
		src.wantCalls("a", 3)
		wait(300 * time.Millisecond)
		read(t, c, "a", "revalidating v1 age=1m1.3s ttl=-1.3s")
		synctest.Wait()
		src.wantCalls("a", 4)
	})
}

// A hold-off does not close a stale_while_revalidate that is longer than stale_if_error.
func TestHeldOffWithinStaleWhileRevalidateAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := &Key{Name: "a", TTL: time.Minute, Timeout: time.Second}
		src := newSource(t, key)
		c := New(src, revalidate())
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		src.set("a", reply{err: ErrThrottled})
		wait(time.Minute)
		for range 5 {
			read(t, c, "a", "revalidating v1 age=1m0s ttl=0s")
			synctest.Wait()
		}
		src.wantCalls("a", 3)
	})
}

func TestStaleIfErrorAfterAFailedAttempt(t *testing.T) {
	for _, err := range []error{ErrThrottled, ErrTimeout, errUpstream} {
		t.Run(class(err), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, src := expired(t, defaults(), 412*time.Second)
				src.set("a", reply{err: err})
				read(t, c, "a", "stale-if-error v1 age=7m52s ttl=-6m52s")
				src.wantCalls("a", 2)
			})
		})
	}
}

func TestStaleIfErrorAfterStaleWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, defaults(), 0)
		src.set("a", reply{body: "v2", after: 700 * time.Millisecond})
		took(t, 500*time.Millisecond, func() { read(t, c, "a", "stale-if-error v1 age=1m0.5s ttl=-500ms") })
		took(t, 200*time.Millisecond, func() { read(t, c, "a", "expired v2 age=0s ttl=1m0s collapsed") })
		src.wantCalls("a", 2) // the flight went on without its first reader
	})
}

func TestWithinStaleWaitTheNewValueIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, defaults(), 0)
		src.set("a", reply{body: "v2", after: 499 * time.Millisecond})
		took(t, 499*time.Millisecond, func() { read(t, c, "a", "expired v2 age=0s ttl=1m0s") })
	})
}

// A StaleWait of 0 waits for nobody.
func TestZeroStaleWaitAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, Options{}, 0)
		src.set("a", reply{body: "v2", after: time.Second})
		took(t, 0, func() { read(t, c, "a", "stale-if-error v1 age=1m0s ttl=0s") })
		wait(time.Second)
		read(t, c, "a", "hit v2 age=0s ttl=1m0s")
		src.wantCalls("a", 2)
	})
}

func TestStaleIfErrorEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, defaults(), time.Hour-1)
		src.set("a", reply{err: errUpstream})
		read(t, c, "a", "stale-if-error v1 age=1h0m59.999999999s ttl=-59m59.999999999s")
		wait(1)
		read(t, c, "a", "upstream retry-after")
	})
}

// The window closes while the reader waits: it has nothing to fall back on and waits for the flight.
func TestStaleIfErrorEndsDuringStaleWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, defaults(), time.Hour-400*time.Millisecond)
		src.set("a", reply{body: "v2", after: 600 * time.Millisecond})
		took(t, 600*time.Millisecond, func() { read(t, c, "a", "expired v2 age=0s ttl=1m0s") })
	})
}

func TestNothingStaleWaitsForTheWholeFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{hang: true})
		c := New(src, defaults())
		took(t, 2*time.Second, func() { read(t, c, "a", "timeout") })
	})
}

func TestFirstFailureIsTriedAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{err: errUpstream})
		c := New(src, defaults())
		read(t, c, "a", "upstream")
		src.set("a", reply{body: "v1"})
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
	})
}

func TestHeldOffReadersGetTheLastError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, defaults())
		src.set("a", reply{err: errUpstream})
		read(t, c, "a", "upstream")
		src.set("a", reply{err: ErrThrottled})
		read(t, c, "a", "throttled retry-after")
		for range 100 {
			read(t, c, "a", "throttled retry-after")
		}
		src.wantCalls("a", 2)
	})
}

func TestHeldOffReadersGetTheStaleValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, defaults(), 0)
		src.set("a", reply{err: ErrThrottled})
		read(t, c, "a", "stale-if-error v1 age=1m0s ttl=0s")
		read(t, c, "a", "stale-if-error v1 age=1m0s ttl=0s")
		wait(100 * time.Millisecond)
		read(t, c, "a", "held-off v1 age=1m0.1s ttl=-100ms")
		src.wantCalls("a", 3)
	})
}

// The second failure in a row holds off for 250 ms, each further one for twice as long until 30 s, all of them within a
// fifth, and Retry-After tells the rest to the nanosecond.
func TestHoldOffSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{err: ErrThrottled})
		c := New(src, defaults())
		_, err := c.Get(t.Context(), "a", false)
		if f := failure(t, err); f.RetryAfter != 0 {
			t.Errorf("RetryAfter of the first failure = %v, want 0", f.RetryAfter)
		}
		for i, want := range []time.Duration{
			250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
			16 * time.Second, 30 * time.Second, 30 * time.Second, 30 * time.Second,
		} {
			_, err := c.Get(t.Context(), "a", false)
			left := failure(t, err).RetryAfter
			if left < want*8/10 || left > want*12/10 {
				t.Errorf("RetryAfter of failure %d = %v, want %v within a fifth", i+2, left, want)
			}
			src.wantCalls("a", i+2)
			wait(left - 1)
			_, err = c.Get(t.Context(), "a", false)
			if f := failure(t, err); f.RetryAfter != 1 {
				t.Errorf("RetryAfter at the end of hold-off %d = %v, want 1ns", i+2, f.RetryAfter)
			}
			src.wantCalls("a", i+2)
			wait(1)
		}
	})
}

func failure(t *testing.T, err error) *Failure {
	t.Helper()
	var f *Failure
	if !errors.As(err, &f) {
		t.Fatalf("error = %v, want a *Failure", err)
	}
	return f
}

// A fleet must not come back in step.
func TestHoldOffIsJittered(t *testing.T) {
	lengths := make(map[time.Duration]bool)
	for range 100 {
		lengths[holdOff(5)] = true
	}
	if len(lengths) < 50 {
		t.Errorf("100 hold-offs have %d lengths, want nearly 100", len(lengths))
	}
}

// However long AWS is away, the hold-off neither overflows nor ends.
func TestHoldOffOfVeryManyFailures(t *testing.T) {
	for _, failures := range []int{9, 10, 64, 65, 66, 100, 1 << 30} {
		for range 100 {
			if got := holdOff(failures); got < 24*time.Second || got > 36*time.Second {
				t.Fatalf("holdOff(%d) = %v, want 30s within a fifth", failures, got)
			}
		}
	}
}

func TestSuccessEndsTheHoldOff(t *testing.T) {
	for _, tt := range []struct {
		name  string
		input reply
		want  string
	}{
		{"value", reply{body: "v2"}, "missed v2 age=0s ttl=1m0s"},
		{"missing", reply{err: ErrMissing}, "missing"}, // an answer, too
		{"denied", reply{err: ErrDenied}, "denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := newSource(t, plain("a", time.Minute))
				src.set("a", reply{err: ErrThrottled})
				c := New(src, defaults())
				read(t, c, "a", "throttled")
				read(t, c, "a", "throttled retry-after")
				wait(300 * time.Millisecond)
				src.set("a", tt.input)
				read(t, c, "a", tt.want)
				src.set("a", reply{err: ErrThrottled})
				wait(2 * time.Hour)
				read(t, c, "a", "throttled") // the first again
				read(t, c, "a", "throttled retry-after")
				wait(300 * time.Millisecond)
				src.wantCalls("a", 5)
			})
		})
	}
}

func TestAMinuteOfThrottlingStartsFewFlights(t *testing.T) {
	for _, held := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			src := newSource(t, plain("a", time.Second))
			c := New(src, defaults())
			before := 0
			if held {
				read(t, c, "a", "missed v1 age=0s ttl=1s")
				wait(time.Second)
				before = 1
			}
			src.set("a", reply{err: ErrThrottled})
			for i := range 10_000 {
				c.Get(t.Context(), "a", i%10 == 0)
				wait(6 * time.Millisecond)
			}
			if got := src.calls["a"] - before; got > 10 || got < 8 {
				t.Errorf("flights in a minute with a value held %t = %d, want 8 to 10", held, got)
			}
		})
	}
}

func TestRefreshFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, defaults())
		read(t, c, "a", "missed v1 age=0s ttl=1m0s") // any fetch of the name counts
		src.set("a", reply{body: "v2"})
		wait(time.Second - 1)
		refresh(t, c, "a", "refresh-limited v1 age=999.999999ms ttl=59.000000001s")
		wait(1)
		refresh(t, c, "a", "requested v2 age=0s ttl=1m0s")
		for range 100 {
			refresh(t, c, "a", "refresh-limited v2 age=0s ttl=1m0s")
		}
		src.wantCalls("a", 2)
	})
}

func TestRefreshFloorAnswersARememberedRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{err: ErrMissing})
		c := New(src, defaults())
		refresh(t, c, "a", "missing")
		refresh(t, c, "a", "missing")
		src.wantCalls("a", 1)
	})
}

// Within the floor of a refresh, a value that has expired is read as without refresh.
func TestRefreshFloorOfAnExpiredValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", 500*time.Millisecond))
		c := New(src, defaults())
		read(t, c, "a", "missed v1 age=0s ttl=500ms")
		wait(500 * time.Millisecond)
		refresh(t, c, "a", "expired v1 age=0s ttl=500ms")
	})
}

func TestRefreshJoinsTheFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		src.set("a", reply{body: "v1", after: time.Second})
		c := New(src, defaults())
		first := start(t, c, "a", false)
		second := start(t, c, "a", true)
		want(t, "reader", first(), "missed v1 age=0s ttl=1m0s")
		want(t, "refresh", second(), "requested v1 age=0s ttl=1m0s collapsed")
		src.wantCalls("a", 1)
	})
}

func TestOthersReadOnDuringARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, defaults())
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		wait(2 * time.Second)
		src.set("a", reply{body: "v2", after: time.Second})
		first := start(t, c, "a", true)
		took(t, 0, func() { read(t, c, "a", "hit v1 age=2s ttl=58s") })
		want(t, "refresh", first(), "requested v2 age=0s ttl=1m0s")
	})
}

// A refresh waits for the whole flight, whatever is held.
func TestRefreshIgnoresTheWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := expired(t, revalidate(), time.Second)
		src.set("a", reply{body: "v2", after: 1900 * time.Millisecond})
		took(t, 1900*time.Millisecond, func() { refresh(t, c, "a", "requested v2 age=0s ttl=1m0s") })
	})
}

func TestRefreshOfARememberedRefusalAsksAgain(t *testing.T) {
	for _, err := range []error{ErrMissing, ErrDenied} {
		t.Run(class(err), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := newSource(t, plain("a", time.Minute))
				src.set("a", reply{err: err})
				c := New(src, defaults())
				read(t, c, "a", class(err))
				src.set("a", reply{body: "v1"})
				wait(time.Second)
				refresh(t, c, "a", "requested v1 age=0s ttl=1m0s")
				read(t, c, "a", "hit v1 age=0s ttl=1m0s")
			})
		})
	}
}

func TestRefreshFailed(t *testing.T) {
	for _, err := range []error{ErrThrottled, ErrTimeout, errUpstream} {
		t.Run(class(err), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := newSource(t, plain("a", time.Minute))
				c := New(src, defaults())
				read(t, c, "a", "missed v1 age=0s ttl=1m0s")
				src.set("a", reply{err: err})
				wait(33 * time.Second)
				refresh(t, c, "a", "refresh-failed v1 age=33s ttl=27s")
				wait(30 * time.Second)
				refresh(t, c, "a", "refresh-failed-expired v1 age=1m3s ttl=-3s")
				wait(time.Hour)
				refresh(t, c, "a", class(err)+" retry-after")
			})
		})
	}
}

func TestRefreshNeverPiercesAHoldOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", 20*time.Second), plain("b", time.Minute))
		c := New(src, defaults())
		read(t, c, "a", "missed v1 age=0s ttl=20s")
		for _, name := range []string{"a", "b"} {
			src.set(name, reply{err: ErrThrottled})
		}
		for range 6 { // the sixth failure holds off for 3.2 to 4.8 s
			wait(2500 * time.Millisecond)
			c.Get(t.Context(), "a", true)
			c.Get(t.Context(), "b", true)
		}
		src.wantCalls("a", 7)
		src.wantCalls("b", 6)
		wait(2 * time.Second) // past the floor
		refresh(t, c, "a", "refresh-limited v1 age=17s ttl=3s")
		refresh(t, c, "b", "throttled retry-after")
		wait(1200*time.Millisecond - 1)
		src.wantCalls("a", 7)
		src.wantCalls("b", 6)
		wait(2 * time.Second)
		refresh(t, c, "a", "refresh-failed-expired v1 age=20.199999999s ttl=-199.999999ms")
		refresh(t, c, "a", "held-off v1 age=20.199999999s ttl=-199.999999ms")
		src.wantCalls("a", 8)
	})
}

// A revoked permission or a deleted resource is not outlived by the cache.
func TestRefusalDropsAFreshValue(t *testing.T) {
	for _, err := range []error{ErrMissing, ErrDenied} {
		t.Run(class(err), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := newSource(t, plain("a", time.Minute))
				c := New(src, defaults())
				read(t, c, "a", "missed v1 age=0s ttl=1m0s")
				wait(time.Second)
				src.set("a", reply{err: err})
				refresh(t, c, "a", class(err))
				read(t, c, "a", class(err))
				wantHeld(t, c, 0)
				src.wantCalls("a", 2)
				wait(10 * time.Second)
				src.set("a", reply{body: "v2"})
				read(t, c, "a", "missed v2 age=0s ttl=1m0s")
			})
		})
	}
}

func TestRefusalDropsAStaleValue(t *testing.T) {
	for _, err := range []error{ErrMissing, ErrDenied} {
		t.Run(class(err), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, src := expired(t, defaults(), time.Second)
				src.set("a", reply{err: err})
				read(t, c, "a", class(err))
				src.set("a", reply{err: errUpstream})
				wait(10 * time.Second)
				read(t, c, "a", "upstream")
			})
		})
	}
}

func TestRefusalInTheBackgroundDropsTheValue(t *testing.T) {
	for _, err := range []error{ErrMissing, ErrDenied} {
		for _, tt := range []struct {
			name string
			at   time.Duration // since the value was fetched
			do   func(*testing.T, *Cache)
		}{
			{"while it is revalidated", 61 * time.Second, func(t *testing.T, c *Cache) {
				read(t, c, "a", "revalidating v1 age=1m1s ttl=-1s")
			}},
			{"fresh, by warming", 59 * time.Second, func(t *testing.T, c *Cache) {
				wantFailures(t, c.Warm(bound(t, time.Second), []string{"a"}), "a: "+class(err))
			}},
		} {
			t.Run(class(err)+" "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					src := newSource(t, plain("a", time.Minute))
					c := New(src, revalidate())
					read(t, c, "a", "missed v1 age=0s ttl=1m0s")
					src.set("a", reply{err: err})
					wait(tt.at)
					tt.do(t, c)
					synctest.Wait()
					read(t, c, "a", class(err))
					wantHeld(t, c, 0)
					src.wantCalls("a", 2)
				})
			})
		}
	}
}

// Expired credentials come as an upstream failure, which says nothing about the permission: nothing is dropped.
func TestFailureDropsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, defaults())
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		src.set("a", reply{err: errors.New("ExpiredTokenException")})
		wait(time.Second)
		refresh(t, c, "a", "refresh-failed v1 age=1s ttl=59s")
		read(t, c, "a", "hit v1 age=1s ttl=59s")
		wait(time.Minute)
		read(t, c, "a", "stale-if-error v1 age=1m1s ttl=-1s")
		wantHeld(t, c, 1)
	})
}

// A failure neither makes a value look younger nor gives it a new lease.
func TestFailureNeverMakesAnAgeYounger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := revalidate()
		src := newSource(t, plain("a", time.Minute))
		c := New(src, opts)
		read(t, c, "a", "missed v1 age=0s ttl=1m0s")
		src.set("a", reply{err: ErrThrottled})
		for age := time.Duration(0); age < time.Minute+time.Hour; {
			wait(7 * time.Second)
			age += 7 * time.Second
			a, err := c.Get(t.Context(), "a", age%2 == 0)
			if age >= time.Minute+time.Hour {
				want(t, "after an hour", show(a, err), "throttled retry-after")
			} else if err != nil || a.Age != age || a.TTL != time.Minute-age {
				t.Fatalf("Get at age %v = %s, want that age", age, show(a, err))
			}
		}
	})
}
