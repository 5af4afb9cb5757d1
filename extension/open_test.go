package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/source/awstest"
)

// opened is a config.yaml with names that callers come up with.
const opened = `
ttl: 5m
prefetch: true
parameters:
  - {name: "/tenants/{tenant}/plan", allow: "[a-z0-9-]{1,32}"}
secrets:
  - {name: "tenant/{tenant}/db"}
dynamodb:
  - {table: Permissions, key: {id: "{id}"}, as: "permission/{id}"}
  - {table: Permissions, key: {id: other}, as: permission/house}
  - {table: Orders, hashkey: n, hashkeytype: N, hashkeyvalue: "{n}", as: "order/{n}"}
memory: {max_entries: 40}
`

func newOpenWorld(t *testing.T) *world {
	t.Helper()
	const region = "eu-west-1"
	w := newWorld(t, opened)
	w.aws.PutParameter(region, "/tenants/acme/plan", awstest.Parameter{Value: "gold"})
	w.aws.PutSecret(region, "tenant/acme/db", awstest.Secret{Text: "hush"})
	w.aws.CreateTable(region, "Permissions", awstest.KeyAttr{Name: "id", Type: "S"}, awstest.KeyAttr{})
	w.aws.CreateTable(region, "Orders", awstest.KeyAttr{Name: "n", Type: "N"}, awstest.KeyAttr{})
	for _, id := range []string{"42", "house", "other"} {
		w.aws.PutItem(region, "Permissions", fmt.Sprintf(`{"id":{"S":%q}}`, id))
	}
	for n := range 200 {
		w.aws.PutItem(region, "Orders", fmt.Sprintf(`{"n":{"N":"%d"}}`, n))
	}
	return w
}

// stats returns what /stats says.
func (p *process) stats() map[string]cache.Stats {
	p.t.Helper()
	all := make(map[string]cache.Stats)
	if err := json.Unmarshal([]byte(p.get("/stats").body), &all); err != nil {
		p.t.Fatal(err)
	}
	return all
}

func TestOpenNames(t *testing.T) {
	w := newOpenWorld(t)
	p := w.start()
	w.lambda.WaitNext(1)
	if got := w.aws.Count(""); got != 1 {
		t.Errorf("%d upstream calls before the first read, want 1: patterns are not prefetched", got)
	}
	for _, tt := range []struct {
		name, path string
		status     int
		want       string // body, or code of a problem
		calls      int    // for two reads
	}{
		{"parameter", "/parameters?name=/tenants/acme/plan", 200, "gold", 1},
		{"secret", "/secrets?name=tenant/acme/db", 200, "hush", 1},
		{"item", "/dynamodb?name=permission/42", 200, `{"id":"42"}`, 1},
		{"item with a number", "/dynamodb?name=order/7", 200, `{"n":7}`, 1},
		{"what is declared wins", "/dynamodb?name=permission/house", 200, `{"id":"other"}`, 0},
		{"no such item", "/dynamodb?name=permission/43", 404, "missing", 1},
		{"no such parameter", "/parameters?name=/tenants/none/plan", 404, "missing", 1},
		{"no such secret", "/secrets?name=tenant/none/db", 404, "missing", 1},
		{"no pattern", "/dynamodb?name=permissions/42", 404, "undeclared", 0},
		{"another kind's", "/secrets?name=permission/42", 404, "undeclared", 0},
		{"nothing in the placeholder's place", "/dynamodb?name=permission/", 404, "undeclared", 0},
		{"a slash in it", "/dynamodb?name=permission/42/43", 404, "undeclared", 0},
		{"what allow does not", "/parameters?name=/tenants/ACME/plan", 404, "undeclared", 0},
		{"a version in it", "/parameters?name=/tenants/acme:1/plan", 404, "undeclared", 0},
		{"another spelling of the number", "/dynamodb?name=order/07", 404, "undeclared", 0},
		{"no number", "/dynamodb?name=order/seven", 404, "undeclared", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := w.aws.Count("")
			for range 2 {
				p.get(tt.path).want(t, tt.path, tt.status, tt.want)
			}
			if got := w.aws.Count("") - before; got != tt.calls {
				t.Errorf("upstream calls for two reads of %s = %d, want %d", tt.path, got, tt.calls)
			}
		})
	}
}

func TestColdOpenNameIsFetchedOnce(t *testing.T) {
	w := newOpenWorld(t)
	p := w.start()
	w.lambda.WaitNext(1)
	p.url("/") // wait for it to serve
	before := w.aws.Count("")
	w.aws.Latency(100 * time.Millisecond)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			p.get("/dynamodb?name=permission/42").want(t, "GET", 200, `{"id":"42"}`)
		})
	}
	all.Wait()
	if got := w.aws.Count("") - before; got != 1 {
		t.Errorf("upstream calls for 50 readers of a cold name = %d, want 1", got)
	}
}

// A scan costs neither what is declared nor more than memory allows, and neither /stats nor the log grow with it.
func TestScanOfOpenNames(t *testing.T) {
	w := newOpenWorld(t)
	p := w.start()
	w.lambda.WaitNext(1)
	for range 2 {
		p.get("/dynamodb?name=permission/42").want(t, "GET", 200, `{"id":"42"}`)
	}
	logged := len(p.stderr.String())
	for n := range 200 {
		p.get(fmt.Sprintf("/dynamodb?name=order/%d", n)).want(t, "GET", 200, fmt.Sprintf(`{"n":%d}`, n))
		p.get(fmt.Sprintf("/dynamodb?name=permission/none%d", n)).want(t, "GET", 404, "missing")
	}
	got := p.stats()["dynamodb"]
	// 401 open names, of which 40 stay: the one that was read twice, and of the last ones half are missing.
	if got.Evictions != 361 || got.Entries != 1+1+19 && got.Entries != 1+1+20 {
		t.Errorf("/stats after a scan = %+v, want 361 evictions, and 40 open names of which about half have no item", got)
	}
	before := w.aws.Count("")
	p.get("/dynamodb?name=permission/42").want(t, "GET", 200, `{"id":"42"}`)
	p.get("/dynamodb?name=permission/house").want(t, "GET", 200, `{"id":"other"}`)
	if got := w.aws.Count("") - before; got != 0 {
		t.Errorf("upstream calls after a scan for what is declared and what was read twice = %d, want 0", got)
	}
	if said := p.stderr.String()[logged:]; said != "" {
		t.Errorf("a scan over missing names logged %q, want nothing", said)
	}
}

// Failures of open names are told once a minute for each pattern and class, and without the name: AWS's messages have it.
func TestFailuresOfOpenNamesAreToldSparingly(t *testing.T) {
	w := newOpenWorld(t)
	p := w.start()
	w.lambda.WaitNext(1)
	logged := len(p.stderr.String())
	w.aws.Fail(awstest.Match{}, awstest.Fault{Code: "AccessDeniedException", Message: "not allowed on tenant/customer-7/db"})
	for n := range 20 {
		p.get(fmt.Sprintf("/secrets?name=tenant/customer-%d/db", n)).want(t, "GET", 403, "denied")
	}
	said := p.stderr.String()[logged:]
	if got := strings.Count(said, "fetch failed"); got != 1 || strings.Contains(said, "customer") || !strings.Contains(said, "AccessDeniedException") {
		t.Errorf("20 denied reads of open names logged\n%swant one line with AWS's code and no name", said)
	}
	if got := p.stats()["secrets"]; got.Errors.Denied != 20 {
		t.Errorf("/stats = %+v, want 20 denied", got)
	}
}
