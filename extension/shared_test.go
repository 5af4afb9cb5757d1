//go:build shared

package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cache-extension/extension/internal/shared"
	"cache-extension/extension/internal/shared/redistest"
	"cache-extension/extension/internal/source/awstest"
)

const (
	// sharedUser is who the program is at the server, with no more than it needs.
	sharedUser     = "app"
	sharedPassword = "password-not-for-logs"
)

// users of the server: the program's, and the tests' own.
func users() []string {
	return []string{"default on nopass ~* +@all", sharedUser + " on >" + sharedPassword + " ~fleet/* +get +set +del +eval"}
}

// fleetConfig is the config.yaml of environments that share a server. What is older than its TTL is at hand, in memory and on
// the server, but AWS answers: it is never to be served.
const fleetConfig = `
ttl: 300ms
stale_if_error: 1h
stale_wait: 10s
timeout: 10s
parameters:
  - names: [p0, p1, p2, p3]
  - path: /tree/
secrets:
  - names: [s0, s1]
  - {name: cache-key, ttl: 500ms}
dynamodb:
  - {table: t, key: {pk: i0}}
  - {table: t, key: {pk: "{id}"}, as: "item/{id}"}
shared:
  url: %s
  prefix: fleet/
  kinds: [parameters, secrets, dynamodb]
  key_secret: cache-key
  timeout: 1s
`

const fleetTTL = 300 * time.Millisecond

// fleetReads are the URLs and the name that the value of each must begin with.
var fleetReads = []struct{ path, name string }{
	{"/parameters?name=p0", "p0"}, {"/parameters?name=p1", "p1"}, {"/parameters?name=p2", "p2"}, {"/parameters?name=p3", "p3"},
	{"/parameters//tree/0", "/tree/0"}, {"/parameters?name=/tree/&field=/1", "/tree/1"},
	{"/secrets?name=s0", "s0"}, {"/secrets/s1", "s1"},
	{"/dynamodb?name=t-i0&field=/value", "i0"}, {"/dynamodb/item/i1?field=/value", "i1"}, {"/dynamodb/item/i2?field=/value", "i2"},
}

// fleet is some runs of the program that share a server, and a world whose values are numbered: "p0 17" was put when the
// 17th were.
type fleet struct {
	*world
	server    *redistest.Server
	processes []*process
	answers   atomic.Int64

	mu   sync.Mutex // guards what follows
	puts []time.Time
}

func newFleet(t *testing.T, environments int) *fleet {
	t.Helper()
	server := redistest.Start(t, redistest.Options{Users: users()})
	f := &fleet{world: newWorld(t, fmt.Sprintf(fleetConfig, server.URL(sharedUser, sharedPassword))), server: server}
	f.aws.CreateTable("eu-west-1", "t", awstest.KeyAttr{Name: "pk", Type: "S"}, awstest.KeyAttr{})
	f.rotateKey()
	f.rotate()
	for range environments {
		f.processes = append(f.processes, f.start("serve", f.file))
	}
	return f
}

// rotate puts a new value of every name.
func (f *fleet) rotate() {
	const region = "eu-west-1"
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.puts)
	for i := range 4 {
		f.aws.PutParameter(region, fmt.Sprint("p", i), awstest.Parameter{Value: fmt.Sprintf("p%d %d", i, n)})
	}
	for i := range 2 {
		f.aws.PutParameter(region, fmt.Sprint("/tree/", i), awstest.Parameter{Value: fmt.Sprintf("/tree/%d %d", i, n)})
		f.aws.PutSecret(region, fmt.Sprint("s", i), awstest.Secret{Text: fmt.Sprintf("s%d %d", i, n)})
	}
	for i := range 3 {
		f.aws.PutItem(region, "t", fmt.Sprintf(`{"pk":{"S":"i%d"},"value":{"S":"i%d %d"}}`, i, i, n))
	}
	f.puts = append(f.puts, time.Now())
}

// rotateKey puts a new key of the seal.
func (f *fleet) rotateKey() {
	key := make([]byte, shared.KeySize)
	rand.Read(key)
	f.aws.PutSecret("eu-west-1", "cache-key", awstest.Secret{Text: base64.StdEncoding.EncodeToString(key)})
}

// age is how long before at the nth values had been replaced; 0 if they had not. It is false where there are none.
func (f *fleet) age(n int, at time.Time) (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case n < 0 || n > len(f.puts): // those that are being put are not counted yet
		return 0, false
	case n+1 >= len(f.puts):
		return 0, true
	}
	return max(0, at.Sub(f.puts[n+1])), true
}

const (
	fleetBound = 4 * time.Second // of a read: two exchanges with the server, and 2 s for another environment
	fleetSlack = 2 * time.Second // what a busy machine may add to a bound
	// fleetPatience is more than the longest time for which a server that failed again and again, as one does on a busy machine,
	// is left alone.
	fleetPatience = 90 * time.Second
)

// read reads one name after the other at each tick until ctx ends, and checks that each read is answered in time, with a value
// of the name asked for that AWS had not replaced for longer than its TTL.
func (f *fleet) read(ctx context.Context, client *http.Client, url string, first int) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := first; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		r := fleetReads[i%len(fleetReads)]
		began := time.Now()
		status, body, err := fetch(context.Background(), client, url+r.path)
		took := time.Since(began)
		f.answers.Add(1)
		if err != nil || status != http.StatusOK {
			f.t.Errorf("GET %s = %d %q, %v, want a value", r.path, status, body, err)
			continue
		}
		name, number, _ := strings.Cut(body, " ")
		n, err := strconv.Atoi(number)
		age, put := f.age(n, began)
		if err != nil || name != r.name || !put || age > fleetTTL+fleetSlack {
			f.t.Errorf("GET %s = %q, replaced for %v, want a value of %s replaced for at most its TTL, %v", r.path, body, age, r.name, fleetTTL)
		}
		if took > fleetBound+fleetSlack {
			f.t.Errorf("GET %s took %v, want at most %v", r.path, took, fleetBound)
		}
	}
}

// load has AWS's values change and so many readers read them, until end is called.
func (f *fleet) load(readers int) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: readers}}
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				f.rotate()
			case <-ctx.Done():
				return
			}
		}
	})
	for i := range readers {
		url := f.processes[i%len(f.processes)].url("")
		running.Go(func() { f.read(ctx, client, url, i) })
	}
	return func() {
		cancel()
		running.Wait()
		client.CloseIdleConnections()
	}
}

// shared returns what /stats says of the server.
func (p *process) shared() shared.Stats {
	p.t.Helper()
	var all struct{ Shared *shared.Stats }
	if err := json.Unmarshal([]byte(p.get("/stats").body), &all); err != nil || all.Shared == nil {
		p.t.Fatalf("/stats has no shared: %v", err)
	}
	return *all.Shared
}

// until waits until all environments have come to a state of the server.
func (f *fleet) until(what string, ok func(environment int, s shared.Stats) bool) {
	f.t.Helper()
	late := time.Now().Add(fleetPatience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i, p := range f.processes {
		for s := p.shared(); !ok(i, s); s = p.shared() {
			if <-tick.C; time.Now().After(late) {
				f.t.Fatalf("not in time: environment %d: %s; /stats has %+v, and it said:\n%s", i, what, s, p.stderr.String())
			}
		}
	}
}

// untilRead waits for so many more answers.
func (f *fleet) untilRead(more int64) {
	f.t.Helper()
	enough := f.answers.Load() + more
	f.until(fmt.Sprint(more, " more answers"), func(int, shared.Stats) bool { return f.answers.Load() >= enough })
}

// untilShared waits until each environment has taken something more from the server.
func (f *fleet) untilShared() {
	f.t.Helper()
	before := make([]uint64, len(f.processes))
	for i, p := range f.processes {
		before[i] = p.shared().Hits
	}
	f.until("it takes values from the server", func(i int, s shared.Stats) bool { return !s.Open && s.Hits > before[i] })
}

// Whatever happens to the server while 50 readers read through five environments, each read is answered with a right value.
func TestSharedFaultsUnderLoad(t *testing.T) {
	for _, fault := range []struct {
		name       string
		goes, back func(*fleet)
		bad, good  string // what each environment says of it, once for each time; "" where none need notice
	}{
		{"killed", func(f *fleet) { f.server.Kill() }, func(f *fleet) { f.server.Restart() },
			"the shared tier failed", "the shared tier answers again"},
		{"stopped", func(f *fleet) { f.server.Stop() }, func(f *fleet) { f.server.Continue() },
			"the shared tier failed", "the shared tier answers again"},
		{"memory full", func(f *fleet) { f.memory("1") }, func(f *fleet) { f.memory("0") },
			"the shared tier takes no values", "the shared tier takes values again"},
		{"wrong password", func(f *fleet) { f.password("another") }, func(f *fleet) { f.password(sharedPassword) },
			"the shared tier failed", "the shared tier answers again"},
		{"restarted", func(f *fleet) { f.server.Restart() }, func(*fleet) {}, "", ""},
		{"key rotated", func(f *fleet) { f.rotateKey() }, func(f *fleet) { f.untilKeyRead() }, "", ""},
	} {
		t.Run(fault.name, func(t *testing.T) {
			f := newFleet(t, 5)
			defer f.load(50)()
			f.untilShared()

			fault.goes(f)
			if fault.bad != "" {
				f.until("it leaves the server alone", func(_ int, s shared.Stats) bool { return s.Open && s.Errors > 0 })
			}
			f.untilRead(2500) // a second or so, in which it is tried again
			fault.back(f)
			f.untilShared()

			for i, p := range f.processes {
				said := p.stderr.String()
				if fault.bad != "" {
					if bad, good := strings.Count(said, fault.bad), strings.Count(said, fault.good); bad < 1 || bad != good {
						t.Errorf("environment %d said\n%swant %q once, and %q once", i, said, fault.bad, fault.good)
					}
				}
				for _, never := range []string{sharedPassword, "not-for-logs", "fetch failed", "did not write", "no exchange"} {
					if strings.Contains(said, never) {
						t.Errorf("environment %d said %q:\n%s", i, never, said)
					}
				}
			}
		})
	}
}

// memory bounds what the server may hold; "0" is no bound.
func (f *fleet) memory(bytes string) {
	f.server.CLI("config", "set", "maxmemory-policy", "noeviction")
	f.server.CLI("config", "set", "maxmemory", bytes)
}

// password changes the program's password at the server, which makes it log in again.
func (f *fleet) password(password string) {
	f.server.CLI("acl", "setuser", sharedUser, "resetpass", ">"+password)
	f.server.CLI("client", "kill", "user", sharedUser)
}

// untilKeyRead waits until each environment has read the key of the seal anew: the copy of each expires in the same time.
func (f *fleet) untilKeyRead() {
	f.t.Helper()
	reads := func() (n int) {
		for _, call := range f.aws.Calls() {
			if call.Op == "GetSecretValue" && call.Names[0] == "cache-key" {
				n++
			}
		}
		return n
	}
	enough := reads() + 2*len(f.processes)
	f.until("the key of the seal is read anew", func(int, shared.Stats) bool { return reads() >= enough })
}

// What one environment fetched another one reads, with the age that it has, and with no call of AWS but for the key.
func TestSharedValues(t *testing.T) {
	f := newFleet(t, 0)
	f.env["CACHE_EXTENSION_TTL"] = "1h"
	one := f.start("serve", f.file)
	for _, r := range fleetReads {
		one.get(r.path).want(t, r.path, http.StatusOK, r.name+" 0")
	}
	f.rotate()
	f.aws.Reset()
	f.env["CACHE_EXTENSION_INIT_STARTUP"] = "true"
	two := f.start()
	f.lambda.WaitNext(1)
	for _, r := range fleetReads {
		two.get(r.path).want(t, r.path, http.StatusOK, r.name+" 0")
	}
	a := two.get("/dynamodb/item/i1?refresh=true&field=/value")
	a.want(t, "refresh", http.StatusOK, "i1 1")
	if got, want := a.header.Get("Cache-Status"), "cache-extension; fwd=request; stored"; got != want {
		t.Errorf("Cache-Status of a refresh = %q, want %q", got, want)
	}
	for _, call := range f.aws.Calls() {
		if call.Op != "GetSecretValue" && call.Op != "GetItem" || call.Op == "GetItem" && call.Names[0] != "t-i1" {
			t.Errorf("AWS was asked for %s %q, want the key and the refresh alone", call.Op, call.Names)
		}
	}
	delete(f.env, "CACHE_EXTENSION_INIT_STARTUP")
	three := f.start("serve", f.file)
	if got, want := three.get("/secrets/s0").header.Get("Cache-Status"), "shared; hit, cache-extension; fwd=uri-miss; stored"; got != want {
		t.Errorf("Cache-Status of the first read = %q, want %q", got, want)
	}
	three.get("/dynamodb/item/i1?field=/value").want(t, "after another's refresh", http.StatusOK, "i1 1")
	if got := three.shared(); got.Hits == 0 || got.Errors != 0 || got.Open {
		t.Errorf("/stats has %+v, want hits and no errors", got)
	}
	if keys := f.server.CLI("keys", "*"); strings.Contains(keys, "tree") || !strings.HasPrefix(keys, "fleet/") {
		t.Errorf("the server has the keys\n%s\nwant hashes behind the prefix", keys)
	}
}

// A server that is not there, hangs or lets nobody in keeps nothing from starting, and is told of once.
func TestSharedServerIsNoUse(t *testing.T) {
	for _, tt := range []struct {
		name, password string
		goes           func(*redistest.Server)
		said           string
	}{
		{"not there", sharedPassword, (*redistest.Server).Kill, "connection refused"},
		{"hangs", sharedPassword, (*redistest.Server).Stop, "no answer within "},
		{"wrong password", "wrong-not-for-logs", func(*redistest.Server) {}, "WRONGPASS: user or password in shared.url are not those of the server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFleet(t, 0)
			tt.goes(f.server)
			f.env["CACHE_EXTENSION_TTL"] = "1h"
			f.env["CACHE_EXTENSION_INIT_STARTUP"] = "true"
			w := newWorld(t, fmt.Sprintf(fleetConfig, f.server.URL(sharedUser, tt.password)))
			f.env["CACHE_EXTENSION_CONFIG"] = w.file
			p := f.start()
			f.lambda.WaitNext(1)
			for _, r := range fleetReads {
				a := p.get(r.path)
				a.want(t, r.path, http.StatusOK, r.name+" 0")
				if got := a.header.Get("Cache-Status"); !strings.HasPrefix(got, "cache-extension; ") {
					t.Errorf("Cache-Status = %q, want none of the shared tier", got)
				}
			}
			if got := p.shared(); !got.Open || got.Hits != 0 {
				t.Errorf("/stats has %+v, want it open and no hits", got)
			}
			said := p.stderr.String()
			if strings.Count(said, "the shared tier") != 1 || !strings.Contains(said, tt.said) || strings.Contains(said, "not-for-logs") {
				t.Errorf("it said\n%swant once why: %q", said, tt.said)
			}
		})
	}
}
