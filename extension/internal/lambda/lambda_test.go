package lambda_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cache-extension/extension/internal/lambda"
	"cache-extension/extension/internal/lambda/lambdatest"
)

// register gives a client that has registered for both events.
func register(t *testing.T, api *lambdatest.API) *lambda.Client {
	t.Helper()
	c := lambda.New(api.Addr(), "cache-extension")
	if err := c.Register(t.Context(), lambda.Invoke, lambda.Shutdown); err != nil {
		t.Fatalf("Register: %v", err)
	}
	return c
}

func TestLifecycle(t *testing.T) {
	api := lambdatest.New(t)
	c := lambda.New(api.Addr(), "cache-extension")
	if err := c.Register(t.Context(), lambda.Invoke, lambda.Shutdown); err != nil {
		t.Fatalf("Register: %v", err)
	}
	if got, want := api.WaitRegistered(), (lambdatest.Registration{Name: "cache-extension", Events: []string{"INVOKE", "SHUTDOWN"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("registered with %+v, want %+v", got, want)
	}

	deadline := time.UnixMilli(1900000000123)
	api.Invoke(deadline)
	api.Send(`{"eventType":"THAW","deadlineMs":0,"new":{"x":[1]}}`)
	api.Shutdown("spindown", deadline)
	for _, want := range []lambda.NextEvent{
		{
			Type: lambda.Invoke, Deadline: deadline, RequestID: "00000000-0000-4000-8000-000000000001",
			InvokedFunctionARN: "arn:aws:lambda:us-east-1:123456789012:function:lambdatest",
		},
		{Type: "THAW"},
		{Type: lambda.Shutdown, Deadline: deadline, ShutdownReason: "spindown"},
	} {
		if got, err := c.Next(t.Context()); err != nil || got != want {
			t.Errorf("Next = %+v, %v, want %+v", got, err, want)
		}
	}
	if got, want := api.Log(), []string{"register", "event/next", "event/next", "event/next"}; !slices.Equal(got, want) {
		t.Errorf("calls = %q, want %q", got, want)
	}
}

func TestReports(t *testing.T) {
	const text = "config.yaml:12: secrets: unknown key \"nmae\"\nconfig.yaml:14: <ü> & more"
	want := lambdatest.Report{Type: "Extension.ConfigInvalid", Message: text}

	api := lambdatest.New(t)
	if err := register(t, api).InitError(t.Context(), "Extension.ConfigInvalid", text); err != nil {
		t.Errorf("InitError: %v", err)
	}
	if got := api.WaitInitError(); got != want {
		t.Errorf("InitError sent %+v, want %+v", got, want)
	}

	api = lambdatest.New(t)
	if err := register(t, api).ExitError(t.Context(), "Extension.ConfigInvalid", text); err != nil {
		t.Errorf("ExitError: %v", err)
	}
	if got := api.WaitExitError(); got != want {
		t.Errorf("ExitError sent %+v, want %+v", got, want)
	}
}

// TestExitErrorDuringNext is the way out on a signal: it comes while Next waits.
func TestExitErrorDuringNext(t *testing.T) {
	api := lambdatest.New(t)
	c := register(t, api)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := c.Next(ctx)
		failed <- err
	}()
	api.WaitNext(1)
	if err := c.ExitError(t.Context(), "Extension.Interrupted", "interrupted"); err != nil {
		t.Errorf("ExitError: %v", err)
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("Next = %v, want it to be context.Canceled", err)
	}
}

// TestManagedInstances is what a caller does where INVOKE may not be had.
func TestManagedInstances(t *testing.T) {
	api := lambdatest.New(t)
	api.RejectInvoke()
	c := lambda.New(api.Addr(), "cache-extension")
	err := c.Register(t.Context(), lambda.Invoke, lambda.Shutdown)
	var status *lambda.StatusError
	if !errors.As(err, &status) || status.Status != 403 || status.Type != lambda.InvalidEventType {
		t.Fatalf("Register for INVOKE = %v, want status 403 %s", err, lambda.InvalidEventType)
	}
	if err := c.Register(t.Context(), lambda.Shutdown); err != nil {
		t.Fatalf("Register for SHUTDOWN alone: %v", err)
	}
	api.Invoke(time.Now()) // never given out
	api.Shutdown("spindown", time.Now())
	if e, err := c.Next(t.Context()); err != nil || e.Type != lambda.Shutdown {
		t.Errorf("Next = %+v, %v, want SHUTDOWN", e, err)
	}
}

func TestStatusErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		op     lambdatest.Op
		status int
		body   string
		want   lambda.StatusError
		text   string
	}{
		{
			"register refused", lambdatest.Register, 403, `{"errorType":"Extension.TooManyExtensions","errorMessage":"limit (10) reached"}`,
			lambda.StatusError{Op: "register", Status: 403, Type: "Extension.TooManyExtensions", Message: "limit (10) reached"},
			"register: 403 Extension.TooManyExtensions: limit (10) reached",
		},
		{
			"no message", lambdatest.Next, 403, `{"errorType":"Extension.InvalidExtensionState"}`,
			lambda.StatusError{Op: "event/next", Status: 403, Type: "Extension.InvalidExtensionState"},
			"event/next: 403 Extension.InvalidExtensionState",
		},
		{
			"no body", lambdatest.Next, 500, ``,
			lambda.StatusError{Op: "event/next", Status: 500},
			"event/next: 500 Internal Server Error",
		},
		{
			"not JSON", lambdatest.InitError, 500, `<html>`,
			lambda.StatusError{Op: "init/error", Status: 500},
			"init/error: 500 Internal Server Error",
		},
		{
			"JSON of another shape", lambdatest.InitError, 500, `{"errorType":"Extension.X","errorMessage":{}}`,
			lambda.StatusError{Op: "init/error", Status: 500},
			"init/error: 500 Internal Server Error",
		},
		{
			"success other than the one expected", lambdatest.ExitError, 200, `{}`,
			lambda.StatusError{Op: "exit/error", Status: 200},
			"exit/error: 200 OK",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := lambdatest.New(t)
			api.Fail(test.op, 1, test.status, test.body)
			err := callUntil(t.Context(), lambda.New(api.Addr(), "cache-extension"), test.op)
			var got *lambda.StatusError
			if !errors.As(err, &got) || *got != test.want {
				t.Fatalf("%s = %+v, want %+v", test.op, err, test.want)
			}
			if err.Error() != test.text {
				t.Errorf("Error() = %q, want %q", err, test.text)
			}
		})
	}
}

// callUntil registers and, if that is not op, calls op.
func callUntil(ctx context.Context, c *lambda.Client, op lambdatest.Op) error {
	err := c.Register(ctx, lambda.Shutdown)
	if err != nil {
		return err
	}
	switch op {
	case lambdatest.Next:
		_, err = c.Next(ctx)
	case lambdatest.InitError:
		err = c.InitError(ctx, "Extension.Test", "test")
	case lambdatest.ExitError:
		err = c.ExitError(ctx, "Extension.Test", "test")
	}
	return err
}

func TestDroppedConnections(t *testing.T) {
	for _, op := range []lambdatest.Op{lambdatest.Register, lambdatest.Next, lambdatest.InitError, lambdatest.ExitError} {
		t.Run(string(op), func(t *testing.T) {
			api := lambdatest.New(t)
			api.Drop(op, 2) // two, since what fails on a connection that was kept is made again
			err := callUntil(t.Context(), lambda.New(api.Addr(), "cache-extension"), op)
			var status *lambda.StatusError
			if err == nil || errors.As(err, &status) {
				t.Errorf("%s = %v, want an error that is no *StatusError", op, err)
			}
			if !strings.HasPrefix(fmt.Sprint(err), string(op)+": ") {
				t.Errorf("%s = %q, want it to begin with the call", op, err)
			}
		})
	}

	t.Run("next comes back", func(t *testing.T) {
		api := lambdatest.New(t)
		c := register(t, api)
		api.Drop(lambdatest.Next, 2)
		if _, err := c.Next(t.Context()); err == nil {
			t.Error("Next over a dropped connection succeeded")
		}
		api.Shutdown("failure", time.Now())
		if e, err := c.Next(t.Context()); err != nil || e.ShutdownReason != "failure" {
			t.Errorf("Next once the API is back = %+v, %v, want SHUTDOWN failure", e, err)
		}
	})
}

func TestUnreadableEvent(t *testing.T) {
	for _, test := range []struct{ name, body string }{
		{"empty", ""},
		{"not JSON", "SHUTDOWN"},
		{"wrong type", `{"eventType":1}`},
		{"cut short", `{"eventType":"INVOKE","requestId":"`},
		{"too long", `{"eventType":"INVOKE","requestId":"` + strings.Repeat("x", 1<<20) + `"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := lambdatest.New(t)
			c := register(t, api)
			api.Send(test.body)
			e, err := c.Next(t.Context())
			if err == nil || e != (lambda.NextEvent{}) {
				t.Errorf("Next = %+v, %v, want an error and no event", e, err)
			}
		})
	}
}

// TestWire holds every byte that matters of what is sent, and that one connection carries it.
func TestWire(t *testing.T) {
	var got []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("reading the body: %v", err)
		}
		line := r.Method + " " + r.URL.Path
		for _, name := range []string{
			"Lambda-Extension-Name", "Lambda-Extension-Identifier",
			"Lambda-Extension-Function-Error-Type", "Content-Type", "Accept-Encoding",
		} {
			if v := r.Header.Get(name); v != "" {
				line += " | " + name + ": " + v
			}
		}
		got = append(got, line+" | "+string(body))
		w.Header().Set("Lambda-Extension-Identifier", "an-identifier")
		if strings.HasSuffix(r.URL.Path, "/error") {
			w.WriteHeader(http.StatusAccepted)
		}
		io.WriteString(w, `{"status":"OK"}`)
	}))
	var opened atomic.Int32
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()

	c := lambda.New(server.Listener.Addr().String(), "cache-extension")
	c.Connect(t.Context())
	registered := c.Register(t.Context(), lambda.Invoke, lambda.Shutdown)
	_, next := c.Next(t.Context())
	err := errors.Join(registered, next,
		c.InitError(t.Context(), "Extension.ConfigInvalid", "two\nlines"), c.ExitError(t.Context(), "Extension.Failed", "why"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`POST /2020-01-01/extension/register | Lambda-Extension-Name: cache-extension` +
			` | Content-Type: application/json | {"events":["INVOKE","SHUTDOWN"]}`,
		`GET /2020-01-01/extension/event/next | Lambda-Extension-Identifier: an-identifier | `,
		`POST /2020-01-01/extension/init/error | Lambda-Extension-Identifier: an-identifier | Lambda-Extension-Function-Error-Type: Extension.ConfigInvalid` +
			` | Content-Type: application/json | {"errorMessage":"two\nlines","errorType":"Extension.ConfigInvalid","stackTrace":[]}`,
		`POST /2020-01-01/extension/exit/error | Lambda-Extension-Identifier: an-identifier | Lambda-Extension-Function-Error-Type: Extension.Failed` +
			` | Content-Type: application/json | {"errorMessage":"why","errorType":"Extension.Failed","stackTrace":[]}`,
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("request %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
	if got := opened.Load(); got != 1 {
		t.Errorf("the calls came over %d connections, want the one that Connect opened", got)
	}
}

func TestRegisterWithoutIdentifier(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{}`) }))
	defer server.Close()
	err := lambda.New(server.Listener.Addr().String(), "cache-extension").Register(t.Context(), lambda.Shutdown)
	if got, want := fmt.Sprint(err), "register: the answer has no Lambda-Extension-Identifier"; got != want {
		t.Errorf("Register = %q, want %q", got, want)
	}
}

// TestRedirect has something else than the API answer.
func TestRedirect(t *testing.T) {
	var paths []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer server.Close()
	_, err := lambda.New(server.Listener.Addr().String(), "cache-extension").Next(t.Context())
	if got, want := fmt.Sprint(err), "event/next: 302 Found"; got != want {
		t.Errorf("Next = %q, want %q", got, want)
	}
	if want := []string{"/2020-01-01/extension/event/next"}; !slices.Equal(paths, want) {
		t.Errorf("requests for %q, want %q", paths, want)
	}
}

// TestConnectionLostInAnswer has the connection end early but after what could pass for the whole.
func TestConnectionLostInAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, `{"eventType":"SHUTDOWN"}`)
	}))
	defer server.Close()
	e, err := lambda.New(server.Listener.Addr().String(), "cache-extension").Next(t.Context())
	if !errors.Is(err, io.ErrUnexpectedEOF) || e != (lambda.NextEvent{}) {
		t.Errorf("Next = %+v, %v, want %v and no event", e, err, io.ErrUnexpectedEOF)
	}
}

// TestEndlessAnswer has the API never finish what it says.
func TestEndlessAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	_, err := lambda.New(server.Listener.Addr().String(), "cache-extension").Next(t.Context())
	var status *lambda.StatusError
	if !errors.As(err, &status) || status.Status != http.StatusInternalServerError {
		t.Errorf("Next = %v, want status 500", err)
	}
}
