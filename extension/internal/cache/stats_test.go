package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestStatsCountEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute), plain("b", time.Minute), plain("c", time.Minute))
		src.set("a", reply{body: "four", after: time.Second})
		c := New(src, revalidate())
		var now Stats
		step := func(what string, change func(*Stats)) {
			t.Helper()
			synctest.Wait()
			change(&now)
			if got := c.Stats(); got != now {
				t.Errorf("after %s: Stats() = %+v, want %+v", what, got, now)
			}
		}

		first, second := start(t, c, "a", false), start(t, c, "a", true)
		first()
		second()
		step("two readers of one flight", func(s *Stats) { s.Misses, s.Collapsed, s.Fetches, s.Entries, s.Bytes = 1, 1, 1, 1, 4 })

		c.Get(t.Context(), "a", false)
		c.Get(t.Context(), "a", false)
		step("two hits", func(s *Stats) { s.Hits = 2 })

		c.Get(t.Context(), "no such name", false)
		step("a name that is not declared", func(*Stats) {})

		c.Warm(bound(t, time.Second), []string{"a", "b", "c"})
		step("warming two of three", func(s *Stats) { s.Fetches, s.Entries, s.Bytes = 3, 3, 8 })

		wait(time.Minute)
		src.set("a", reply{body: "seven.."})
		c.Get(t.Context(), "a", false)
		step("revalidating", func(s *Stats) { s.Stale, s.Fetches, s.Bytes = 1, 4, 11 })

		wait(30 * time.Second)
		src.set("b", reply{err: ErrMissing})
		src.set("c", reply{err: ErrDenied})
		c.Get(t.Context(), "b", false)
		c.Get(t.Context(), "b", false)
		c.Get(t.Context(), "c", false)
		step("refusals", func(s *Stats) {
			s.Misses, s.Fetches, s.Errors.Missing, s.Errors.Denied, s.Entries, s.Bytes = 3, 6, 1, 1, 1, 7
		})

		wait(time.Minute)
		for i, err := range []error{errUpstream, ErrTimeout, ErrThrottled} {
			src.set("a", reply{err: err})
			wait(time.Duration(i) * time.Second)
			c.Get(t.Context(), "a", true)
		}
		c.Get(t.Context(), "a", false)
		step("failures with an old value, then held off", func(s *Stats) {
			s.Misses, s.Fetches, s.Stale = 6, 9, 5
			s.Errors.Upstream, s.Errors.Timeout, s.Errors.Throttled = 1, 1, 1
		})

		wait(2 * time.Hour)
		step("the last value's end", func(s *Stats) { s.Entries, s.Bytes = 0, 0 })
	})
}

// What a refresh that fails or is not attempted answers with a fresh value is a hit.
func TestStatsOfRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, plain("a", time.Minute))
		c := New(src, defaults())
		refresh(t, c, "a", "requested v1 age=0s ttl=1m0s")
		refresh(t, c, "a", "refresh-limited v1 age=0s ttl=1m0s")
		wait(time.Second)
		src.set("a", reply{err: errUpstream})
		refresh(t, c, "a", "refresh-failed v1 age=1s ttl=59s")
		synctest.Wait()
		want := Stats{Hits: 2, Misses: 2, Fetches: 2, Errors: Errors{Upstream: 1}, Entries: 1, Bytes: 2}
		if got := c.Stats(); got != want {
			t.Errorf("Stats() = %+v, want %+v", got, want)
		}
	})
}

func TestStatsAsJSON(t *testing.T) {
	got, err := json.Marshal(Stats{Hits: 1, Stale: 2, Misses: 3, Collapsed: 4, Fetches: 5, Entries: 6, Bytes: 7,
		Errors: Errors{Missing: 8, Denied: 9, Throttled: 10, Timeout: 11, Upstream: 12}, Evictions: 13})
	const want = `{"hits":1,"stale":2,"misses":3,"collapsed":4,"fetches":5,` +
		`"errors":{"missing":8,"denied":9,"throttled":10,"timeout":11,"upstream":12},"evictions":13,"entries":6,"bytes":7}`
	if err != nil || string(got) != want {
		t.Errorf("json.Marshal(Stats) = %s, %v, want %s", got, err, want)
	}
}

func TestClass(t *testing.T) {
	for _, tt := range []struct {
		name  string
		input error
		want  string
	}{
		{"missing", ErrMissing, "missing"},
		{"denied", fmt.Errorf("GetParameter: %w", ErrDenied), "denied"},
		{"throttled", ErrThrottled, "throttled"},
		{"timeout", ErrTimeout, "timeout"},
		{"failure", &Failure{Err: ErrThrottled}, "throttled"},
		{"panic", Panicked("secret"), "upstream"},
		{"other", errors.New("ExpiredTokenException"), "upstream"},
	} {
		if got := Class(tt.input); got != tt.want {
			t.Errorf("%s: Class(%v) = %s, want %s", tt.name, tt.input, got, tt.want)
		}
	}
}
