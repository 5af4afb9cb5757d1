package page

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/caches"
	"cache-extension/extension/internal/server"
)

// secret is the beginning of every value: no page may show it.
const secret = "hunter2"

// world is what a page tells of: three caches over fakes of AWS, on a clock that stands still unless it is moved.
type world struct {
	t     testing.TB
	kinds []caches.Kind
	aws   map[string]*fake // by cachetype
	clock *clock
}

// clock is the clock of the caches.
type clock struct {
	mu  sync.Mutex // guards now
	now cache.Instant
}

func (c *clock) read() cache.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.Wall, c.now.Mono = c.now.Wall.Add(d), c.now.Mono+d
}

// fake is a cache.Source whose keys are answered as their replies say.
type fake struct {
	clock *clock
	keys  []*cache.Key

	mu      sync.Mutex // guards replies
	replies map[string]reply
}

type reply struct {
	size int           // of the value
	err  error         // in its place
	took time.Duration // by the clock of the caches
	hang chan struct{} // if not nil: no answer before it is closed
}

func (f *fake) Find(name string) (*cache.Key, string, bool) {
	for _, k := range f.keys {
		if k.Name == name {
			return k, "", true
		}
	}
	return nil, "", false
}

func (f *fake) Keys() []*cache.Key { return f.keys }

func (f *fake) Open(string) (*cache.Key, bool) { return nil, false }

func (f *fake) Fetch(ctx context.Context, names []string, put func(string, *cache.Value, error)) {
	for _, name := range names {
		f.mu.Lock()
		r := f.replies[name]
		f.mu.Unlock()
		if r.hang != nil {
			<-r.hang
		}
		f.clock.pass(r.took)
		if r.err != nil {
			put(name, nil, r.err)
			continue
		}
		put(name, &cache.Value{Body: fmt.Appendf(nil, "%-*s", r.size, secret)}, nil)
	}
}

func (f *fake) set(name string, r reply) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replies[name] = r
}

// newWorld declares entries as pairs of cachetype and name, on lines 10, 11 and so on, with a TTL of five minutes.
func newWorld(t testing.TB, entries ...string) *world {
	w := &world{t: t, aws: make(map[string]*fake), clock: &clock{now: cache.Instant{Wall: time.Now().Round(0)}}}
	for _, kind := range []string{"dynamodb", "parameters", "secrets"} {
		f := &fake{clock: w.clock, replies: make(map[string]reply)}
		for i := 0; i < len(entries); i += 2 {
			if entries[i] == kind {
				f.keys = append(f.keys, &cache.Key{Name: entries[i+1], Line: 10 + i/2, TTL: 5 * time.Minute, StaleIfError: time.Hour, Timeout: time.Minute})
			}
		}
		w.aws[kind] = f
		w.kinds = append(w.kinds, caches.Kind{Name: kind, Cache: cache.New(f, cache.Options{
			StaleWait: time.Minute, NegativeTTL: 10 * time.Second, Clock: w.clock.read,
		})})
	}
	return w
}

// read has name read so many times.
func (w *world) read(kind, name string, times int) {
	for _, k := range w.kinds {
		for range times {
			if k.Name == kind {
				k.Cache.Get(w.t.Context(), name, false)
			}
		}
	}
}

// busy returns a world with an entry in each state, most of them after an hour of use.
func busy(t testing.TB) *world {
	w := newWorld(t,
		"parameters", "/app/prod/db-url", "parameters", "/app/prod/flags/", "parameters", "/app/prod/old-name",
		"parameters", "/app/prod/rate", "secrets", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/payments/api-key-AbCdEf",
		"secrets", "github-webhook", "secrets", "signing-key", "dynamodb", "Users-acme-42", "dynamodb", "Users-acme-43", "dynamodb", "Settings-global",
	)
	const arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/payments/api-key-AbCdEf"
	p, s, d := w.aws["parameters"], w.aws["secrets"], w.aws["dynamodb"]
	p.keys[3].TTL = 0

	s.set(arn, reply{size: 1843, took: 62 * time.Millisecond})
	w.read("secrets", arn, 918)
	p.set("/app/prod/flags/", reply{size: 2210, took: 130 * time.Millisecond})
	w.read("parameters", "/app/prod/flags/", 311)
	d.set("Settings-global", reply{size: 90, took: 9 * time.Millisecond})
	w.read("dynamodb", "Settings-global", 52)
	w.clock.pass(10 * time.Minute)

	s.set(arn, reply{err: fmt.Errorf("GetSecretValue: %w", cache.ErrThrottled)})
	for range 8 {
		w.read("secrets", arn, 1)
		w.clock.pass(time.Minute)
	}
	w.read("secrets", arn, 40)
	p.set("/app/prod/flags/", reply{err: cache.ErrTimeout})
	w.read("parameters", "/app/prod/flags/", 1)
	d.set("Users-acme-43", reply{err: cache.ErrMissing, took: 11 * time.Millisecond})
	w.read("dynamodb", "Users-acme-43", 14)
	s.set("github-webhook", reply{err: cache.ErrDenied, took: 35 * time.Millisecond})
	w.read("secrets", "github-webhook", 6)
	s.set("signing-key", reply{err: fmt.Errorf("GetSecretValue: InternalServiceError")})
	w.read("secrets", "signing-key", 1)
	p.set("/app/prod/rate", reply{size: 12, took: 24 * time.Millisecond})
	w.read("parameters", "/app/prod/rate", 3)
	d.set("Users-acme-42", reply{size: 640, took: 8 * time.Millisecond})
	w.read("dynamodb", "Users-acme-42", 2047)
	w.clock.pass(170 * time.Second)
	p.set("/app/prod/db-url", reply{size: 84, took: 48 * time.Millisecond})
	w.read("parameters", "/app/prod/db-url", 12406)
	w.clock.pass(27 * time.Second)

	hang := make(chan struct{})
	d.set("Settings-global", reply{size: 90, hang: hang})
	var reader sync.WaitGroup
	reader.Go(func() { w.read("dynamodb", "Settings-global", 1) })
	t.Cleanup(func() {
		close(hang)
		reader.Wait()
	})
	s.set(arn, reply{err: cache.ErrThrottled})
	w.read("secrets", arn, 1)
	return w
}

// site is a world served on loopback, by the server that cachectl serve uses.
type site struct {
	*world
	asked  atomic.Int64 // for the page and its data
	server *server.Server
	port   int
}

func (w *world) serve(token string) *site {
	s := &site{world: w}
	s.start(0, token)
	return s
}

// start serves on the port, or on a free one for 0, until stop or the end of the test.
func (s *site) start(port int, token string) {
	s.t.Helper()
	pages := New(Options{
		Caches:  func() []caches.Kind { return s.kinds },
		Config:  func() string { return "config.yaml" },
		Started: time.Now().Add(-2*time.Hour - 5*time.Minute),
		Version: "0.1.0",
	})
	for path, page := range pages {
		pages[path] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.asked.Add(1)
			page.ServeHTTP(w, r)
		})
	}
	all := make(map[string]*cache.Cache)
	for _, k := range s.kinds {
		all[k.Name] = k.Cache
	}
	l, err := server.Listen(port)
	if err != nil {
		s.t.Fatal(err)
	}
	srv := server.New(server.Options{Caches: all, Token: token, Pages: pages, Log: slog.New(slog.DiscardHandler)})
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	s.server, s.port = srv, l.Port()
	s.t.Cleanup(func() {
		s.stop(srv)
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
}

// stop stops srv, which may have been stopped before.
func (s *site) stop(srv *server.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		s.t.Error(err)
	}
}

// url is the site's own address.
func (s *site) url(path string) string { return fmt.Sprintf("http://localhost:%d%s", s.port, path) }
