// Package lambda decides how the program talks to AWS Lambda: it is a client of the Lambda Extensions API, version 2020-01-01.
package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// callTimeout bounds every call but Next, and Next's way to a connection. The API is on the same machine.
	callTimeout = 5 * time.Second

	// connectTimeout bounds Connect: what takes longer is left to the call.
	connectTimeout = 100 * time.Millisecond

	nameHeader      = "Lambda-Extension-Name"
	idHeader        = "Lambda-Extension-Identifier"
	errorTypeHeader = "Lambda-Extension-Function-Error-Type"
)

// Event is a type of event as the API spells it. There may be others than the two below in a NextEvent.
type Event string

// What an external extension may register for.
const (
	Invoke   Event = "INVOKE"   // an invocation has begun
	Shutdown Event = "SHUTDOWN" // the execution environment is about to end
)

// InvalidEventType is the Type of the StatusError by which Register is told that it may not ask for one of its events, as on
// Lambda Managed Instances for Invoke.
const InvalidEventType = "Extension.InvalidEventType"

// NextEvent is one event.
type NextEvent struct {
	Type               Event
	Deadline           time.Time // wall clock without a monotonic reading; zero when the event names none
	RequestID          string    // of INVOKE
	InvokedFunctionARN string    // of INVOKE
	ShutdownReason     string    // of SHUTDOWN: spindown, timeout, failure, or one that came later
}

// Client speaks to the API for one extension. Register comes first and alone; once it has returned, the other methods may be
// called concurrently. Their errors are or wrap a *StatusError, the context's error, or the failure of the connection.
type Client struct {
	addr string // host:port
	name string
	http transport
	id   string // what Register was given; the API knows us by it
}

// New makes a client of the API at addr, which is the host:port of AWS_LAMBDA_RUNTIME_API. The name is the base name of the
// extension's executable, by which Lambda knows whom it started. New makes no call.
func New(addr, name string) *Client {
	dialer := net.Dialer{Timeout: callTimeout}
	return &Client{
		addr: addr,
		name: name,
		http: transport{dial: func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", addr) }},
	}
}

// Connect opens the connection for the next call, so that it has nothing to wait for. That there is no API is for the call to
// say.
func (c *Client) Connect(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if opened, err := c.http.connect(ctx); err == nil {
		c.http.keep(opened)
	}
}

// Register announces the extension and the events it wants. It takes at most five seconds. The function's runtime is started
// only when every extension has registered. When it fails nothing is registered, and it may be called again.
func (c *Client) Register(ctx context.Context, events ...Event) error {
	wanted := make([]string, len(events))
	for i, e := range events {
		wanted[i] = strconv.Quote(string(e))
	}
	header, err := c.do(ctx, call{
		op:      "register",
		timeout: callTimeout,
		header:  []field{{nameHeader, c.name}},
		body:    []byte(`{"events":[` + strings.Join(wanted, ",") + `]}`),
		want:    http.StatusOK,
	})
	if err != nil {
		return err
	}
	if c.id = header.Get(idHeader); c.id == "" {
		return errors.New("register: the answer has no " + idHeader)
	}
	return nil
}

// Next says that the extension is ready and waits for the next event. The wait is bounded by ctx alone: the environment may be
// frozen for hours before there is one. Events of an unknown type are returned like the others.
func (c *Client) Next(ctx context.Context) (NextEvent, error) {
	var e struct {
		EventType          Event  `json:"eventType"`
		DeadlineMs         int64  `json:"deadlineMs"`
		RequestID          string `json:"requestId"`
		InvokedFunctionARN string `json:"invokedFunctionArn"`
		ShutdownReason     string `json:"shutdownReason"`
	}
	_, err := c.do(ctx, call{
		op:     "event/next",
		header: []field{{idHeader, c.id}},
		want:   http.StatusOK,
		out:    &e,
	})
	if err != nil {
		return NextEvent{}, err
	}
	next := NextEvent{
		Type:               e.EventType,
		RequestID:          e.RequestID,
		InvokedFunctionARN: e.InvokedFunctionARN,
		ShutdownReason:     e.ShutdownReason,
	}
	if e.DeadlineMs != 0 {
		next.Deadline = time.UnixMilli(e.DeadlineMs)
	}
	return next, nil
}

// InitError reports that the extension registered but cannot start, which fails the function's init. The errorType is of the
// form Category.Reason, such as Extension.ConfigInvalid. No call succeeds after it: the extension must exit. It takes at most
// five seconds.
func (c *Client) InitError(ctx context.Context, errorType, message string) error {
	return c.report(ctx, "init/error", errorType, message)
}

// ExitError reports why the extension is about to exit. It is otherwise as InitError, and for any time after the first Next.
func (c *Client) ExitError(ctx context.Context, errorType, message string) error {
	return c.report(ctx, "exit/error", errorType, message)
}

func (c *Client) report(ctx context.Context, op, errorType, message string) error {
	body, err := json.Marshal(struct {
		Message string   `json:"errorMessage"`
		Type    string   `json:"errorType"`
		Stack   []string `json:"stackTrace"`
	}{message, errorType, []string{}})
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	_, err = c.do(ctx, call{
		op:      op,
		timeout: callTimeout,
		header:  []field{{idHeader, c.id}, {errorTypeHeader, errorType}},
		body:    body,
		want:    http.StatusAccepted,
	})
	return err
}
