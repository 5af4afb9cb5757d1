package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cache-extension/e2e/cloud"
	"cache-extension/e2e/emulator"
	"cache-extension/e2e/parts"
)

// resources is what the tests here declare, with %s for what they add to each entry. None is read by the function's init
// code, which knows other names. The held ones are what rotate writes.
const resources = `
parameters:
  - {name: CacheExtensions_Parameter1, as: held}
  - {name: /aws/reference/secretsmanager/secret_info, as: cold}
secrets:
  - {name: secret_info, as: held}
  - {name: secret_info, stage: AWSPREVIOUS, as: cold}
dynamodb:
  - {table: DynamoDbTable, key: {pKey: pKey1, sKey: sKey1}, as: held}
  - {table: DynamoDbTable, key: {pKey: pKey1, sKey: sKey2}, as: cold}
`

// The URLs of what resources declares; all bodies are what rotate wrote last, but for the cold secret's, which is what it
// wrote before.
var (
	held = []string{"/parameters?name=held", "/secrets?name=held", "/dynamodb?name=held&field=/Data"}
	cold = []string{"/parameters?name=cold", "/secrets?name=cold", "/dynamodb?name=cold&field=/Data"}
)

func TestOutage(t *testing.T) {
	t.Parallel()
	if !sandboxed(t, parts.RIE, parts.Moto, parts.SAM) {
		return
	}
	proxy := aws(t)
	for _, tt := range []struct {
		name   string
		start  func()
		status []int // of cold
		code   []string
	}{
		{"each service in its own way", func() {
			proxy.SetFault(cloud.Throttle, "GetParameter", "GetParameters")
			proxy.SetFault(cloud.Fail, "GetSecretValue")
			proxy.SetFault(cloud.Hang, "GetItem", "BatchGetItem")
		}, []int{503, 502, 504}, []string{"throttled", "upstream", "timeout"}},
		{"every connection drops", func() { proxy.SetFault(cloud.Drop) }, []int{502, 502, 502}, []string{"upstream", "upstream", "upstream"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, after := tt.name+": before", tt.name+": after"
			rotate(t, proxy, before)
			e := start(t, deploy(t, proxy, "ttl: 1s\ntimeout: 500ms\nstale_wait: 200ms\n"+resources))
			for i, r := range ask(t, e, event{Read: held}).Now {
				if r.Status != http.StatusOK || r.Body != before {
					t.Fatalf("GET %s before the outage: got %d %q, want 200 %q", held[i], r.Status, r.Body, before)
				}
			}
			proxy.Calls()
			tt.start()
			defer proxy.SetFault(cloud.None)
			rotate(t, proxy, after)

			checkStale(t, e, before)
			for i, r := range ask(t, e, event{Read: cold}).Now {
				if r.Status != tt.status[i] || !strings.Contains(r.Body, fmt.Sprintf(`"code":%q`, tt.code[i])) || r.Retry < 1 {
					t.Errorf("GET %s: got %d %s and Retry-After %d, want %d, the code %s and at least 1", cold[i], r.Status, r.Body, r.Retry, tt.status[i], tt.code[i])
				}
			}
			// From the second failure on a hold-off doubles: half a minute has at most ten flights, of three requests each,
			// and the cold names had one.
			const most = 33
			calls := proxy.Calls()
			for kind, n := range map[string]int{
				"parameters": calls["GetParameter"] + calls["GetParameters"],
				"secrets":    calls["GetSecretValue"],
				"dynamodb":   calls["GetItem"] + calls["BatchGetItem"],
			} {
				if n == 0 || n > most {
					t.Errorf("calls of AWS for %s during the outage: got %d, want 1 to %d", kind, n, most)
				}
			}

			proxy.SetFault(cloud.None)
			checkFresh(t, e, held, after)
			checkFresh(t, e, cold, after, before, after)
		})
	}
}

// checkStale reads held in many invocations while AWS gives nothing. All answers must have the value, first as a fresh one,
// then as an old one whose age grows, with and without an attempt to get another.
func checkStale(t *testing.T, e *emulator.Emulator, want string) {
	t.Helper()
	const copies = 10 // of each URL, read at once
	var read []string
	for range copies {
		read = append(read, held...)
	}
	oldest, heldOff, invocations := make(map[string]int), make(map[string]bool), 0
	eventually(t, "an old value, three seconds old, without an attempt, of all", func() bool {
		// An attempt in each of so many invocations would be more calls of AWS than a hold-off allows.
		invocations++
		done := invocations > 40
		ages := maps.Clone(oldest)
		for i, r := range ask(t, e, event{Read: read}).Now {
			url := read[i]
			if r.Status != http.StatusOK || r.Body != want || r.Age < oldest[url] {
				t.Fatalf("GET %s in the outage: got %d %q, age %d; want 200 %q, age at least %d", url, r.Status, r.Body, r.Age, want, oldest[url])
			}
			if stale := strings.Contains(r.Cache, "; detail=stale-if-error"); stale != (r.Age > 0) {
				t.Fatalf("GET %s in the outage: got Cache-Status %q at age %d, want stale-if-error from 1 on", url, r.Cache, r.Age)
			}
			ages[url] = max(ages[url], r.Age)
			heldOff[url] = heldOff[url] || strings.Contains(r.Cache, "; hit; ttl=-")
			done = done && r.Age >= 3 && heldOff[url]
		}
		oldest = ages
		return done
	})
}

// checkFresh checks that urls are soon answered from AWS again; want is one body for all or one for each.
func checkFresh(t *testing.T, e *emulator.Emulator, urls []string, want ...string) {
	t.Helper()
	eventually(t, "a fresh answer of "+strings.Join(urls, ", "), func() bool {
		for i, r := range ask(t, e, event{Read: urls}).Now {
			if r.Status != http.StatusOK || strings.Contains(r.Cache, "detail=") {
				return false
			}
			if want := want[min(i, len(want)-1)]; r.Body != want {
				t.Errorf("GET %s after the outage: got %+v, want %q", urls[i], r, want)
			}
		}
		return true
	})
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	if !sandboxed(t, parts.RIE, parts.Moto, parts.SAM) {
		return
	}
	proxy := aws(t)
	t.Run("between invocations", func(t *testing.T) {
		rotate(t, proxy, "before the freeze")
		// The parameter stays fresh, the secret and the item expire while frozen.
		e := start(t, deploy(t, proxy, "ttl: 1s\n"+strings.Replace(resources, "as: held}", "as: held, ttl: 1m}", 1)))
		ask(t, e, event{Read: held})
		proxy.Calls()
		frozen := time.Now()
		freeze(t, e)
		rotate(t, proxy, "after the freeze")
		for time.Since(frozen) < 1500*time.Millisecond {
			proxy.CloseIdle() // more than once: a connection is idle a moment after its answer
			<-time.After(100 * time.Millisecond)
		}
		thaw(t, e)
		replies := ask(t, e, event{Read: held}).Now
		if r := replies[0]; r.Status != http.StatusOK || r.Body != "before the freeze" || r.Age < 1 || !strings.Contains(r.Cache, "; hit; ttl=5") {
			t.Errorf("GET %s: got %+v, want a hit from before the freeze, as old as that", held[0], r)
		}
		for i, r := range replies[1:] {
			if r.Status != http.StatusOK || r.Body != "after the freeze" {
				t.Errorf("GET %s: got %+v, want the new value", held[i+1], r)
			}
		}
		calls := proxy.Calls()
		if items := calls["GetItem"] + calls["BatchGetItem"]; items != 1 || calls["GetSecretValue"] != 1 || len(calls) != 2 {
			t.Errorf("calls of AWS: got %v, want one for an item and one GetSecretValue", calls)
		}
		if log := e.Log(); strings.Contains(log, "fetch failed") {
			t.Errorf("a call of AWS failed; the log says:\n%s", log)
		}
	})
	t.Run("a call that AWS ends meanwhile", func(t *testing.T) {
		rotate(t, proxy, "any")
		rotate(t, proxy, "any")
		e := start(t, deploy(t, proxy, "ttl: 1m\ntimeout: 10s\n"+resources))
		ask(t, e, event{})
		leave(t, e, proxy, cold, len(cold))
		freeze(t, e)
		proxy.SetFault(cloud.None)
		thaw(t, e)
		answer := ask(t, e, event{Read: cold})
		for i, r := range slices.Concat(answer.Earlier, answer.Now) {
			if url := cold[i%len(cold)]; r.Status != http.StatusOK || r.Body != "any" {
				t.Errorf("GET %s: got %+v, want the value", url, r)
			}
		}
	})
	t.Run("a call whose time runs out meanwhile", func(t *testing.T) {
		rotate(t, proxy, "any")
		rotate(t, proxy, "any")
		const ttl, timeout = time.Second, 3 * time.Second
		e := start(t, deploy(t, proxy, fmt.Sprintf("ttl: %v\ntimeout: %v\nstale_wait: 1m\n", ttl, timeout)+resources))
		ask(t, e, event{Read: held})
		<-time.After(ttl)
		all := slices.Concat(cold, held)
		leave(t, e, proxy, all, len(all))
		freeze(t, e)
		<-time.After(timeout)
		thaw(t, e)
		earlier := ask(t, e, event{}).Earlier
		proxy.SetFault(cloud.None)
		for i, r := range earlier {
			if i < len(cold) && (r.Status != http.StatusGatewayTimeout || !strings.Contains(r.Body, `"code":"timeout"`)) {
				t.Errorf("GET %s: got %+v, want 504 timeout", cold[i], r)
			}
			if i >= len(cold) && (r.Status != http.StatusOK || r.Body != "any" || r.Age < 4 || !strings.HasSuffix(r.Cache, "; detail=stale-if-error")) {
				t.Errorf("GET %s: got %+v, want the value, 4 s old", held[i-len(cold)], r)
			}
		}
		checkFresh(t, e, all, "any")
	})
}

// leave has the function begin to read urls while AWS hangs, and returns when that invocation has ended and AWS was asked
// so many times. The function waits for the answers in the invocation after that.
func leave(t *testing.T, e *emulator.Emulator, proxy *cloud.Proxy, urls []string, calls int) {
	t.Helper()
	proxy.Calls()
	proxy.SetFault(cloud.Hang)
	ask(t, e, event{Leave: urls})
	got := 0
	eventually(t, "calls of AWS under way", func() bool {
		for _, n := range proxy.Calls() {
			got += n
		}
		return got >= calls
	})
}

// freeze stops extension and function. Where the sandbox cannot find them the test ends.
func freeze(t *testing.T, e *emulator.Emulator) {
	t.Helper()
	if err := e.Freeze(t.Context()); errors.Is(err, emulator.ErrNoProc) {
		missing(t, err)
	} else if err != nil {
		t.Fatal(err)
	}
}

func thaw(t *testing.T, e *emulator.Emulator) {
	t.Helper()
	if err := e.Thaw(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestFunctionEndsInOutage(t *testing.T) {
	t.Parallel()
	if !sandboxed(t, parts.RIE, parts.Moto, parts.SAM) {
		return
	}
	proxy := aws(t)
	for _, tt := range []struct{ name, event string }{
		{"by its timeout", `{"hang": true}`},
		{"by a crash", `{"crash": true}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			defer proxy.SetFault(cloud.None)
			rotate(t, proxy, tt.name)
			rotate(t, proxy, tt.name)
			// A call lasts longer than the function, so that it is under way when that ends.
			f := deploy(t, proxy, "timeout: 20s\n"+resources)
			f.Layer, f.Timeout = reporting(t, f.Layer), 2*time.Second
			e := start(t, f)
			ask(t, e, event{Read: held})
			leave(t, e, proxy, cold, len(cold))
			if _, _, err := e.Invoke(t.Context(), tt.event); err != nil {
				t.Fatal(err)
			}

			// The next invocation has a new environment, which holds nothing.
			proxy.SetFault(cloud.Fail)
			for i, r := range ask(t, e, event{Read: held}).Now {
				if r.Status != http.StatusBadGateway {
					t.Errorf("GET %s in the outage, after the function ended: got %+v, want 502", held[i], r)
				}
			}
			if log := e.Log(); !strings.Contains(log, "\nthe extension exited 0\n") {
				t.Errorf("the extension did not exit 0 when the function ended; the log says:\n%s", log)
			}
			proxy.SetFault(cloud.None)
			checkFresh(t, e, slices.Concat(cold, held), tt.name)
		})
	}
}

func TestRefreshAtInvoke(t *testing.T) {
	t.Parallel()
	if !sandboxed(t, parts.RIE, parts.Moto, parts.SAM) {
		return
	}
	proxy := aws(t)
	rotate(t, proxy, "0") // now the secret has a previous version, too
	rotate(t, proxy, "1")
	const ttl = 3 * time.Second
	e := start(t, deploy(t, proxy, fmt.Sprintf("ttl: %v\nprefetch: true\n", ttl)+resources))
	read := []string{held[0], held[1], held[2], cold[0], cold[2]} // the cold secret is prefetched and never read
	check := func(want string) {
		t.Helper()
		for i, r := range ask(t, e, event{Read: read}).Now {
			if r.Status != http.StatusOK || r.Body != want {
				t.Errorf("GET %s: got %+v, want 200 %q", read[i], r, want)
			}
		}
	}
	check("1")

	// An invocation that reads nothing brings in what earlier ones have read, in as few calls as prefetch.
	rotate(t, proxy, "2")
	<-time.After(ttl)
	proxy.Calls()
	ask(t, e, event{})
	want := map[string]int{"GetParameters": 1, "GetSecretValue": 1, "BatchGetItem": 1}
	if calls := proxy.Calls(); !maps.Equal(calls, want) {
		t.Errorf("calls of AWS in an invocation after the ttl: got %v, want %v", calls, want)
	}
	check("2")
	if calls := proxy.Calls(); len(calls) != 0 {
		t.Errorf("calls of AWS in the invocation after that: got %v, want none", calls)
	}

	// Where the function reads at once, reader and refresh share one fetch of each name.
	rotate(t, proxy, "3")
	<-time.After(ttl)
	before := counted(t)
	check("3")
	after := counted(t)
	for kind, want := range map[string]int{"parameters": 2, "secrets": 1, "dynamodb": 2} {
		if got := after[kind].Fetches - before[kind].Fetches; got != want {
			t.Errorf("fetches of %s: got %d, want %d", kind, got, want)
		}
	}
}

// reply is what the function in testdata got from the extension.
type reply struct {
	Status int
	Body   string
	Age    int    // seconds; -1 without the header
	Cache  string // Cache-Status
	Retry  int    // Retry-After in seconds; -1 without the header
}

// event is what the function in testdata is to do in one invocation.
type event struct {
	Read  []string `json:"read"`            // URLs to read, all at once
	Leave []string `json:"leave,omitempty"` // URLs to begin to read, for the next invocation
	Hang  bool     `json:"hang,omitempty"`
	Crash bool     `json:"crash,omitempty"`
}

// replies is what the function answers.
type replies struct {
	Now     []reply // to Read
	Earlier []reply // to Leave of the invocation before
}

// deploy is the function in testdata with a configuration of its own.
func deploy(t *testing.T, proxy *cloud.Proxy, config string) emulator.Function {
	t.Helper()
	code := t.TempDir()
	if err := os.CopyFS(code, os.DirFS("testdata/function")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(code, "config.yaml"), config, 0o644)
	return emulator.Function{Layer: layer(t), Code: code, Env: cloud.Env(proxy.URL)}
}

// ask invokes the function in testdata. It is an error of the function, and ends the test, when a connection to the
// extension fails.
func ask(t *testing.T, e *emulator.Emulator, ev event) replies {
	t.Helper()
	if ev.Read == nil {
		ev.Read = []string{} // null would be what it reads in its init code
	}
	text, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	answer := invoke(t, e, string(text))
	var r replies
	if err := json.Unmarshal([]byte(answer), &r); err != nil || r.Now == nil || len(r.Now) != len(ev.Read) {
		t.Fatalf("invoke with %s: got %s, want %d replies", text, answer, len(ev.Read))
	}
	return r
}

// rotate gives all that the template declares, and a second item, the same new value. AWS's stand-in is told past the proxy.
func rotate(t *testing.T, proxy *cloud.Proxy, value string) {
	t.Helper()
	client := cloud.NewClient(proxy.Target)
	defer client.Close()
	type object = map[string]any
	item := func(sortKey string) object {
		return object{"TableName": cloud.Table, "Item": object{"pKey": object{"S": "pKey1"}, "sKey": object{"S": sortKey}, "Data": object{"S": value}}}
	}
	for _, c := range []struct {
		target string
		input  object
	}{
		{"AmazonSSM.PutParameter", object{"Name": "CacheExtensions_Parameter1", "Type": "String", "Value": value, "Overwrite": true}},
		{"secretsmanager.PutSecretValue", object{"SecretId": "secret_info", "SecretString": value}},
		{"DynamoDB_20120810.PutItem", item("sKey1")},
		{"DynamoDB_20120810.PutItem", item("sKey2")},
	} {
		if err := client.Call(t.Context(), c.target, c.input); err != nil {
			t.Fatal(err)
		}
	}
}

// eventually calls check until it is content, and fails the test when it is not within half a minute.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !check() {
		select {
		case <-ctx.Done():
			t.Fatalf("in half a minute there was not: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stats is a part of what the extension counts for each kind.
type stats map[string]struct{ Collapsed, Fetches int }

func counted(t *testing.T) (s stats) {
	t.Helper()
	status, body := get(t, "/stats")
	if err := json.Unmarshal([]byte(body), &s); err != nil || status != http.StatusOK {
		t.Fatalf("GET /stats: got %d %s, want 200 and counters", status, body)
	}
	return s
}
