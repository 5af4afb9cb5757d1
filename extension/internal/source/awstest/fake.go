// Package awstest decides what AWS would answer: it is a fake of the calls that cache-extension makes to Systems Manager,
// Secrets Manager and DynamoDB, for tests. It keeps to the services' protocol, fails the test when a caller does not, and
// misbehaves on demand.
package awstest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

// Account is the AWS account in every ARN.
const Account = "123456789012"

// Message is in the text of every error that a Fault makes. It must never reach a client of the extension.
const Message = "words of the service, not for clients"

// Fake is the three services in all regions. It is an aws.HTTPClient, which opens no socket and so works inside a
// testing/synctest bubble, and an http.Handler. Its methods may be called concurrently.
type Fake struct {
	// KeepOrder answers GetParameters and BatchGetItem in the order asked for. Without it they come the other way round:
	// the services promise no order. Set it before the first call.
	KeepOrder bool
	// ShortReferenceNames gives the Name and ARN of /aws/reference/secretsmanager/x as those of x, as moto does. Set it
	// before the first call.
	ShortReferenceNames bool

	tb testing.TB

	mu         sync.Mutex // guards all below
	latency    time.Duration
	faults     []*planned
	calls      []Call
	requests   int // ever, for request ids
	running    int
	parallel   int // the most that ran at once
	parameters map[resource][]version
	secrets    map[resource]*secret
	tables     map[resource]*table
}

type resource struct{ region, name string }

// Call is one HTTP request that kept to the protocol, retries by the caller included.
type Call struct {
	Op     string // "GetParameters"
	Region string // from the signature
	Host   string // that the request was meant for
	// Names are the resources asked for, in the order asked: names of parameters with their selectors, a path, the id of
	// a secret. An item is <table>-<hash>[-<sort>], its numbers without needless digits and its binaries as base64.
	Names []string
	Body  string    // the JSON as sent
	At    time.Time // of arrival

	tables []string
}

// New returns an empty Fake. A caller who violates the protocol gets HTTP 400 with the code ProtocolViolation, and tb an
// error; tb may be nil when there is no test around.
func New(tb testing.TB) *Fake {
	return &Fake{
		tb:         tb,
		parameters: make(map[resource][]version),
		secrets:    make(map[resource]*secret),
		tables:     make(map[resource]*table),
	}
}

// Latency makes every call from now on take d, until its context ends.
func (f *Fake) Latency(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latency = d
}

// Calls returns the calls so far in the order of arrival.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Count returns how many calls of op there were; all of them for "".
func (f *Fake) Count(op string) int {
	n := 0
	for _, c := range f.Calls() {
		if op == "" || c.Op == op {
			n++
		}
	}
	return n
}

// MaxParallel returns the largest number of requests that were under way at one moment.
func (f *Fake) MaxParallel() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.parallel
}

// Reset forgets the calls and MaxParallel. Resources, faults and latency stay.
func (f *Fake) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = nil
	f.parallel = f.running
}

// Do answers r as an HTTP client would: what goes wrong below HTTP comes back as a *url.Error.
func (f *Fake) Do(r *http.Request) (*http.Response, error) {
	a, err := f.serve(r)
	if err != nil {
		return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: err}
	}
	a.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var body io.Reader = bytes.NewReader(a.body)
	if a.drop {
		body = io.MultiReader(bytes.NewReader(a.body[:len(a.body)/2]), iotest.ErrReader(io.ErrUnexpectedEOF))
	}
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)),
		StatusCode:    a.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        a.header,
		Body:          io.NopCloser(body),
		ContentLength: int64(len(a.body)),
		Request:       r,
	}, nil
}

// ServeHTTP answers r. What goes wrong below HTTP closes the connection.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := f.serve(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	if a.drop {
		w.Write(a.body[:len(a.body)/2])
		http.NewResponseController(w).Flush() // else the abort takes the first half with it
		panic(http.ErrAbortHandler)
	}
	w.Write(a.body)
}

// answer is an HTTP response before it meets a network.
type answer struct {
	status int
	header http.Header
	body   []byte
	drop   bool // the connection breaks in the middle of body
}

// run answers one accepted request. It is called with the lock held. Its error is an *apiError.
type run func(Fault) (any, error)

func (f *Fake) serve(r *http.Request) (*answer, error) {
	body, err := readAll(r)
	if err != nil {
		return nil, err
	}
	id := f.enter()
	defer f.leave()

	op, call, run, err := f.accept(r, body)
	if err != nil {
		if f.tb != nil {
			f.tb.Errorf("awstest: %s %s %s: %v", r.Method, r.URL, r.Header.Get("X-Amz-Target"), err)
		}
		return op.answer(id, nil, &apiError{http.StatusBadRequest, "ProtocolViolation", err.Error()}), nil
	}
	fault, latency := f.arrived(call)
	if err := fault.hold(r.Context(), latency); err != nil {
		return nil, err
	}
	if fault.Code != "" || fault.Status != 0 {
		return fault.answer(op, id), nil
	}

	f.mu.Lock()
	defer f.mu.Unlock() // before leave, which locks, too: deferred calls run last in, first out
	out, err := run(fault)
	a := op.answer(id, out, err)
	fault.spoil(a)
	return a, nil
}

func readAll(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

// enter counts a request in and returns its id.
func (f *Fake) enter() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	f.running++
	f.parallel = max(f.parallel, f.running)
	return fmt.Sprintf("00000000-0000-4000-a000-%012d", f.requests)
}

func (f *Fake) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running--
}

// arrived notes c and returns what is to befall it.
func (f *Fake) arrived(c Call) (Fault, time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, c)
	for _, p := range f.faults {
		if p.takes(c) {
			return p.fault, f.latency
		}
	}
	return Fault{}, f.latency
}

// apiError is an error as a service tells it.
type apiError struct {
	status        int
	code, message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

// refuse returns the error of a request that the service understood and cannot fulfil.
func refuse(code, format string, args ...any) error {
	return &apiError{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
}

// answer makes an HTTP response of an operation's output or error.
func (o operation) answer(id string, out any, err error) *answer {
	a := &answer{status: http.StatusOK, header: make(http.Header)}
	var refused *apiError
	if errors.As(err, &refused) {
		a.status = refused.status
		text := "message"
		if o.service == "secretsmanager" {
			text = "Message"
		}
		out = map[string]string{"__type": o.namespace(refused.code) + refused.code, text: refused.message}
	}
	body, err := json.Marshal(out)
	if err != nil {
		panic(err) // outputs hold nothing that JSON cannot
	}
	a.body = body
	a.header.Set("Content-Type", o.contentType)
	a.header.Set("X-Amzn-Requestid", id)
	if o.service == "dynamodb" {
		a.header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	}
	return a
}

// namespace returns what the services write before an error's code: their own namespace, that of their framework for
// the errors that all of them have, or none. A reader must cope with each.
func (o operation) namespace(code string) string {
	switch {
	case strings.HasPrefix(code, "AccessDenied"), strings.HasPrefix(code, "Throttling"), strings.HasSuffix(code, "ClientException"):
		return "com.amazon.coral.service#"
	case o.service == "dynamodb":
		return "com.amazonaws.dynamodb.v20120810#"
	case o.service == "ssm":
		return "com.amazonaws.ssm#"
	}
	return ""
}

// wait returns after d, or with the error of ctx when that ends first.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
