package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cache-extension/extension/internal/cache"
)

// What must never be seen in an answer that is not the value, and what never at all.
const (
	secretText   = "value-nobody-may-see"
	upstreamText = "upstream-text-nobody-may-see"
)

// reply is what AWS answers for one name.
type reply struct {
	body    string
	binary  bool
	members map[string]*cache.Value // of a path, whose name ends in a slash
	err     error                   // instead of a value
	panics  any                     // Fetch panics with it
	hold    <-chan struct{}         // AWS answers once it is closed; nil at once
	hang    bool                    // AWS never answers
}

// testSource is a cache.Source whose answers a test sets before or between reads.
type testSource struct {
	keys []*cache.Key

	mu      sync.Mutex // guards what follows
	replies map[string]reply
	calls   map[string]int
	find    any // what Find panics with
}

func newSource(replies map[string]reply) *testSource {
	s := &testSource{replies: replies, calls: make(map[string]int)}
	for name := range replies {
		s.keys = append(s.keys, &cache.Key{Name: name, TTL: time.Minute, StaleIfError: time.Hour, Timeout: 2 * time.Second})
	}
	return s
}

func (s *testSource) Keys() []*cache.Key { return s.keys }

func (s *testSource) Open(string) (*cache.Key, bool) { return nil, false }

func (s *testSource) Find(name string) (*cache.Key, string, bool) {
	s.mu.Lock()
	v := s.find
	s.mu.Unlock()
	if v != nil {
		panic(v)
	}
	for _, k := range s.keys {
		if k.Name == name {
			return k, "", true
		}
		if member, ok := strings.CutPrefix(name, k.Name); ok && strings.HasSuffix(k.Name, "/") {
			return k, member, true
		}
	}
	return nil, "", false
}

func (s *testSource) Fetch(ctx context.Context, names []string, put func(string, *cache.Value, error)) {
	for _, name := range names {
		s.mu.Lock()
		s.calls[name]++
		r := s.replies[name]
		s.mu.Unlock()
		if r.hold != nil || r.hang {
			select {
			case <-r.hold:
			case <-ctx.Done():
				put(name, nil, cache.ErrTimeout)
				continue
			}
		}
		switch {
		case r.panics != nil:
			panic(r.panics)
		case r.err != nil:
			put(name, nil, r.err)
		default:
			put(name, &cache.Value{Body: []byte(r.body), Binary: r.binary, Members: r.members}, nil)
		}
	}
}

func (s *testSource) set(name string, r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies[name] = r
}

// panicInFind makes every read panic before it comes to a flight, that is in the handler; nil ends that.
func (s *testSource) panicInFind(v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.find = v
}

func (s *testSource) count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[name]
}

// setup says how a fixture differs from the usual.
type setup struct {
	token string                  // Options.Token
	pages map[string]http.Handler // Options.Pages
	cache cache.Options           // of all three caches, but for StaleWait; a nil Waiting sets no bound
	log   *bytes.Buffer           // what the server logs; nil throws it away
}

// fixture is a Server over real caches over one source, the same for each kind.
type fixture struct {
	*Server
	src *testSource
}

func newFixture(replies map[string]reply, with setup) *fixture {
	src := newSource(replies)
	with.cache.StaleWait = 500 * time.Millisecond
	caches := make(map[string]*cache.Cache)
	for _, kind := range []string{"dynamodb", "parameters", "secrets"} {
		caches[kind] = cache.New(src, with.cache)
	}
	log := slog.New(slog.DiscardHandler)
	if with.log != nil {
		log = slog.New(slog.NewJSONHandler(with.log, nil))
	}
	return &fixture{New(Options{Caches: caches, Token: with.token, Log: log, Pages: with.pages}), src}
}

// request makes a request as the function itself would send it, with pairs of header names and values.
func request(method, target string, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "localhost:4000"
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// ask has the request answered in this goroutine.
func (f *fixture) ask(method, target string, header ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, request(method, target, header...))
	return w
}

// wantBody compares status and body of the answer to GET target.
func (f *fixture) wantBody(t testing.TB, target string, status int, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := f.ask("GET", target)
	if w.Code != status || w.Body.String() != body {
		t.Errorf("GET %s = %d %q, want %d %q", target, w.Code, w.Body, status, body)
	}
	return w
}

// wantHeader compares one header field; an empty want says that it must not be there.
func wantHeader(t testing.TB, h http.Header, name, want string) {
	t.Helper()
	got := h.Values(name)
	if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || got[0] != want) {
		t.Errorf("%s = %q, want %q", name, got, want)
	}
}

// problemBody is what a program reads of a problem.
type problemBody struct {
	Type, Title string
	Status      int
	Detail      string
	Code        string
}

// wantProblem holds an answer to the shape of a problem and compares status, code and detail; an empty detail is not
// compared.
func wantProblem(t testing.TB, w *httptest.ResponseRecorder, status int, code, detail string) {
	t.Helper()
	wantHeader(t, w.Header(), "Content-Type", "application/problem+json")
	wantHeader(t, w.Header(), "Content-Length", fmt.Sprint(w.Body.Len()))
	wantHeader(t, w.Header(), "Cache-Control", "no-store")
	wantHeader(t, w.Header(), "X-Content-Type-Options", "nosniff")
	for _, name := range []string{"ETag", "Age", "Cache-Status"} {
		wantHeader(t, w.Header(), name, "")
	}
	for _, secret := range []string{secretText, upstreamText} {
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("the problem says %q", secret)
		}
	}
	var got problemBody
	d := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("the answer %d %q is no problem: %v", w.Code, w.Body, err)
	}
	want := problemBody{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: got.Detail, Code: code}
	if detail != "" {
		want.Detail = detail
	}
	if got != want || w.Code != status {
		t.Errorf("status %d with problem\n%+v, want status %d with\n%+v", w.Code, got, status, want)
	}
	if got.Detail == "" {
		t.Error("the problem has no detail")
	}
}
