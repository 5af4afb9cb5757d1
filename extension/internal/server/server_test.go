package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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
	token string        // Options.Token
	cache cache.Options // of all three caches, but for StaleWait; a nil Waiting sets no bound
	log   *bytes.Buffer // what the server logs; nil throws it away
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
	return &fixture{New(Options{Caches: caches, Token: with.token, Log: log}), src}
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

func TestProblems(t *testing.T) {
	failures := map[string]reply{
		"ok":        {body: secretText},
		"json":      {body: `{"a":"` + secretText + `"}`},
		"bytes":     {body: "{}", binary: true},
		"tree/":     {body: "{}", members: map[string]*cache.Value{}},
		"missing":   {err: fmt.Errorf("%s: %w", upstreamText, cache.ErrMissing)},
		"denied":    {err: fmt.Errorf("%s: %w", upstreamText, cache.ErrDenied)},
		"throttled": {err: fmt.Errorf("%s: %w", upstreamText, cache.ErrThrottled)},
		"timeout":   {err: fmt.Errorf("%s: %w", upstreamText, cache.ErrTimeout)},
		"upstream":  {err: errors.New(upstreamText)},
		"panic":     {panics: upstreamText},
	}
	const fault = "cache-extension has a fault; its log has the stack. Please report it. Other reads are not affected."
	const route = "There is nothing at this path. Read /dynamodb, /parameters or /secrets with ?name=<name>, or /healthz or /stats."
	for _, row := range []struct {
		name, method, target string
		status               int
		code, detail         string
		allow, retryAfter    string
	}{
		{name: "no name", target: "/secrets", status: 400, code: "bad_request",
			detail: "Say which entry of config.yaml to read: /secrets?name=<name>."},
		{name: "bad field", target: "/secrets?name=json&field=a", status: 400, code: "bad_request",
			detail: `The field "a" is not a JSON pointer (RFC 6901): start it with /, and write ~ as ~0 and / in a key as ~1.`},
		{name: "unknown parameter", target: "/secrets?name=json&versionId=1", status: 400, code: "bad_request",
			detail: `Unknown parameter "versionId": use name, field and refresh, and encode & in a name as %26.`},
		{name: "denied item", target: "/dynamodb?name=denied", status: 403, code: "denied",
			detail: `AWS denied the read of "denied". Allow the function's role dynamodb:GetItem and dynamodb:BatchGetItem on it, and kms:Decrypt if a key of yours encrypts it.`},
		{name: "denied parameter", target: "/parameters?name=denied", status: 403, code: "denied",
			detail: `AWS denied the read of "denied". Allow the function's role ssm:GetParameter and ssm:GetParameters (ssm:GetParametersByPath for a path) on it, and kms:Decrypt if a key of yours encrypts it.`},
		{name: "denied secret", target: "/secrets?name=denied", status: 403, code: "denied",
			detail: `AWS denied the read of "denied". Allow the function's role secretsmanager:GetSecretValue on it, and kms:Decrypt if a key of yours encrypts it.`},
		{name: "no route", target: "/nosuch?name=ok", status: 404, code: "no_route", detail: route},
		{name: "root", target: "/", status: 404, code: "no_route", detail: route},
		{name: "undeclared", target: "/parameters?name=nosuch", status: 404, code: "undeclared",
			detail: `"nosuch" is not declared under parameters in config.yaml. Add it there, or correct the name.`},
		{name: "missing item", target: "/dynamodb?name=missing", status: 404, code: "missing",
			detail: `AWS has no item behind "missing". Create it, or correct its entry in config.yaml (name, key, region, version).`},
		{name: "missing parameter", target: "/parameters?name=missing", status: 404, code: "missing",
			detail: `AWS has no parameter behind "missing". Create it, or correct its entry in config.yaml (name, key, region, version).`},
		{name: "missing secret", target: "/secrets?name=missing", status: 404, code: "missing",
			detail: `AWS has no secret behind "missing". Create it, or correct its entry in config.yaml (name, key, region, version).`},
		{name: "missing below a path", target: "/parameters?name=tree/x", status: 404, code: "missing",
			detail: `AWS has no parameter behind "tree/x". Create it, or correct its entry in config.yaml (name, key, region, version).`},
		{name: "no field", target: "/secrets?name=json&field=/b", status: 404, code: "no_field",
			detail: `The value of "json" has nothing at the field "/b", or is not JSON. Read it without field to see what it holds.`},
		{name: "field of text", target: "/secrets?name=ok&field=/b", status: 404, code: "no_field",
			detail: `The value of "ok" has nothing at the field "/b", or is not JSON. Read it without field to see what it holds.`},
		{name: "field of bytes", target: "/secrets?name=bytes&field=/b", status: 404, code: "no_field",
			detail: `The value of "bytes" has nothing at the field "/b", or is not JSON. Read it without field to see what it holds.`},
		{name: "method", method: "POST", target: "/secrets?name=ok", status: 405, code: "method", allow: "GET, HEAD",
			detail: "This is read only: use GET or HEAD."},
		{name: "panic", target: "/secrets?name=panic", status: 500, code: "internal", detail: fault},
		{name: "upstream", target: "/secrets?name=upstream", status: 502, code: "upstream", retryAfter: "1",
			detail: `AWS refused or failed the read of "upstream" and nothing older is held. The log of the extension names the cause.`},
		{name: "throttled", target: "/secrets?name=throttled", status: 503, code: "throttled", retryAfter: "1",
			detail: `AWS throttled the read of "throttled" and nothing older is held. Try again after Retry-After; a longer ttl asks AWS less often.`},
		{name: "timeout", target: "/secrets?name=timeout", status: 504, code: "timeout", retryAfter: "1",
			detail: `AWS did not answer the read of "timeout" within timeout and nothing older is held. Check the network (VPC endpoint, security group), or raise timeout in config.yaml.`},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(failures, setup{})
			if row.method == "" {
				row.method = "GET"
			}
			w := f.ask(row.method, row.target)
			wantProblem(t, w, row.status, row.code, row.detail)
			wantHeader(t, w.Header(), "Allow", row.allow)
			wantHeader(t, w.Header(), "Retry-After", row.retryAfter)
		})
	}
}

// TestUndeclaredAsksNobody also holds for what is refused earlier.
func TestUndeclaredAsksNobody(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: "v"}}, setup{})
	for _, target := range []string{"/secrets?name=b", "/secrets?name=a&x=1", "/secrets?name=a&field=x", "/secret?name=a"} {
		if w := f.ask("GET", target); w.Code < 400 {
			t.Errorf("GET %s = %d, want a problem", target, w.Code)
		}
	}
	if got := f.src.count("a") + f.src.count("b"); got != 0 {
		t.Errorf("%d calls were made, want 0", got)
	}
}

func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		f := newFixture(map[string]reply{"held": {body: "v1"}, "slow": {body: "v2", hold: hold}},
			setup{cache: cache.Options{Waiting: cache.NewWaiting(1)}})
		f.wantBody(t, "/secrets?name=held", 200, "v1")
		first := make(chan *httptest.ResponseRecorder, 1)
		go func() { first <- f.ask("GET", "/secrets?name=slow") }()
		synctest.Wait()

		w := f.ask("GET", "/secrets?name=slow")
		wantProblem(t, w, 429, "busy", "server.max_waiting readers already wait for AWS. Try again in a second, or raise it in config.yaml.")
		wantHeader(t, w.Header(), "Retry-After", "1")
		f.wantBody(t, "/secrets?name=held", 200, "v1") // a hit waits for nobody

		close(hold)
		if w := <-first; w.Code != 200 || w.Body.String() != "v2" {
			t.Errorf("the reader who waited got %d %q, want 200 %q", w.Code, w.Body, "v2")
		}
	})
}

func TestRetryAfter(t *testing.T) {
	for _, row := range []struct {
		name  string
		input time.Duration
		want  string
	}{
		{"none left", 0, "1"},
		{"less than a second", time.Millisecond, "1"},
		{"one second", time.Second, "1"},
		{"rounded up", time.Second + 1, "2"},
		{"longest", 36 * time.Second, "36"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(nil, setup{})
			for _, err := range []error{cache.ErrThrottled, cache.ErrTimeout, errors.New("reset")} {
				w := httptest.NewRecorder()
				f.problemOf(&cache.Failure{Err: err, RetryAfter: row.input}, "secrets", "a").write(w)
				wantHeader(t, w.Header(), "Retry-After", row.want)
			}
		})
	}
}

// TestHeldOff is Retry-After from a real hold-off, which is 16 s give or take a fifth after eight failures.
func TestHeldOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(map[string]reply{"a": {err: cache.ErrThrottled}}, setup{})
		for f.src.count("a") < 8 {
			f.ask("GET", "/secrets?name=a")
			time.Sleep(time.Second)
		}
		w := f.ask("GET", "/secrets?name=a")
		wantProblem(t, w, 503, "throttled", "")
		var got int
		if _, err := fmt.Sscan(w.Header().Get("Retry-After"), &got); err != nil || got < 11 || got > 19 {
			t.Errorf("Retry-After = %q, want what is left of 12.8 to 19.2 s after one second", w.Header().Get("Retry-After"))
		}
	})
}

// TestSourcePanics: the flight is lost, its readers know, the next flight is as good as any.
func TestSourcePanics(t *testing.T) {
	told := make(chan error, 1)
	f := newFixture(map[string]reply{"a": {panics: secretText}}, setup{cache: cache.Options{
		Report: func(_ *cache.Key, err error) { told <- err },
	}})
	wantProblem(t, f.ask("GET", "/secrets?name=a"), 500, "internal", "")
	var p *cache.PanicError
	if err := <-told; !errors.As(err, &p) || !bytes.Contains(p.Stack, []byte("testSource).Fetch")) {
		t.Errorf("reported %v, want a PanicError with the stack of Fetch", err)
	}
	f.src.set("a", reply{body: "v"})
	f.wantBody(t, "/secrets?name=a", 200, "v")
}

func TestHandlerPanics(t *testing.T) {
	var log bytes.Buffer
	f := newFixture(map[string]reply{"a": {body: secretText}}, setup{log: &log})
	f.src.panicInFind(secretText)
	wantProblem(t, f.ask("GET", "/secrets?name=a"), 500, "internal", "")
	var line struct{ Level, Msg, Error, Stack string }
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("the log %q is not one line: %v", log.String(), err)
	}
	if want := "panic of type string"; line.Level != "ERROR" || line.Error != want {
		t.Errorf("logged level %q with error %q, want ERROR with %q", line.Level, line.Error, want)
	}
	if !strings.Contains(line.Stack, "testSource).Find") {
		t.Errorf("logged the stack %q, want one with Find in it", line.Stack)
	}
	if strings.Contains(log.String(), secretText) {
		t.Error("the log holds what the panic said")
	}
	f.src.panicInFind(nil)
	f.wantBody(t, "/secrets?name=a", 200, secretText)
}

// brittleWriter panics at the first body.
type brittleWriter struct {
	*httptest.ResponseRecorder
	broke bool
}

func (w *brittleWriter) Write(b []byte) (int, error) {
	if !w.broke {
		w.broke = true
		panic("broken")
	}
	return w.ResponseRecorder.Write(b)
}

// TestPanicAfterHeaders: what was set for a value must not be sent with a problem.
func TestPanicAfterHeaders(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: "{}"}}, setup{})
	w := &brittleWriter{ResponseRecorder: httptest.NewRecorder()}
	f.ServeHTTP(w, request("GET", "/secrets?name=a"))
	if !w.broke {
		t.Fatal("no body was written")
	}
	wantProblem(t, w.ResponseRecorder, 500, "internal", "")
}

func TestRoutes(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: "v"}}, setup{})
	for _, row := range []struct {
		input string
		want  int
	}{
		{"/dynamodb?name=a", 200},
		{"/parameters?name=a", 200},
		{"/secrets?name=a", 200},
		{"/healthz", 200},
		{"/stats", 200},
		{"/secrets/?name=a", 404},
		{"/secrets/a", 404},
		{"//secrets?name=a", 404},
		{"/./secrets?name=a", 404},
		{"/x/../secrets?name=a", 404},
		{"/Secrets?name=a", 404},
		{"/healthz/", 404},
		{"/stats/", 404},
		{"/metrics", 404},
		{"/?name=a", 404},
	} {
		if got := f.ask("GET", row.input); got.Code != row.want {
			t.Errorf("GET %s = %d, want %d", row.input, got.Code, row.want)
		}
	}
}

func TestHealthz(t *testing.T) {
	w := newFixture(nil, setup{}).wantBody(t, "/healthz", 200, "ok")
	wantHeader(t, w.Header(), "Content-Type", "text/plain; charset=utf-8")
}

func TestStats(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: "four"}, "b": {err: cache.ErrDenied}}, setup{})
	f.ask("GET", "/secrets?name=a")
	f.ask("GET", "/secrets?name=a")
	f.ask("GET", "/secrets?name=b")
	const zero = `{"hits":0,"stale":0,"misses":0,"collapsed":0,"fetches":0,"errors":{"missing":0,"denied":0,"throttled":0,"timeout":0,"upstream":0},"entries":0,"bytes":0}`
	const secrets = `{"hits":1,"stale":0,"misses":2,"collapsed":0,"fetches":2,"errors":{"missing":0,"denied":1,"throttled":0,"timeout":0,"upstream":0},"entries":1,"bytes":4}`
	w := f.wantBody(t, "/stats", 200, `{"dynamodb":`+zero+`,"parameters":`+zero+`,"secrets":`+secrets+`}`)
	wantHeader(t, w.Header(), "Content-Type", "application/json")
}

// TestHeaders: what every answer has, and what none but those of a value have.
func TestHeaders(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: `{"k":"v"}`}, "x": {err: cache.ErrDenied}}, setup{})
	for _, row := range []struct {
		input string // the query of a read or another path
		match string // If-None-Match
		want  int
		value bool // has ETag, Age and Cache-Status
	}{
		{input: "/secrets?name=a", want: 200, value: true},
		{input: "/secrets?name=a&field=/k", want: 200, value: true},
		{input: "/secrets?name=a&refresh=true", want: 200, value: true},
		{input: "/secrets?name=a", match: "*", want: 304, value: true},
		{input: "/secrets?name=a&field=/k", match: "*", want: 304, value: true},
		{input: "/secrets?name=a&field=/z", match: "*", want: 404},
		{input: "/secrets?name=x", match: "*", want: 403},
		{input: "/secrets?name=b", want: 404},
		{input: "/secrets", want: 400},
		{input: "/healthz", match: "*", want: 200},
		{input: "/stats", match: "*", want: 200},
		{input: "/nosuch", want: 404},
	} {
		t.Run(fmt.Sprint(row.input, " ", row.want), func(t *testing.T) {
			var header []string
			if row.match != "" {
				header = []string{"If-None-Match", row.match}
			}
			w := f.ask("GET", row.input, header...)
			if w.Code != row.want {
				t.Errorf("status %d, want %d", w.Code, row.want)
			}
			wantHeader(t, w.Header(), "Cache-Control", "no-store")
			wantHeader(t, w.Header(), "X-Content-Type-Options", "nosniff")
			for _, name := range []string{"ETag", "Age", "Cache-Status"} {
				if got := w.Header().Get(name) != ""; got != row.value {
					t.Errorf("has %s: %t, want %t", name, got, row.value)
				}
			}
			if row.want == 304 {
				if w.Body.Len() > 0 {
					t.Errorf("body %q, want none", w.Body)
				}
				wantHeader(t, w.Header(), "Content-Type", "")
				wantHeader(t, w.Header(), "Content-Length", "")
			}
		})
	}
}
