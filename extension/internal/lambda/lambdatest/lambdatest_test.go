package lambdatest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is a test that only notes how it failed.
type recorder struct {
	testing.TB
	mu     sync.Mutex // guards errors
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// failures is how the test was failed so far.
func (r *recorder) failures() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.errors)
}

// request is one call; the empty values of its fields are left out of it.
type request struct{ call, id, name, errorType, body string }

// Calls that keep the rules.
var (
	goodRegister = request{call: "POST register", name: "cache-extension", body: `{"events":["INVOKE","SHUTDOWN"]}`}
	goodNext     = request{call: "GET event/next", id: identifier}
	goodInit     = request{
		call: "POST init/error", id: identifier, errorType: "Extension.Test",
		body: `{"errorMessage":"why","errorType":"Extension.Test","stackTrace":[]}`,
	}
	goodExit = request{call: "POST exit/error", id: identifier, errorType: goodInit.errorType, body: goodInit.body}
)

// send makes the call and gives the status and the body of its answer.
func (q request) send(t *testing.T, f *API) (int, string) {
	t.Helper()
	method, path, _ := strings.Cut(q.call, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+f.Addr()+prefix+path, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Lambda-Extension-Identifier": q.id, "Lambda-Extension-Name": q.name, "Lambda-Extension-Function-Error-Type": q.errorType,
	} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s: %v", q.call, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", q.call, err)
	}
	return resp.StatusCode, string(body)
}

// with gives a copy of q that change has changed.
func (q request) with(change func(q *request)) request {
	change(&q)
	return q
}

func TestRules(t *testing.T) {
	body := func(s string) func(*request) { return func(q *request) { q.body = s } }
	kind := func(s string) func(*request) { return func(q *request) { q.errorType = s } }
	for _, test := range []struct {
		name   string
		before []request // that keep the rules
		call   request
		want   int
		kind   string
	}{
		{"no such path", nil, request{call: "POST event/next"}, 404, "InvalidRequest"},
		{"wrong method", nil, goodRegister.with(func(q *request) { q.call = "GET register" }), 404, "InvalidRequest"},
		{"other version", nil, request{call: "GET ../../2022-07-01/telemetry"}, 404, "InvalidRequest"},
		{"register without a name", nil, goodRegister.with(func(q *request) { q.name = "" }), 403, "Extension.InvalidExtensionName"},
		{"register with a path", nil, goodRegister.with(func(q *request) { q.name = "/opt/extensions/x" }), 403, "Extension.InvalidExtensionName"},
		{"register not in JSON", nil, goodRegister.with(body("INVOKE")), 403, "InvalidRequestFormat"},
		{"register for nothing", nil, goodRegister.with(body(`{"events":null}`)), 403, "InvalidRequestFormat"},
		{"register for what is no event", nil, goodRegister.with(body(`{"events":["SHUTDOWN","FREEZE"]}`)), 403, "Extension.InvalidEventType"},
		{"register twice", []request{goodRegister}, goodRegister, 403, "Extension.InvalidExtensionState"},
		{"next before register", nil, goodNext, 403, "Extension.UnknownExtensionIdentifier"},
		{"next without an identifier", []request{goodRegister}, request{call: "GET event/next"}, 403, "Extension.MissingHeader"},
		{"next with another's", []request{goodRegister}, request{call: "GET event/next", id: "x"}, 403, "Extension.UnknownExtensionIdentifier"},
		{"next after SHUTDOWN", []request{goodRegister, goodNext, goodNext}, goodNext, 403, "Extension.InvalidExtensionState"},
		{"next after exit/error", []request{goodRegister, goodExit}, goodNext, 403, "Extension.InvalidExtensionState"},
		{"init/error before register", nil, goodInit, 403, "Extension.UnknownExtensionIdentifier"},
		{"init/error after next", []request{goodRegister, goodNext}, goodInit, 403, "Extension.InvalidExtensionState"},
		{"init/error twice", []request{goodRegister, goodInit}, goodInit, 403, "Extension.InvalidExtensionState"},
		{"init/error without a type", []request{goodRegister}, goodInit.with(kind("")), 403, "Extension.MissingHeader"},
		{"init/error with a type of one word", []request{goodRegister}, goodInit.with(kind("ConfigInvalid")), 403, "Extension.MissingHeader"},
		{"init/error with a sentence", []request{goodRegister}, goodInit.with(kind("Extension.Bad config")), 403, "Extension.MissingHeader"},
		{"init/error not in JSON", []request{goodRegister}, goodInit.with(body("why")), 403, "InvalidRequestFormat"},
		{"init/error with two types", []request{goodRegister}, goodInit.with(kind("Extension.Other")), 403, "InvalidRequestFormat"},
		{
			"init/error without a message", []request{goodRegister},
			goodInit.with(body(`{"errorType":"Extension.Test","stackTrace":[]}`)), 403, "InvalidRequestFormat",
		},
		{
			"init/error without a stack", []request{goodRegister},
			goodInit.with(body(`{"errorMessage":"why","errorType":"Extension.Test"}`)), 403, "InvalidRequestFormat",
		},
		{"exit/error before register", nil, goodExit, 403, "Extension.UnknownExtensionIdentifier"},
		{"exit/error after init/error", []request{goodRegister, goodInit}, goodExit, 403, "Extension.InvalidExtensionState"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &recorder{TB: t}
			f := New(r)
			f.Invoke(time.Now())
			f.Shutdown("spindown", time.Now())
			for _, q := range test.before {
				if status, said := q.send(t, f); status >= 300 {
					t.Fatalf("%s = %d %s, want success", q.call, status, said)
				}
			}
			if failures := r.failures(); len(failures) > 0 {
				t.Fatalf("calls that keep the rules failed the test: %q", failures)
			}
			status, said := test.call.send(t, f)
			var got struct{ ErrorType, ErrorMessage string }
			if err := json.Unmarshal([]byte(said), &got); err != nil || status != test.want || got.ErrorType != test.kind || got.ErrorMessage == "" {
				t.Errorf("%s = %d %s, want %d %s", test.call.call, status, said, test.want, test.kind)
			}
			if failures := r.failures(); len(failures) != 1 {
				t.Errorf("the test was failed with %q, want one failure", failures)
			}
		})
	}
}

// TestSecondNext has two calls of event/next wait at a time.
func TestSecondNext(t *testing.T) {
	r := &recorder{TB: t}
	f := New(r)
	goodRegister.send(t, f)
	first := make(chan int, 1)
	go func() {
		status, _ := goodNext.send(t, f)
		first <- status
	}()
	f.WaitNext(1)
	if status, _ := goodNext.send(t, f); status != 403 || len(r.failures()) != 1 {
		t.Errorf("second event/next = %d and failures %q, want 403 and one", status, r.failures())
	}
	f.Invoke(time.Now())
	if status := <-first; status != 200 {
		t.Errorf("first event/next = %d, want 200", status)
	}
}

// TestNextAfterHangUp has a client leave while it waits, which must not cost it the event.
func TestNextAfterHangUp(t *testing.T) {
	f := New(t)
	goodRegister.send(t, f)
	conn, err := net.Dial("tcp", f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %sevent/next HTTP/1.1\r\nHost: x\r\nLambda-Extension-Identifier: %s\r\n\r\n", prefix, identifier)
	f.WaitNext(1)
	conn.Close()
	f.wait("end of the first wait", func() bool { return !f.polling })
	f.Invoke(time.Now())
	if status, body := goodNext.send(t, f); status != 200 || !strings.Contains(body, `"INVOKE"`) {
		t.Errorf("event/next = %d %s, want 200 and INVOKE", status, body)
	}
}

func TestOnlyRegisteredEvents(t *testing.T) {
	f := New(t)
	f.RejectInvoke()
	if status, body := goodRegister.send(t, f); status != 403 || !strings.Contains(body, `"Extension.InvalidEventType"`) {
		t.Errorf("register for INVOKE = %d %s, want 403 Extension.InvalidEventType", status, body)
	}
	goodRegister.with(func(q *request) { q.body = `{"events":["SHUTDOWN"]}` }).send(t, f)
	if got, want := f.WaitRegistered(), (Registration{Name: "cache-extension", Events: []string{"SHUTDOWN"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("WaitRegistered() = %+v, want %+v", got, want)
	}
	f.Invoke(time.Now())
	f.Send("anything")
	f.Shutdown("timeout", time.UnixMilli(1900000000123))
	for _, want := range []string{"anything", `{"deadlineMs":1900000000123,"eventType":"SHUTDOWN","shutdownReason":"timeout"}`} {
		if _, got := goodNext.send(t, f); got != want {
			t.Errorf("event/next = %s, want %s", got, want)
		}
	}
}

func TestFaults(t *testing.T) {
	f := New(t)
	f.Fail(Register, 2, 500, "")
	f.Fail(Register, 1, 403, `{"errorType":"Extension.RegistrationClosed"}`)
	f.Drop(Next, 1)
	f.Fail(ExitError, 1, 500, "")
	for _, want := range []int{500, 500, 403, 200} {
		if got, _ := goodRegister.send(t, f); got != want {
			t.Errorf("register = %d, want %d", got, want)
		}
	}

	conn, err := net.Dial("tcp", f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %sevent/next HTTP/1.1\r\nHost: x\r\nLambda-Extension-Identifier: %s\r\n\r\n", prefix, identifier)
	if _, err := bufio.NewReader(conn).ReadByte(); err != io.EOF {
		t.Errorf("reading from a dropped connection: %v, want EOF", err)
	}
	f.WaitNext(1)

	for _, want := range []int{500, 202} {
		if got, _ := goodExit.send(t, f); got != want {
			t.Errorf("exit/error = %d, want %d", got, want)
		}
	}
	if got, want := f.WaitExitError(), (Report{Type: "Extension.Test", Message: "why"}); got != want {
		t.Errorf("WaitExitError() = %+v, want %+v", got, want)
	}
	want := []string{"register", "register", "register", "register", "event/next", "exit/error", "exit/error"}
	if got := f.Log(); !slices.Equal(got, want) {
		t.Errorf("Log() = %q, want %q", got, want)
	}
}

// TestEndsWhileNextWaits has the test end before the extension, as one does that has seen enough.
func TestEndsWhileNextWaits(t *testing.T) {
	waiting := make(chan error, 1)
	t.Run("test", func(t *testing.T) {
		f := New(t)
		goodRegister.send(t, f)
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+f.Addr()+prefix+"event/next", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Lambda-Extension-Identifier", identifier)
		go func() {
			_, err := new(http.Transport).RoundTrip(req)
			waiting <- err
		}()
		f.WaitNext(1)
	})
	if err := <-waiting; err == nil {
		t.Error("event/next was answered, want a dropped connection")
	}
}
