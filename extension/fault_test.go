package main

import (
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/source/awstest"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// class is what a fault means to readers, whatever kind of resource it befalls.
type class struct {
	name   string // in docs/failure.md
	status int    // of the answer where there is no value to give
	code   string
	// A refusal is an answer: what is held is dropped, and the refusal is remembered for so long. Any other failure has 0:
	// what is held is kept, and from the second one in a row on AWS is left alone for a while.
	refusal time.Duration
}

var (
	missing   = class{"missing", 404, "missing", defaultNegativeTTL}
	unlisted  = class{"missing below a path", 404, "missing", defaultTTL}
	denied    = class{"denied", 403, "denied", defaultNegativeTTL}
	throttled = class{"throttled", 503, "throttled", 0}
	timeout   = class{"timeout", 504, "timeout", 0}
	upstream  = class{"upstream", 502, "upstream", 0}
)

// held is what is in memory when the fault strikes.
type held struct {
	name    string
	age     time.Duration // of the value; 0 where there is none
	refresh bool          // a read makes no attempt unless it says refresh=true
	usable  bool          // in place of an error
}

var (
	nothing = held{name: "nothing"}
	// In the last tenth of its ttl, where an INVOKE would refresh it.
	fresh  = held{"a fresh value, read with refresh=true", 280 * time.Second, true, true}
	within = held{"an expired value within stale_if_error", defaultTTL + time.Minute, false, true}
	beyond = held{"an expired value beyond stale_if_error", defaultTTL + defaultStaleIfError, false, false}
)

var states = []held{nothing, fresh, within, beyond}

// verdict is what a reader is told. cacheStatus has a verb for the ttl; it is empty for a problem.
type verdict struct {
	status            int
	code, cacheStatus string
}

// attempted is the verdict of a read for which AWS was asked.
func (c class) attempted(h held) verdict {
	switch {
	case c.refusal > 0 || !h.usable:
		return verdict{c.status, c.code, ""}
	case h.refresh:
		return verdict{200, "", "cache-extension; fwd=request; ttl=%d; detail=refresh-failed"}
	default:
		return verdict{200, "", "cache-extension; fwd=stale; ttl=%d; detail=stale-if-error"}
	}
}

// remembered is the verdict of a read for which AWS is not asked again.
func (c class) remembered(h held) verdict {
	switch {
	case c.refusal > 0 || !h.usable:
		return verdict{c.status, c.code, ""}
	case h.refresh:
		return verdict{200, "", "cache-extension; hit; ttl=%d; detail=refresh-limited"}
	default:
		return verdict{200, "", "cache-extension; hit; ttl=%d; detail=stale-if-error"}
	}
}

// cost is what one round of an operation takes: how many requests, and how many of them one after the other.
type cost struct{ requests, deep int }

// operation is one way to ask AWS.
type operation struct {
	name  string   // of the action
	kind  string   // cachetype
	names []string // in config.yaml, the one to be read first; several go in one batch

	// What it costs to be told no: by a plain error, after which the names of a batch are asked for one by one, for one of
	// them may be to blame; by a denial, after which the other action is tried as well, where there is one.
	plain, denied cost
}

func (o operation) batch() bool { return len(o.names) > 1 }

var operations = []operation{
	{"GetParameter", "parameters", []string{"/one/a"}, cost{1, 1}, cost{2, 2}},
	{"GetParameters", "parameters", []string{"/one/a", "/one/b"}, cost{3, 2}, cost{5, 3}},
	{"GetParametersByPath", "parameters", []string{"/tree/a"}, cost{1, 1}, cost{1, 1}},
	{"GetSecretValue", "secrets", []string{"a"}, cost{1, 1}, cost{1, 1}},
	{"GetItem", "dynamodb", []string{"things-a"}, cost{1, 1}, cost{2, 2}},
	{"BatchGetItem", "dynamodb", []string{"things-a", "things-b"}, cost{3, 2}, cost{5, 3}},
}

// named returns the operation of a name.
func named(name string) operation {
	return operations[slices.IndexFunc(operations, func(o operation) bool { return o.name == name })]
}

// single returns the operation by which the first name of o is read alone.
func single(o operation) operation {
	return operations[slices.IndexFunc(operations, func(s operation) bool { return s.names[0] == o.names[0] && !s.batch() })]
}

// course is how a call that meets a fault goes on.
type course int

const (
	final    course = iota // one request: asking on is no use
	plain                  // see operation
	bothWays               // see operation, denied
	retried                // AWS_MAX_ATTEMPTS requests, with pauses
	hung                   // one request, until the timeout
)

// fault is one way in which AWS fails.
type fault struct {
	name string // the code, where AWS gives one
	class
	course
	at     []string // the operations that can meet it; nil is all
	strike func(*edge)
}

// meets says whether the fault can befall o.
func (f fault) meets(o operation) bool { return f.at == nil || slices.Contains(f.at, o.name) }

// coded is a fault with an error code of AWS.
func coded(code string, c class, course course, at ...string) fault {
	return spoilt(code, c, course, awstest.Fault{Code: code}, at...)
}

// spoilt is a fault of all calls.
func spoilt(name string, c class, course course, f awstest.Fault, at ...string) fault {
	return fault{name, c, course, at, func(e *edge) { e.aws.Fail(awstest.Match{}, f) }}
}

// faults is every way in which AWS fails. They befall all of its services at once: where one action fails and the other
// works is TestDeniedOneWayIsReadTheOther.
func faults() []fault {
	removed := (*edge).remove
	reset := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	noHost := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "ssm", IsNotFound: true}}
	const kms = "The ciphertext refers to a customer master key that does not exist: " + awstest.Message
	list := []fault{
		{"ParameterNotFound", missing, plain, []string{"GetParameter"}, removed},
		coded("ParameterVersionNotFound", missing, plain, "GetParameter"),
		{"InvalidParameters", missing, final, []string{"GetParameters"}, removed},
		{"no parameter of the name below the path", unlisted, final, []string{"GetParametersByPath"}, removed},
		coded("ResourceNotFoundException", missing, plain, "GetSecretValue", "GetItem", "BatchGetItem"),
		{"marked for deletion", missing, plain, []string{"GetSecretValue"}, func(e *edge) { e.aws.MarkSecretDeleted("eu-west-1", "a") }},
		{"no Item", missing, final, []string{"GetItem", "BatchGetItem"}, removed},

		coded("AccessDeniedException", denied, bothWays),
		coded("AccessDenied", denied, bothWays),
		spoilt("AccessDeniedException about a KMS key", denied, bothWays, awstest.Fault{Code: "AccessDeniedException", Message: kms}),
		spoilt("AccessDenied with HTTP 403", denied, bothWays, awstest.Fault{Code: "AccessDenied", Status: 403}),

		spoilt("UnprocessedKeys", throttled, retried, awstest.Fault{Unprocessed: 2}, "BatchGetItem"),

		spoilt("hung", timeout, hung, awstest.Fault{Hang: true}),
		spoilt("an answer too late", timeout, hung, awstest.Fault{Delay: time.Minute}),

		coded("ExpiredTokenException", upstream, final),
		coded("ExpiredToken", upstream, final),
		coded("UnrecognizedClientException", upstream, final),
		coded("InvalidSignatureException", upstream, final),
		coded("DecryptionFailure", upstream, plain, "GetSecretValue"),
		coded("InvalidKeyId", upstream, plain, "GetParameter", "GetParameters", "GetParametersByPath"),
		coded("InvalidRequestException", upstream, plain, "GetSecretValue"),
		coded("ValidationException", upstream, plain),
		spoilt("InternalServerError", upstream, retried, awstest.Fault{Code: "InternalServerError", Status: 500}),
		spoilt("ServiceUnavailable", upstream, retried, awstest.Fault{Code: "ServiceUnavailable", Status: 503}),
		spoilt("HTTP 500 without a code", upstream, retried, awstest.Fault{Status: 500}),
		spoilt("HTTP 503 without a code", upstream, retried, awstest.Fault{Status: 503}),
		spoilt("HTTP 403 without a code", upstream, plain, awstest.Fault{Status: 403}),
		spoilt("HTTP 404 without a code", upstream, plain, awstest.Fault{Status: 404}),
		spoilt("dropped before an answer", upstream, retried, awstest.Fault{Err: reset}),
		spoilt("dropped in the middle of an answer", upstream, retried, awstest.Fault{Drop: true}),
		spoilt("an error dropped in the middle", upstream, retried, awstest.Fault{Code: "AccessDeniedException", Drop: true}),
		spoilt("truncated", upstream, retried, awstest.Fault{Truncate: true}),
		spoilt("not JSON", upstream, plain, awstest.Fault{NotJSON: true}),
		spoilt("connection refused", upstream, retried, awstest.Fault{Err: awstest.ErrRefused}),
		spoilt("no such host", upstream, final, awstest.Fault{Err: noHost}),
	}
	for code := range retry.DefaultThrottleErrorCodes {
		list = append(list, coded(code, throttled, retried))
	}
	return list
}

// cost is what a round of o costs when it meets f.
func (f fault) cost(o operation) cost {
	switch f.course {
	case plain:
		return o.plain
	case bothWays:
		return o.denied
	case retried:
		return cost{attempts, attempts}
	default: // final, hung
		return cost{1, 1}
	}
}

// bounds is how long the reader of a round waits when o meets f while h is held.
func (f fault) bounds(o operation, h held) (least, most time.Duration) {
	if f.course == hung {
		if h == within {
			return defaultStaleWait, defaultStaleWait
		}
		return defaultTimeout, defaultTimeout
	}
	least = time.Duration(f.cost(o).deep) * latency
	if f.course == retried {
		return least, least + (attempts-1)*pause
	}
	return least, least
}

// TestFaults holds every fault, at every operation that can meet it, with everything that can be held then, to the tables
// above: what readers are answered and how soon, how often AWS is asked, what is remembered and for how long.
func TestFaults(t *testing.T) {
	for _, o := range operations {
		for _, f := range faults() {
			if !f.meets(o) {
				continue
			}
			for _, h := range states {
				t.Run(fmt.Sprintf("%s, %s, %s", o.name, f.name, h.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						c := &cell{edge: newEdge(t, ""), operation: o, fault: f, held: h}
						c.hold()
						c.put(2)
						c.strike(c.edge)
						if f.refusal > 0 {
							c.refused()
						} else {
							c.failed()
						}
						c.recovered()
					})
				})
			}
		}
	}
}

// cell is one case: an operation that meets a fault while something is held.
type cell struct {
	*edge
	operation
	fault
	held
	fetched time.Time // when the value that is held was
}

// hold brings the cell to what it begins with.
func (c *cell) hold() {
	if c.age == 0 {
		return
	}
	for _, name := range slices.Backward(c.names) {
		if got := c.get(c.kind, name, false); got.status != 200 {
			c.t.Fatalf("before the fault, %s is answered with %d %s", name, got.status, got.body)
		}
	}
	c.fetched = time.Now()
	time.Sleep(c.age)
}

// failed is the course of events where AWS gave no answer.
func (c *cell) failed() {
	c.round("first read", c.attempted(c.held))
	// refresh=true makes one attempt a second.
	floor := time.Duration(0)
	if c.refresh {
		floor = time.Second
	}
	time.Sleep(floor)
	c.round("second read", c.attempted(c.held))
	// The hold-off: 250 ms, a fifth more or less.
	c.silence("third read", c.refresh, c.remembered(c.held))
	time.Sleep(200*time.Millisecond - 1)
	c.silence("read in the hold-off", c.refresh, c.remembered(c.held))
	time.Sleep(max(floor, 100*time.Millisecond+1))
	c.round("read after the hold-off", c.attempted(c.held))
}

// refused is the course of events where AWS answered that there is nothing for us.
func (c *cell) refused() {
	c.round("first read", c.attempted(c.held))
	c.silence("second read", false, c.remembered(c.held))
	time.Sleep(c.refusal - 1)
	c.silence("last read while the refusal is remembered", false, c.remembered(c.held))
	time.Sleep(time.Nanosecond)
	c.held = nothing // what was is dropped, and refresh=true is not needed
	c.operation = single(c.operation)
	c.asked("read after that", c.fault.cost(c.operation).requests, func() { c.get(c.kind, c.names[0], false) })
}

// recovered is the end of every cell.
func (c *cell) recovered() {
	c.aws.Clear()
	c.put(3)
	time.Sleep(time.Second) // the floor of refresh=true, and more than the hold-off of three failures
	c.asked("recovery", 1, func() {
		got := c.get(c.kind, c.names[0], true)
		if got.status != 200 || !strings.Contains(got.body, text(3)) || got.header.Get("Age") != "0" ||
			got.header.Get("Cache-Status") != "cache-extension; fwd=request; stored" {
			c.t.Errorf("recovery: %d %s %v", got.status, got.body, got.header)
		}
	})
}

// round is a read that makes AWS be asked, or for a batch a read that joins prefetch or INVOKE.
func (c *cell) round(call string, want verdict) {
	c.t.Helper()
	c.asked(call, c.fault.cost(c.operation).requests, func() {
		landed := func() {}
		if c.batch() {
			landed = c.warm(c.kind, c.names)
		}
		start := time.Now()
		c.read(call, c.refresh, want)
		took := time.Since(start)
		if least, most := c.bounds(c.operation, c.held); took < least || took > most {
			c.t.Errorf("%s: took %v, want %v to %v", call, took, least, most)
		}
		landed()
		if c.course == hung {
			time.Sleep(defaultTimeout - time.Since(start)) // the flight outlives a reader who did not wait for it
		}
		synctest.Wait()
	})
}

// silence is a read for which AWS is not asked, nor by prefetch or INVOKE.
func (c *cell) silence(call string, refresh bool, want verdict) {
	c.t.Helper()
	c.asked(call, 0, func() {
		start := time.Now()
		if c.batch() && c.refusal == 0 {
			c.warm(c.kind, c.names)()
		}
		c.read(call, refresh, want)
		if took := time.Since(start); took != 0 {
			c.t.Errorf("%s: took %v, want none", call, took)
		}
	})
}

// asked checks the number of requests that AWS gets.
func (c *cell) asked(call string, want int, do func()) {
	c.t.Helper()
	c.aws.Reset()
	do()
	if got := c.aws.Count(""); got != want {
		c.t.Errorf("%s: %d requests to AWS, want %d", call, got, want)
	}
}

// read reads the first of the names and checks the whole answer.
func (c *cell) read(call string, refresh bool, want verdict) {
	c.t.Helper()
	got := c.get(c.kind, c.names[0], refresh)
	gotCode := got.code()
	wantAge, wantCacheStatus, wantRetryAfter := "", "", ""
	if want.status >= 502 {
		wantRetryAfter = "1" // what is left of a hold-off is less than a second in all cells
	}
	if want.status == 200 {
		age := time.Since(c.fetched)
		wantAge = fmt.Sprint(int(age.Seconds()))
		wantCacheStatus = fmt.Sprintf(want.cacheStatus, int(math.Floor((defaultTTL - age).Seconds())))
		if !strings.Contains(got.body, text(1)) {
			c.t.Errorf("%s: the value is %q, want the one held", call, got.body)
		}
	}
	if got.status != want.status || gotCode != want.code {
		c.t.Errorf("%s: %d %q, want %d %q", call, got.status, gotCode, want.status, want.code)
	}
	if got := got.header.Get("Cache-Status"); got != wantCacheStatus {
		c.t.Errorf("%s: Cache-Status %q, want %q", call, got, wantCacheStatus)
	}
	if got := got.header.Get("Retry-After"); got != wantRetryAfter {
		c.t.Errorf("%s: Retry-After %q, want %q", call, got, wantRetryAfter)
	}
	if got := got.header.Get("Age"); got != wantAge {
		c.t.Errorf("%s: Age %q, want %q", call, got, wantAge)
	}
}
