package shared

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cache-extension/extension/internal/cache"
)

// upstream is AWS as a source shows it: each name has a value, or an error, and each fetch of a name is counted.
type upstream struct {
	t    testing.TB
	keys []*cache.Key

	mu      sync.Mutex // guards what follows
	values  map[string]*cache.Value
	errs    map[string]error
	calls   map[string]int
	fetches [][]string            // the names of each Fetch
	hold    func(context.Context) // what each Fetch waits for first; nil waits for nothing
	panics  bool
}

func newUpstream(t testing.TB, keys ...*cache.Key) *upstream {
	u := &upstream{t: t, keys: keys, values: make(map[string]*cache.Value), errs: make(map[string]error), calls: make(map[string]int)}
	for _, k := range keys {
		u.values[k.Name] = text("value of " + k.Identity)
	}
	return u
}

func text(s string) *cache.Value { return &cache.Value{Body: []byte(s)} }

// ample is a bound of a Fetch of which the share for one exchange is enough on a busy machine.
const ample = 10 * time.Second

func plain(name string) *cache.Key {
	return &cache.Key{Name: name, Identity: "id " + name, TTL: time.Minute, StaleIfError: time.Hour, Timeout: ample}
}

func (u *upstream) Find(name string) (*cache.Key, string, bool) {
	for _, k := range u.keys {
		if k.Name == name {
			return k, "", true
		}
	}
	return nil, "", false
}

func (u *upstream) Keys() []*cache.Key { return u.keys }

func (u *upstream) Open(string) (*cache.Key, bool) { return nil, false }

func (u *upstream) Fetch(ctx context.Context, names []string, put func(string, *cache.Value, error)) {
	u.mu.Lock()
	hold, panics := u.hold, u.panics
	u.fetches = append(u.fetches, slices.Clone(names))
	for _, name := range names {
		u.calls[name]++
	}
	u.mu.Unlock()
	if panics {
		panic("upstream")
	}
	if hold != nil {
		hold(ctx)
	}
	for _, name := range names {
		if _, _, ok := u.Find(name); !ok {
			u.t.Errorf("Fetch of %q, which is not declared", name)
		}
		u.mu.Lock()
		v, err := u.values[name], u.errs[name]
		u.mu.Unlock()
		if ctx.Err() != nil {
			err = cache.ErrTimeout
		}
		if err != nil {
			v = nil
		}
		put(name, v, err)
	}
}

func (u *upstream) set(name string, v *cache.Value, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.values[name], u.errs[name] = v, err
}

func (u *upstream) count(name string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.calls[name]
}

// got is what a Fetch put for one name.
type got struct {
	v   *cache.Value
	err error
}

// fetchAll fetches names and fails the test unless each is put once.
func fetchAll(t testing.TB, ctx context.Context, s cache.Source, names ...string) map[string]got {
	t.Helper()
	var mu sync.Mutex // guards all
	all := make(map[string]got)
	s.Fetch(ctx, names, func(name string, v *cache.Value, err error) {
		mu.Lock()
		defer mu.Unlock()
		if _, again := all[name]; again || !slices.Contains(names, name) {
			t.Errorf("Fetch(%q) put %q again, or unasked", names, name)
		}
		all[name] = got{v, err}
	})
	if len(all) != len(names) {
		t.Errorf("Fetch(%q) put %d names", names, len(all))
	}
	return all
}

// read fetches one name and shows what came of it.
func read(t testing.TB, s cache.Source, name string) string {
	t.Helper()
	return show(fetchAll(t, bound(t, ample), s, name)[name])
}

func show(g got) string {
	var parts []string
	if g.v != nil {
		parts = append(parts, string(g.v.Body))
		if g.v.Shared {
			parts = append(parts, "shared")
		}
	}
	if g.err != nil {
		parts = append(parts, g.err.Error())
	}
	return strings.Join(parts, ", ")
}

func bound(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// lines collects log lines.
type lines struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// count says how many lines have part in them.
func (l *lines) count(part string) int { return strings.Count(l.String(), part) }

// ours makes a tier for tests: what is not set in o is set to what serves most of them.
func ours(t testing.TB, o Options) (*Tier, *lines) {
	t.Helper()
	log := &lines{}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second // a busy machine may be slow; tests of the bound set their own
	}
	if o.Prefix == "" {
		o.Prefix = "test/"
	}
	tier, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tier.Close)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of the tier:\n%s", log)
		}
	})
	return tier, log
}

func wantRead(t testing.TB, s cache.Source, name, want string) {
	t.Helper()
	if got := read(t, s, name); got != want {
		t.Errorf("Fetch(%q) put %q, want %q", name, got, want)
	}
}

func wantStats(t testing.TB, tier *Tier, want Stats) {
	t.Helper()
	if got := tier.Stats(); got != want {
		t.Errorf("Stats() = %+v, want %+v", got, want)
	}
}

// fixed is a key of the seal.
func fixed(b byte) func(context.Context) ([]byte, error) {
	key := []byte(strings.Repeat(string(rune(b)), KeySize))
	return func(context.Context) ([]byte, error) { return key, nil }
}

func name(i int) string { return fmt.Sprintf("name%02d", i) }

// until waits for what another process or goroutine does.
func until(t testing.TB, is func() bool) {
	t.Helper()
	late := time.After(10 * time.Second)
	for !is() {
		select {
		case <-late:
			t.Fatal("it has not come about in 10 s")
		case <-time.After(time.Millisecond):
		}
	}
}

// clock is a clock that a test moves on: by time that passes, or by time in which the sandbox is frozen.
type clock struct {
	now func() cache.Instant

	mu     sync.Mutex // guards what follows
	ahead  time.Duration
	frozen time.Duration // of ahead
}

func (c *clock) Now() cache.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.now()
	return cache.Instant{Wall: i.Wall.Add(c.ahead), Mono: i.Mono + c.ahead - c.frozen}
}

func (c *clock) wait(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

func (c *clock) freeze(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead, c.frozen = c.ahead+d, c.frozen+d
}
