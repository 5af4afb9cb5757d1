package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/cache"
)

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
		{name: "undeclared, very long", target: "/parameters?name=" + strings.Repeat("x", 1000), status: 404, code: "undeclared",
			detail: `"` + strings.Repeat("x", 256) + `…" is not declared under parameters in config.yaml. Add it there, or correct the name.`},
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

// TestProblemIsReadable: people see the body as it is, in a terminal.
func TestProblemIsReadable(t *testing.T) {
	f := newFixture(nil, setup{})
	f.wantBody(t, "/secrets?name=a%26b<c>", 404, `{"type":"about:blank","title":"Not Found","status":404,`+
		`"detail":"\"a&b<c>\" is not declared under secrets in config.yaml. Add it there, or correct the name.","code":"undeclared"}`)
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
		{"/secrets/", 404},
		{"/secrets/a", 200},
		{"/secrets/a/", 404}, // undeclared
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

// TestNameInPath reads names as the second spelling has them: all after /<cachetype>/, decoded once.
func TestNameInPath(t *testing.T) {
	f := newFixture(map[string]reply{
		"/app/x": {body: "slash"}, "a b+c": {body: "plus"}, "100%": {body: "percent"}, "a%20b": {body: "twice"}, "j": {body: `{"k":1}`}, "permission/42": {body: "open"},
	}, setup{})
	for _, row := range []struct{ input, want string }{
		{"/parameters//app/x", "slash"},
		{"/parameters/%2Fapp%2fx", "slash"},
		{"/secrets/a%20b+c", "plus"},
		{"/secrets/100%25", "percent"},
		{"/secrets/a%2520b", "twice"},
		{"/dynamodb/permission/42", "open"},
		{"/secrets/j?field=/k&refresh=true", "1"},
	} {
		f.wantBody(t, row.input, 200, row.want)
	}
	const twice = "The name is given twice: in the path, where all after /secrets/ is the name, and as name."
	wantProblem(t, f.ask("GET", "/secrets/j?name=j"), 400, "bad_request", twice)
	wantProblem(t, f.ask("GET", "/secrets/j?name="), 400, "bad_request", twice)
	wantProblem(t, f.ask("GET", "/secrets/nosuch"), 404, "undeclared", "")
	wantProblem(t, f.ask("GET", "/nosuch/j"), 404, "no_route", "")
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
	const zero = `{"hits":0,"stale":0,"misses":0,"collapsed":0,"fetches":0,"errors":{"missing":0,"denied":0,"throttled":0,"timeout":0,"upstream":0},"evictions":0,"entries":0,"bytes":0}`
	const secrets = `{"hits":1,"stale":0,"misses":2,"collapsed":0,"fetches":2,"errors":{"missing":0,"denied":1,"throttled":0,"timeout":0,"upstream":0},"evictions":0,"entries":1,"bytes":4}`
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
