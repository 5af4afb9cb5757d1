package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/source/awstest"
)

// TestInvokeRefreshThatFails has the refresh of an INVOKE fail while the value is still fresh. Where AWS refuses, the value
// is gone at once; any other failure, expired credentials among them, takes nothing away, and no reader notices.
func TestInvokeRefreshThatFails(t *testing.T) {
	for _, o := range operations {
		for _, f := range faults() {
			if !f.meets(o) {
				continue
			}
			t.Run(o.name+", "+f.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := &cell{edge: newEdge(t, ""), operation: o, fault: f, held: fresh}
					c.hold()
					c.put(2)
					c.strike(c.edge)
					hit := verdict{200, "", "cache-extension; hit; ttl=%d"}
					c.asked("INVOKE", f.cost(o).requests, func() {
						landed := c.warm(c.kind, c.caches[c.kind].Due())
						start := time.Now()
						c.read("read during the refresh", false, hit)
						if took := time.Since(start); took != 0 {
							t.Errorf("the read during the refresh took %v, want none", took)
						}
						landed()
					})
					want := hit
					if f.refusal > 0 {
						want = c.remembered(nothing)
					}
					c.asked("reads after the refresh", 0, func() {
						c.read("read after the refresh", false, want)
					})
					c.recovered()
				})
			})
		}
	}
}

// TestRevalidationThatFails has the fetch behind an old value fail, of which the reader knows nothing: it is told by the
// next ones.
func TestRevalidationThatFails(t *testing.T) {
	for _, o := range operations {
		for _, f := range faults() {
			if !f.meets(o) || o.batch() {
				continue // what is revalidated is one name
			}
			t.Run(o.name+", "+f.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := &cell{edge: newEdge(t, "stale_while_revalidate: 2m\n"), operation: o, fault: f, held: within}
					c.hold()
					c.put(2)
					c.strike(c.edge)
					old := verdict{200, "", "cache-extension; hit; ttl=%d; detail=stale-while-revalidate"}
					behind := func(call string) {
						c.asked(call, f.cost(o).requests, func() {
							start := time.Now()
							c.read(call, false, old)
							if took := time.Since(start); took != 0 {
								t.Errorf("%s: took %v, want none", call, took)
							}
							time.Sleep(defaultTimeout) // no fetch takes longer
							synctest.Wait()
						})
					}
					behind("first read")
					if f.refusal > 0 {
						c.silence("second read", false, c.remembered(nothing))
					} else {
						behind("second read")
					}
					c.recovered()
				})
			})
		}
	}
}

// TestDeniedOneWayIsReadTheOther denies one of two actions and not the other: the value is had all the same, at the cost of
// the call that was denied, and that cost is not paid again.
func TestDeniedOneWayIsReadTheOther(t *testing.T) {
	tests := []struct {
		denied      string // action
		name        string // of the operation that meets it
		first, then cost
	}{
		{"GetParameter", "GetParameter", cost{2, 2}, cost{1, 1}},
		{"GetParameters", "GetParameters", cost{3, 2}, cost{2, 1}},
		{"GetItem", "GetItem", cost{2, 2}, cost{1, 1}},
		{"BatchGetItem", "BatchGetItem", cost{3, 2}, cost{2, 1}},
	}
	for _, tt := range tests {
		for _, code := range []string{"AccessDeniedException", "AccessDenied"} {
			for h, want := range map[held]string{
				nothing: "fwd=uri-miss; stored",
				fresh:   "fwd=request; stored",
				within:  "fwd=stale; stored",
				beyond:  "fwd=stale; stored",
			} {
				t.Run(fmt.Sprintf("%s, %s, %s", tt.name, code, h.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						c := &cell{edge: newEdge(t, ""), operation: named(tt.name), held: h}
						c.hold()
						c.put(2)
						c.aws.Fail(awstest.Match{Op: tt.denied}, awstest.Fault{Code: code})
						c.served("first read", tt.first, text(2), want)
						c.held = fresh
						time.Sleep(fresh.age) // less than the five minutes for which it is known what works
						c.served("read with what is known", tt.then, text(2), "fwd=request; stored")
						time.Sleep(fresh.age)
						c.served("read after it is forgotten", tt.first, text(2), "fwd=request; stored")
					})
				})
			}
		}
	}
}

// served is a round that ends well.
func (c *cell) served(call string, cost cost, value, cacheStatus string) {
	c.t.Helper()
	c.asked(call, cost.requests, func() {
		landed := func() {}
		if c.batch() {
			landed = c.warm(c.kind, c.names)
			cacheStatus += "; collapsed"
		}
		start := time.Now()
		got := c.get(c.kind, c.names[0], c.refresh)
		if took, want := time.Since(start), time.Duration(cost.deep)*latency; took != want {
			c.t.Errorf("%s: took %v, want %v", call, took, want)
		}
		landed()
		if got.status != 200 || !strings.Contains(got.body, value) || got.header.Get("Age") != "0" ||
			got.header.Get("Cache-Status") != "cache-extension; "+cacheStatus {
			c.t.Errorf("%s: %d %q %v, want 200 with %q and %s", call, got.status, got.body, got.header, value, cacheStatus)
		}
	})
}

// TestOneBadNameOfABatch has AWS fail a batch because of one of its names: the other one is read all the same.
func TestOneBadNameOfABatch(t *testing.T) {
	tests := []struct {
		code string
		cost cost // of both
	}{
		{"ValidationException", cost{3, 2}},
		{"ResourceNotFoundException", cost{3, 2}},
		{"AccessDeniedException", cost{4, 2}}, // the bad one is tried both ways
	}
	for _, tt := range tests {
		for _, name := range []string{"GetParameters", "BatchGetItem"} {
			t.Run(name+", "+tt.code, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := &cell{edge: newEdge(t, ""), operation: named(name), held: nothing}
					c.aws.Fail(awstest.Match{Name: c.names[1]}, awstest.Fault{Code: tt.code})
					c.served("the good name", tt.cost, text(1), "fwd=uri-miss; stored")
				})
			})
		}
	}
}

// TestThrottledForAMinute reads a name that AWS throttles ten thousand times in a minute.
func TestThrottledForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cell{edge: newEdge(t, ""), operation: named("GetSecretValue")}
		c.aws.Fail(awstest.Match{}, awstest.Fault{Code: "ThrottlingException"})
		start := time.Now()
		for i := range 10_000 {
			time.Sleep(time.Until(start.Add(time.Duration(i) * 6 * time.Millisecond)))
			c.get(c.kind, c.names[0], i%10 == 0)
		}
		if got, most := c.aws.Count(""), 10*attempts; got > most {
			t.Errorf("%d requests to AWS in a minute, want %d at most", got, most)
		}
	})
}

// TestRetryAfterTellsWhenToComeBack has a reader come back when it is told to: AWS is asked each time, and left alone for
// longer each time, up to the thirty seconds that are the most, a fifth more or less. A success ends that.
func TestRetryAfterTellsWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cell{edge: newEdge(t, ""), operation: named("GetSecretValue")}
		c.aws.Fail(awstest.Match{}, awstest.Fault{Code: "ThrottlingException"})
		told, least := 0, 0
		c.get(c.kind, c.names[0], false) // a first failure has no hold-off
		for range 12 {
			c.asked("read when told", attempts, func() {
				got := c.get(c.kind, c.names[0], false)
				n, err := strconv.Atoi(got.header.Get("Retry-After"))
				if err != nil || got.status != 503 || n < least || n > 36 {
					t.Fatalf("%d with Retry-After %q, want 503 with %d to 36", got.status, got.header.Get("Retry-After"), least)
				}
				told, least = n, min(n, 24)
			})
			c.asked("read before that", 0, func() { c.get(c.kind, c.names[0], true) })
			time.Sleep(time.Duration(told) * time.Second)
		}
		if told < 24 {
			t.Errorf("Retry-After at last = %d, want 24 to 36", told)
		}

		c.aws.Clear()
		c.served("read when AWS is back", cost{1, 1}, text(1), "fwd=uri-miss; stored")
		c.aws.Fail(awstest.Match{}, awstest.Fault{Code: "ThrottlingException"})
		for range 2 { // a success has ended the hold-off, so the next failure is a first one
			time.Sleep(time.Second)
			c.asked("refresh=true after a success", attempts, func() { c.get(c.kind, c.names[0], true) })
		}
	})
}
