package cache

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// tenants is a Source of open names alone: any "t/<n>" has a value of size bytes, any "gone/<n>" is missing in AWS.
type tenants struct {
	size int
	ttl  time.Duration

	mu    sync.Mutex // guards calls
	calls map[string]int
}

func (s *tenants) Find(string) (*Key, string, bool) { return nil, "", false }

func (s *tenants) Keys() []*Key { return nil }

func (s *tenants) Open(name string) (*Key, bool) {
	if !strings.HasPrefix(name, "t/") && !strings.HasPrefix(name, "gone/") {
		return nil, false
	}
	return &Key{
		Name: name, TTL: s.ttl, StaleIfError: time.Hour, Timeout: 2 * time.Second, Open: true,
		Identity: fmt.Sprintf("%q", [...]string{"eu-central-1", "Tenants", "id", "S", name}),
	}, true
}

func (s *tenants) Fetch(_ context.Context, names []string, put func(string, *Value, error)) {
	for _, name := range names {
		s.mu.Lock()
		if s.calls != nil {
			s.calls[name]++
		}
		s.mu.Unlock()
		if strings.HasPrefix(name, "gone/") {
			put(name, nil, fmt.Errorf("%w: no item has this key%s", ErrMissing, strings.Repeat("x", s.size)))
			continue
		}
		put(name, &Value{Body: append(make([]byte, 0, s.size), name...)}, nil)
	}
}

// newTenants returns a cache of open names with a Memory of its own.
func newTenants(src *tenants, maxEntries int, maxBytes int64) (*Cache, *Memory) {
	src.ttl = time.Hour
	m := NewMemory(maxEntries, maxBytes)
	opts := defaults()
	opts.Memory = m
	return New(src, opts), m
}

// use reads name twice over, as the server does: the fast path first. It says whether the fast path had it.
func use(t testing.TB, c *Cache, name string) (hit bool) {
	t.Helper()
	if a, ok := c.Hit(name, 1<<20); ok {
		if got := string(a.Value.Body); got != name {
			t.Errorf("Hit(%q) = %q, want its own value", name, got)
		}
		return true
	}
	a, err := c.Get(context.Background(), name, false)
	if err != nil {
		t.Errorf("Get(%q) = %v, want a value", name, err)
	} else if got := string(a.Value.Body); got != name {
		t.Errorf("Get(%q) = %q, want its own value", name, got)
	}
	return false
}

// sound compares what a Memory says of itself with what is in it.
func (m *Memory) sound(t testing.TB) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	shares := make(map[*Cache]share)
	for _, g := range []*segment{&m.probation, &m.protected} {
		var bytes int64
		for _, s := range g.Values() {
			bytes += s.place.weight
			h := shares[s.place.cache]
			h.add(s.place.held, 1)
			shares[s.place.cache] = h
			if s.place.protected != (g == &m.protected) || s.place.uses < 0 {
				t.Errorf("%q: protected %v, %d uses, want what its segment says", s.key.Name, s.place.protected, s.place.uses)
			}
		}
		if bytes != g.bytes {
			t.Errorf("bytes of a segment = %d, want %d, the sum of its slots", g.bytes, bytes)
		}
	}
	for c, want := range shares {
		if c.open != want {
			t.Errorf("share of a cache = %+v, want %+v, the sum of its slots", c.open, want)
		}
	}
	if share := m.maxBytes * protectedShare / 100; m.protected.Len() > 1 && m.protected.bytes > share {
		t.Errorf("%d bytes are protected, want at most %d", m.protected.bytes, share)
	}
	if len(m.flying) == 0 && m.full() {
		t.Errorf("%d names and %d bytes are held while none is in use, want at most %d and %d",
			m.probation.Len()+m.protected.Len(), m.probation.bytes+m.protected.bytes, m.maxEntries, m.maxBytes)
	}
}

func TestScanKeepsWhatIsReadOften(t *testing.T) {
	const hot, most = 500, 1000
	src := &tenants{size: 200}
	c, m := newTenants(src, most, 1<<30)
	for range 2 {
		for i := range hot {
			use(t, c, "t/hot"+strconv.Itoa(i))
		}
	}
	for i := range 100_000 {
		visit(c, src, "t/"+strconv.Itoa(i))
	}
	for i := range hot {
		if name := "t/hot" + strconv.Itoa(i); !use(t, c, name) {
			t.Fatalf("%q was evicted by a scan, want it kept", name)
		}
	}
	m.sound(t)
	if got, want := c.Stats(), uint64(100_000+hot-most); got.Evictions != want || got.Entries != most {
		t.Errorf("Stats = %+v, want %d evictions and %d entries", got, want, most)
	}
}

func TestProbationOutlivesTheFirstEvictions(t *testing.T) {
	src := &tenants{size: 64}
	c, _ := newTenants(src, 10, 1<<30)
	for i := range 10 {
		use(t, c, "t/"+strconv.Itoa(i))
	}
	use(t, c, "t/0") // the oldest, now read twice
	use(t, c, "t/new")
	for _, tt := range []struct {
		name string
		want bool
	}{{"t/0", true}, {"t/1", false}, {"t/9", true}, {"t/new", true}} {
		if _, got := c.Hit(tt.name, 1<<20); got != tt.want {
			t.Errorf("Hit(%q) = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// What is protected is no more than its share, so that newcomers are not evicted at once.
func TestNewcomersHaveRoom(t *testing.T) {
	for _, tt := range []struct {
		name       string
		maxEntries int
		maxBytes   int64
	}{
		{"bound by names", 100, 1 << 30},
		{"bound by bytes", 1 << 20, 100 * (slotWeight + valueWeight + 64 + 80)},
		{"one name", 1, 1 << 30},
		{"two names", 2, 1 << 30},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := &tenants{size: 64}
			c, m := newTenants(src, tt.maxEntries, tt.maxBytes)
			for range 3 {
				for i := range 200 {
					use(t, c, "t/old"+strconv.Itoa(i))
					use(t, c, "t/old"+strconv.Itoa(i))
				}
			}
			use(t, c, "t/new")
			if !use(t, c, "t/new") {
				t.Error("a new name was not kept until its second read")
			}
			m.sound(t)
		})
	}
}

func TestLargeValues(t *testing.T) {
	const most = 64 << 10
	src := &tenants{size: 20 << 10}
	c, m := newTenants(src, 1000, most)
	for i := range 5 {
		use(t, c, "t/"+strconv.Itoa(i))
		use(t, c, "t/"+strconv.Itoa(i))
	}
	use(t, c, "t/new")
	if !use(t, c, "t/new") {
		t.Error("a value of a third of the bound was not kept until its second read")
	}
	src.size = most
	before := c.Stats()
	for range 2 {
		if a, err := c.Get(t.Context(), "t/huge", false); err != nil || a.How != Missed {
			t.Errorf("a read of a value larger than the bound = %v, %v, want it answered alone, as one never held", a.How, err)
		}
	}
	if after := c.Stats(); after.Entries != before.Entries || after.Evictions != before.Evictions {
		t.Errorf("Stats after a value larger than the bound = %+v, want nothing evicted since %+v", after, before)
	}
	m.sound(t)
}

func TestProtectedValuesMayGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &tenants{size: 15 << 10}
		c, m := newTenants(src, 1000, 64<<10)
		names := []string{"t/1", "t/2", "t/3"}
		for _, name := range names {
			use(t, c, name)
			use(t, c, name)
		}
		m.sound(t)
		wait(2 * time.Second)
		src.size = 24 << 10
		for _, name := range names {
			if _, err := c.Get(t.Context(), name, true); err != nil {
				t.Errorf("Get(%q, refresh) = %v, want a value", name, err)
			}
			m.sound(t)
		}
	})
}

// Of two readers that find no slot at one moment, the second takes the first one's.
func TestOneSlotForAName(t *testing.T) {
	c, m := newTenants(&tenants{}, 10, 1<<30)
	slot := func() *slot {
		k, _ := c.source.Open("t/1")
		s := c.newSlot(k)
		s.place = &place{cache: c}
		return s
	}
	first, second := m.admit(slot()), m.admit(slot())
	if first != second {
		t.Error("two slots for one name, want one")
	}
	m.leave(first)
	m.leave(second)
	m.sound(t)
}

// heap is what is in use once the garbage is gone.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what a finalizer or a weak pointer held
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A scan over a million names takes no more memory than the bound, by what the garbage collector counts.
// TestHitLeavesLargeValuesToGet: what may wait for its reader is net/http's to send, which waits for it at a shutdown.
func TestHitLeavesLargeValuesToGet(t *testing.T) {
	c, _ := newTenants(&tenants{size: 64}, 10, 1<<30)
	if _, err := c.Get(t.Context(), "t/1", false); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		most int
		want bool
	}{{len("t/1") - 1, false}, {len("t/1"), true}} {
		if _, got := c.Hit("t/1", tt.most); got != tt.want {
			t.Errorf("Hit of %d bytes, at most %d: %t, want %t", len("t/1"), tt.most, got, tt.want)
		}
	}
}

func TestScanStaysWithinTheBound(t *testing.T) {
	million := 1_000_000
	if testing.Short() || raceDetected() {
		million = 50_000
	}
	for _, tt := range []struct {
		name     string
		format   string
		size     int
		maxBytes int64
		most     int
		names    int
	}{
		{"small values", "t/%d", 100, 16 << 20, 1 << 30, million},
		{"maps that have just grown", "t/%d", 1, 10_900_000, 1 << 30, 20_000},
		{"bound by names", "t/%d", 100, 1 << 40, 5000, 20_000},
		{"missing", "gone/%d", 0, 8 << 20, 1 << 30, 30_000},
		{"missing, told at length", "gone/%d", 2000, 8 << 20, 1 << 30, 30_000},
		{"values of a page", "t/%d", 4096, 16 << 20, 1 << 30, 20_000},
		{"values that the allocator rounds up", "t/%d", 33<<10 + 1, 16 << 20, 1 << 30, 5000},
		{"small values that it rounds up", "t/%d", 1025, 16 << 20, 1 << 30, 20_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := &tenants{size: tt.size}
			c, m := newTenants(src, tt.most, tt.maxBytes)
			rest := strings.Repeat("x", 500) // of the request that the name is a part of; not to be kept
			before := heap()
			for i := range tt.names {
				name := fmt.Sprintf(tt.format, i)
				visit(c, src, (name + rest)[:len(name)])
			}
			used := heap() - before
			m.sound(t)
			s := c.Stats()
			bound := min(tt.maxBytes, int64(tt.most)*int64(slotWeight+valueWeight+tt.size+100))
			t.Logf("%d names read, %d values and %d bytes held, %d KiB of heap of %d allowed", tt.names, s.Entries, s.Bytes, used>>10, bound>>10)
			if used > bound {
				t.Errorf("heap in use = %d bytes, want at most %d", used, bound)
			}
			if s.Evictions == 0 || used < bound/2 {
				t.Errorf("heap in use = %d bytes after %d evictions, want it filled to the bound of %d", used, s.Evictions, bound)
			}
			runtime.KeepAlive(c)
		})
	}
}

// raceDetected says whether the race detector is on, under which a million of anything takes half a minute.
func raceDetected() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// visit reads a name that was never read, as Get does but without a goroutine: a million of them take long enough.
func visit(c *Cache, src *tenants, name string) {
	s := c.enter(name)
	defer c.opts.Memory.leave(s)
	s.mu.Lock()
	f := c.take(s, c.now())
	s.mu.Unlock()
	src.Fetch(context.Background(), []string{name}, func(_ string, v *Value, err error) { c.land(s, f, v, err, false) })
	if f.entry != nil {
		f.entry.value.Memo(representation)
	}
}

// representation is about what the server keeps with a value: headers, ready to send.
func representation(v *Value) any {
	return &[]any{strings.Repeat("h", 180), []string{strings.Repeat("t", 26)}, []string{strings.Repeat("1", 8)}, v.Body}
}

func TestMissingIsRememberedWithinTheBound(t *testing.T) {
	src := &tenants{calls: make(map[string]int)}
	c, m := newTenants(src, 100, 1<<30)
	for i := range 1000 {
		name := "gone/" + strconv.Itoa(i)
		for range 2 {
			if _, err := c.Get(t.Context(), name, false); class(err) != "missing" {
				t.Fatalf("Get(%q) = %v, want missing", name, err)
			}
		}
		if got := src.calls[name]; got != 1 {
			t.Fatalf("calls for %q = %d, want 1: it is remembered", name, got)
		}
	}
	m.sound(t)
	if got := c.Stats(); got.Evictions != 900 || got.Entries != 0 || got.Bytes != 0 {
		t.Errorf("Stats = %+v, want 900 evictions and no values", got)
	}
}

// Caches that share a Memory have one bound, and names of their own.
func TestMemoryIsShared(t *testing.T) {
	m := NewMemory(100, 1<<30)
	opts := defaults()
	opts.Memory = m
	a, b := New(&tenants{size: 10, ttl: time.Hour}, opts), New(&tenants{size: 1000, ttl: time.Hour}, opts)
	for i := range 80 {
		use(t, a, "t/"+strconv.Itoa(i))
	}
	for i := range 60 {
		use(t, b, "t/"+strconv.Itoa(i))
	}
	m.sound(t)
	if x, y := a.Stats(), b.Stats(); x.Entries != 40 || x.Evictions != 40 || y.Entries != 60 || y.Evictions != 0 {
		t.Errorf("Stats = %+v and %+v, want 40 entries and 40 evictions, and 60 entries", x, y)
	}
}

func TestOpenNamesAreReadByManyAtOnce(t *testing.T) {
	src := &tenants{size: 300}
	c, m := newTenants(src, 200, 300*(slotWeight+valueWeight+400))
	c.opts.Waiting = NewWaiting(8)
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for i := range 3000 {
				n := i
				if i%3 == 0 {
					n = i % 60 // read often
				}
				name := "t/" + strconv.Itoa(n)
				if i%7 == 0 {
					name = "gone/" + strconv.Itoa(n)
				}
				a, err := c.Get(t.Context(), name, g == 0 && i%5 == 0)
				switch got := class(err); {
				case err == nil && string(a.Value.Body) != name:
					t.Errorf("Get(%q) = %q, want its own value", name, a.Value.Body)
				case err != nil && got != "missing" && got != "busy":
					t.Errorf("Get(%q) = %v, want a value, missing or busy", name, err)
				}
				switch {
				case i%500 == 0:
					c.Thaw()
				case i%300 == 0:
					c.Stats()
				}
			}
		})
	}
	all.Wait()
	m.sound(t)
}

// Slots in use are no candidates, and what they take too much is given back once they are released.
func TestEvictionWaitsForReaders(t *testing.T) {
	src := &tenants{size: 10}
	c, m := newTenants(src, 3, 1<<30)
	use(t, c, "t/hot")
	use(t, c, "t/hot")
	var inUse []*slot
	for i := range 6 {
		inUse = append(inUse, c.enter("t/"+strconv.Itoa(i)))
	}
	if got := m.probation.Len() + m.protected.Len(); got != 7 {
		t.Errorf("names while six are in use = %d, want 7: none of them was evicted", got)
	}
	if _, ok := c.Hit("t/hot", 1<<20); !ok {
		t.Error("a protected name made way for names in use, want it kept")
	}
	for _, s := range slices.Backward(inUse) {
		m.leave(s)
	}
	m.sound(t)
	if got := m.probation.Len() + m.protected.Len(); got != 3 {
		t.Errorf("names once none is in use = %d, want 3", got)
	}
}
