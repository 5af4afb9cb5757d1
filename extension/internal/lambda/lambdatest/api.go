// Package lambdatest stands in for AWS Lambda: a server of the Extensions API, version 2020-01-01, for one extension. It fails
// the test on any call that the API's rules forbid, and gives out events and faults as the test says. The extension may be
// in the test's own process or in another.
package lambdatest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// patience bounds the Wait methods: far more than a busy machine needs, far less than a test binary is given.
const patience = 20 * time.Second

// Op is a call of the API, by its path.
type Op string

// The calls an extension can make.
const (
	Register  Op = "register"
	Next      Op = "event/next"
	InitError Op = "init/error"
	ExitError Op = "exit/error"
)

// Registration is what an extension registered with.
type Registration struct {
	Name   string
	Events []string
}

// Report is what an extension said in init/error or exit/error. The type was the same in header and body.
type Report struct{ Type, Message string }

// API is the server. Its methods may be called from any goroutine, but the Wait methods from the test's own only, since they
// end the test when what they wait for does not come within 20 seconds.
type API struct {
	tb     testing.TB
	server *httptest.Server
	ended  chan struct{} // closed when the test is over

	// mu guards what follows.
	mu           sync.Mutex
	changed      chan struct{} // closed and replaced whenever something below has changed
	calls        []string
	faults       map[Op][]fault
	events       []event
	rejectInvoke bool
	registration *Registration
	nexts        int  // calls of event/next that kept the rules
	polling      bool // one of them is waiting
	final        Op   // init/error or exit/error, once one was accepted
	shutdown     bool // SHUTDOWN was given out
	report       Report
	requests     int // INVOKE events made, to number them
}

// fault is the answer to one call in place of the right one; status 0 drops the connection.
type fault struct {
	status int
	body   string
}

// event is what event/next gives out. Only an extension that registered for its type gets it; an empty type is for all.
type event struct{ kind, body string }

// New starts an API on 127.0.0.1, which ends with the test.
func New(tb testing.TB) *API {
	f := &API{
		tb:      tb,
		ended:   make(chan struct{}),
		changed: make(chan struct{}),
		faults:  make(map[Op][]fault),
	}
	f.server = httptest.NewServer(http.HandlerFunc(f.serve))
	tb.Cleanup(func() {
		close(f.ended) // Close waits for the calls under way, and event/next may wait for ever
		f.server.Close()
	})
	return f
}

// Addr is the host:port for AWS_LAMBDA_RUNTIME_API.
func (f *API) Addr() string { return f.server.Listener.Addr().String() }

// Invoke queues an INVOKE event. Like Lambda, the API never gives it to an extension that did not register for INVOKE.
func (f *API) Invoke(deadline time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	f.queue("INVOKE", map[string]any{
		"eventType":          "INVOKE",
		"deadlineMs":         deadline.UnixMilli(),
		"requestId":          fmt.Sprintf("00000000-0000-4000-8000-%012d", f.requests),
		"invokedFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:lambdatest",
		"tracing":            map[string]string{"type": "X-Amzn-Trace-Id", "value": "Root=1-00000000-000000000000000000000000;Sampled=0"},
	})
}

// Shutdown queues a SHUTDOWN event; Lambda's reasons are spindown, timeout and failure.
func (f *API) Shutdown(reason string, deadline time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue("SHUTDOWN", map[string]any{"eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": deadline.UnixMilli()})
}

// Send queues a body for event/next, whatever it is and whatever the extension registered for.
func (f *API) Send(body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, event{body: body})
	f.announce()
}

// Fail gives that many of the next calls of op this answer instead of the right one. The calls must keep the rules all the
// same, but change nothing: a register that failed has registered nothing.
func (f *API) Fail(op Op, times, status int, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[op] = append(f.faults[op], slices.Repeat([]fault{{status, body}}, times)...)
}

// Drop is Fail with a connection that is closed without an answer. The transport of net/http makes a GET a second time by
// itself when that happens on a connection that has served before.
func (f *API) Drop(op Op, times int) { f.Fail(op, times, 0, "") }

// RejectInvoke makes the API that of Lambda Managed Instances: who asks for INVOKE is refused with Extension.InvalidEventType.
func (f *API) RejectInvoke() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rejectInvoke = true
}

// Log is every call so far in the order of arrival, also those that failed: the Op, or method and path of what is none.
func (f *API) Log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// WaitRegistered waits until the extension has registered, and returns with what.
func (f *API) WaitRegistered() Registration {
	f.tb.Helper()
	f.wait("register", func() bool { return f.registration != nil })
	f.mu.Lock()
	defer f.mu.Unlock()
	return *f.registration
}

// WaitNext waits until event/next has been called n times, counted from the start and with those that were made to fail.
func (f *API) WaitNext(n int) {
	f.tb.Helper()
	f.wait(fmt.Sprintf("call %d of event/next", n), func() bool { return f.nexts >= n })
}

// WaitInitError waits until a call of init/error is accepted, and returns what it said.
func (f *API) WaitInitError() Report {
	f.tb.Helper()
	return f.waitReport(InitError)
}

// WaitExitError waits until a call of exit/error is accepted, and returns what it said.
func (f *API) WaitExitError() Report {
	f.tb.Helper()
	return f.waitReport(ExitError)
}

func (f *API) waitReport(op Op) Report {
	f.tb.Helper()
	f.wait(string(op), func() bool { return f.final == op })
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.report
}

// wait returns when cond, which is called with the lock held, is true.
func (f *API) wait(what string, cond func() bool) {
	f.tb.Helper()
	enough := time.After(patience)
	for {
		f.mu.Lock()
		ok, changed := cond(), f.changed
		f.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-enough:
			f.tb.Fatalf("lambdatest: no %s within %v; the calls were %q", what, patience, f.Log())
		}
	}
}

// queue adds an event; the lock is held.
func (f *API) queue(kind string, body map[string]any) {
	b, err := json.Marshal(body)
	if err != nil {
		f.tb.Errorf("lambdatest: %s event: %v", kind, err)
		return
	}
	f.events = append(f.events, event{kind, string(b)})
	f.announce()
}

// announce wakes all who wait for a change; the lock is held.
func (f *API) announce() {
	close(f.changed)
	f.changed = make(chan struct{})
}
