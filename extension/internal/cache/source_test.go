package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// reply is what the test source answers for one name.
type reply struct {
	body    string
	members map[string]*Value
	err     error         // instead of a value
	after   time.Duration // how long AWS takes
	hang    bool          // AWS never answers
	panics  any           // Fetch panics with it
	forgets bool          // Fetch returns without an outcome for the name
	shared  bool          // the value is from a tier before AWS, which is asked unless the reader wants AWS itself
	at      time.Time     // with shared: when that got it
}

// alias is a name callers use for a key, or for a member of it.
type alias struct {
	key    *Key
	member string
}

// testSource is a Source whose answers a test sets. It holds the cache to the contract of Source: Fetch is called with
// a bound, for declared keys, each once, and never for a name that is being fetched already.
//
// Keys that are Open are those of its open names.
type testSource struct {
	t        testing.TB
	keys     []*Key
	names    map[string]alias
	open     map[string]*Key
	overlaps bool // flights dropped after a freeze overlap with their successors

	mu      sync.Mutex // guards what follows
	replies map[string]reply
	flying  map[string]int
	calls   map[string]int
	batches [][]string
	ended   map[string]error // ctx.Err() at the end of the name's last fetch
}

func newSource(t testing.TB, keys ...*Key) *testSource {
	s := &testSource{
		t: t, names: make(map[string]alias), open: make(map[string]*Key), replies: make(map[string]reply),
		flying: make(map[string]int), calls: make(map[string]int), ended: make(map[string]error),
	}
	for _, k := range keys {
		s.replies[k.Name] = reply{body: "v1"}
		if k.Open {
			s.open[k.Name] = k
			continue
		}
		s.keys = append(s.keys, k)
		s.names[k.Name] = alias{key: k}
	}
	return s
}

func (s *testSource) Find(name string) (*Key, string, bool) {
	a, ok := s.names[name]
	return a.key, a.member, ok
}

func (s *testSource) Keys() []*Key { return s.keys }

func (s *testSource) Open(name string) (*Key, bool) {
	k, ok := s.open[name]
	if !ok {
		return nil, false
	}
	opened := *k
	return &opened, true
}

func (s *testSource) Fetch(ctx context.Context, names []string, put func(string, *Value, error)) {
	if _, ok := ctx.Deadline(); !ok {
		s.t.Errorf("Fetch(%q): the context has no deadline", names)
	}
	if len(names) == 0 {
		s.t.Error("Fetch of nothing")
	}
	replies := s.begin(names)
	over := make(map[string]bool) // guarded by s.mu
	defer func() {
		for _, name := range names {
			s.end(ctx, name, over)
		}
	}()
	var puts sync.WaitGroup
	for i, name := range names {
		r := replies[i]
		if r.panics != nil {
			s.pause(ctx, r)
			panic(r.panics)
		}
		if r.forgets {
			continue
		}
		puts.Go(func() {
			err := s.pause(ctx, r)
			s.end(ctx, name, over)
			switch {
			case err != nil:
				put(name, nil, err)
			case r.shared && Refreshing(ctx):
				put(name, &Value{Body: []byte("AWS's")}, nil)
			case r.shared:
				put(name, &Value{Body: []byte(r.body), FetchedAt: r.at, Shared: true}, r.err)
			case r.err != nil:
				put(name, nil, r.err)
			default:
				put(name, &Value{Body: []byte(r.body), Members: r.members}, nil)
			}
		})
	}
	puts.Wait()
}

// begin notes the call and gives what AWS holds at its beginning.
func (s *testSource) begin(names []string) []reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, slices.Clone(names))
	var replies []reply
	for i, name := range names {
		r, ok := s.replies[name]
		if !ok {
			s.t.Errorf("Fetch(%q): %q is not the name of a key", names, name)
		}
		if slices.Contains(names[:i], name) {
			s.t.Errorf("Fetch(%q): %q is asked for twice", names, name)
		}
		if s.flying[name]++; s.flying[name] > 1 && !s.overlaps {
			s.t.Errorf("Fetch(%q): %q is being fetched already", names, name)
		}
		s.calls[name]++
		replies = append(replies, r)
	}
	return replies
}

// end notes, once, that name is no longer being fetched: its outcome is about to be put, or Fetch returns without one.
func (s *testSource) end(ctx context.Context, name string, over map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !over[name] {
		over[name] = true
		s.flying[name]--
		s.ended[name] = ctx.Err()
	}
}

// pause takes as long as AWS does, or until ctx is done.
func (s *testSource) pause(ctx context.Context, r reply) error {
	if r.after == 0 && !r.hang {
		return nil
	}
	var out <-chan time.Time
	if !r.hang {
		t := time.NewTimer(r.after)
		defer t.Stop()
		out = t.C
	}
	select {
	case <-out:
		return nil
	case <-ctx.Done():
		return ErrTimeout
	}
}

// set makes AWS answer r for name from the next call on.
func (s *testSource) set(name string, r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies[name] = r
}

// wantCalls compares how often name was asked of AWS.
func (s *testSource) wantCalls(name string, want int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.calls[name]; got != want {
		s.t.Errorf("calls for %q = %d, want %d", name, got, want)
	}
}

var errUpstream = errors.New("InternalServerError")

// Names of what Get answers, as the tests write them.
var (
	hows = [...]string{
		Hit: "hit", Missed: "missed", Expired: "expired", Requested: "requested", Revalidating: "revalidating",
		StaleIfError: "stale-if-error", HeldOff: "held-off", RefreshLimited: "refresh-limited",
		RefreshFailed: "refresh-failed", RefreshFailedExpired: "refresh-failed-expired",
	}
	classes = []struct {
		err  error
		name string
	}{
		{ErrUndeclared, "undeclared"}, {ErrBusy, "busy"}, {ErrMissing, "missing"}, {ErrDenied, "denied"},
		{ErrThrottled, "throttled"}, {ErrTimeout, "timeout"}, {context.Canceled, "canceled"},
	}
)

func class(err error) string {
	for _, c := range classes {
		if errors.Is(err, c.err) {
			return c.name
		}
	}
	return "upstream"
}

// show writes all that Get returned on one line: "hit v1 age=3s ttl=57s", with "collapsed" at the end where the reader
// joined a flight, or "throttled", with "retry-after" at the end where a hold-off is left.
func show(a Answer, err error) string {
	if err != nil {
		var f *Failure
		if errors.As(err, &f) && f.RetryAfter > 0 {
			return class(err) + " retry-after"
		}
		return class(err)
	}
	s := fmt.Sprintf("%s %s age=%v ttl=%v", hows[a.How], a.Value.Body, a.Age, a.TTL)
	if a.Collapsed {
		s += " collapsed"
	}
	if a.Shared {
		s += " shared"
	}
	return s
}

// read reads name and compares what show makes of the answer.
func read(t testing.TB, c *Cache, name, want string) {
	t.Helper()
	if got := show(c.Get(t.Context(), name, false)); got != want {
		t.Errorf("Get(%q) = %s, want %s", name, got, want)
	}
}

// refresh is read with refresh.
func refresh(t testing.TB, c *Cache, name, want string) {
	t.Helper()
	if got := show(c.Get(t.Context(), name, true)); got != want {
		t.Errorf("Get(%q, refresh) = %s, want %s", name, got, want)
	}
}

// start reads in the background and returns once the reader is answered or waits. What it returns gives the answer.
func start(t *testing.T, c *Cache, name string, refresh bool) (answer func() string) {
	t.Helper()
	done := make(chan string, 1)
	go func() { done <- show(c.Get(t.Context(), name, refresh)) }()
	synctest.Wait()
	return func() string { return <-done }
}

// want compares the answer of a reader.
func want(t testing.TB, who, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %s, want %s", who, got, want)
	}
}

// took runs f and compares how long it took, in the bubble to the nanosecond.
func took(t testing.TB, want time.Duration, f func()) {
	t.Helper()
	from := time.Now()
	f()
	if got := time.Since(from); got != want {
		t.Errorf("took %v, want %v", got, want)
	}
}

// wantHeld compares how many values are in memory, expired ones included.
func wantHeld(t testing.TB, c *Cache, want int) {
	t.Helper()
	if got := c.items.ItemCount(); got != want {
		t.Errorf("values in memory = %d, want %d", got, want)
	}
}

// plain is a key with the defaults of config.yaml, but for its TTL.
func plain(name string, ttl time.Duration) *Key {
	return &Key{Name: name, TTL: ttl, StaleIfError: time.Hour, Timeout: 2 * time.Second}
}

// defaults are the windows that config.yaml has where it says nothing.
func defaults() Options {
	return Options{StaleWait: 500 * time.Millisecond, NegativeTTL: 10 * time.Second}
}

// reports collects what a Cache reports, each as the key's name and the class of the error.
type reports struct {
	mu  sync.Mutex // guards all
	all []string
}

func (r *reports) add(k *Key, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, k.Name+": "+Class(err))
}

// want compares the reports, also those of flights that have just landed.
func (r *reports) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait() // a reader may be woken before the report is made
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.all, want) {
		t.Errorf("reports = %q, want %q", r.all, want)
	}
}

// wait lets d pass in the bubble, and all that comes due by then happen.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
