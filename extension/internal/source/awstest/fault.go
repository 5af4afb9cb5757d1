package awstest

import (
	"context"
	"net"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"
)

// ErrRefused is the error of a port where nobody listens, for Fault.Err.
var ErrRefused error = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

// Match chooses calls. An empty field matches every call.
type Match struct {
	Op     string // "GetParameters"
	Region string
	Name   string // one of Call.Names, or a table
	Times  int    // so many calls and no more; 0 is all of them
}

// Fault is what befalls a call. Its zero value does nothing; fields go together where that makes sense, as Delay and Code do.
type Fault struct {
	Delay  time.Duration // before all else, on top of Latency
	Panic  bool          // Do panics
	Hang   bool          // nothing comes until the caller's context ends
	Err    error         // the connection fails with it: ErrRefused or a *net.DNSError, say. A server closes the connection.
	Code   string        // an error of the service: AccessDeniedException, ThrottlingException
	Status int           // HTTP status of Code, 400 when 0; without Code an answer of a proxy, not of AWS
	// Message replaces the text of the error of Code.
	Message string

	// These spoil the answer that the call would have got.
	Drop        bool // the connection breaks in the middle of the body
	Truncate    bool // the body ends in the middle, and nothing says so
	NotJSON     bool // HTTP 200 with a web page
	Unprocessed int  // so many of the first keys of a BatchGetItem come back in UnprocessedKeys
}

type planned struct {
	match Match
	fault Fault
	left  int
}

// Fail plans a fault for the calls that match. Of several plans for one call, the first made counts until it is used up.
func (f *Fake) Fail(match Match, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &planned{match, fault, match.Times})
}

// Clear forgets all faults.
func (f *Fake) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// takes reports whether the fault befalls c, and counts it.
func (p *planned) takes(c Call) bool {
	m := p.match
	if m.Op != "" && m.Op != c.Op || m.Region != "" && m.Region != c.Region {
		return false
	}
	if m.Name != "" && !slices.Contains(c.Names, m.Name) && !slices.Contains(c.tables, m.Name) {
		return false
	}
	if m.Times == 0 {
		return true
	}
	if p.left == 0 {
		return false
	}
	p.left--
	return true
}

// hold plays what happens before an answer.
func (t Fault) hold(ctx context.Context, latency time.Duration) error {
	if err := wait(ctx, latency+t.Delay); err != nil {
		return err
	}
	if t.Panic {
		panic("awstest: the panic asked for")
	}
	if t.Hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return t.Err
}

// answer returns the error of Code and Status.
func (t Fault) answer(op operation, id string) *answer {
	if t.Code == "" {
		return page(t.Status)
	}
	e := &apiError{status: t.Status, code: t.Code, message: t.Message}
	if e.status == 0 {
		e.status = http.StatusBadRequest
	}
	if e.message == "" {
		e.message = Message
	}
	a := op.answer(id, nil, e)
	t.spoil(a)
	return a
}

func (t Fault) spoil(a *answer) {
	a.drop = t.Drop
	if t.Truncate {
		a.body = a.body[:len(a.body)/2]
	}
	if t.NotJSON {
		*a = *page(http.StatusOK)
	}
}

// page is the answer of something on the way that is not AWS.
func page(status int) *answer {
	return &answer{
		status: status,
		header: http.Header{"Content-Type": {"text/html"}},
		body:   []byte("<html><body>" + Message + "</body></html>\n"),
	}
}
