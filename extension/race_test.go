package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cache-extension/extension/internal/source/awstest"
)

// hammered is a config.yaml whose values are hardly ever fresh, under every window there is.
const hammered = `
stale_while_revalidate: 5ms
stale_if_error: 50ms
stale_wait: 10ms
negative_ttl: 5ms
timeout: 100ms
server: {max_waiting: 20}
parameters:
  - {names: [p0, p1, p2, p3], ttl: 5ms}
  - {path: /tree, ttl: 10ms}
secrets:
  - {names: [s0, s1], ttl: 1ms}
  - {names: [s2, s3], ttl: 0s}
dynamodb:
  - {table: t, key: {pk: i0}, ttl: 5ms, fields: [value]}
  - {table: t, key: {pk: i1}, ttl: 50ms, fields: [value]}
`

// hammer is a world in which values are numbered: "p0 17" was put when 17 was next.
type hammer struct {
	*world
	next    atomic.Int64
	answers atomic.Int64
	told    atomic.Bool // the program has been told to end
}

// rotate puts a new value of every name.
func (h *hammer) rotate() {
	const region = "eu-west-1"
	n := h.next.Add(1)
	for i := range 4 {
		h.aws.PutParameter(region, fmt.Sprint("p", i), awstest.Parameter{Value: fmt.Sprintf("p%d %d", i, n)})
		h.aws.PutParameter(region, fmt.Sprint("/tree/", i), awstest.Parameter{Value: fmt.Sprintf("/tree/%d %d", i, n)})
		h.aws.PutSecret(region, fmt.Sprint("s", i), awstest.Secret{Text: fmt.Sprintf("s%d %d", i, n)})
	}
	for i := range 2 {
		h.aws.PutItem(region, "t", fmt.Sprintf(`{"pk":{"S":"i%d"},"value":{"S":"t-i%d %d"}}`, i, i, n))
	}
}

// hammerReads are the URLs and the name that the value of each must begin with.
var hammerReads = []struct{ path, name string }{
	{"/parameters?name=p0", "p0"}, {"/parameters?name=p1", "p1"}, {"/parameters?name=p2", "p2"}, {"/parameters?name=p3", "p3"},
	{"/parameters?name=/tree/0", "/tree/0"}, {"/parameters?name=/tree/3", "/tree/3"},
	{"/secrets?name=s0", "s0"}, {"/secrets?name=s1", "s1"}, {"/secrets?name=s2", "s2"}, {"/secrets?name=s3", "s3"},
	{"/dynamodb?name=t-i0&field=/value", "t-i0"}, {"/dynamodb?name=t-i1&field=/value", "t-i1"},
}

// read reads until the program has ended, and checks that each value is of the name asked for and never older
// than the one before.
func (h *hammer) read(client *http.Client, url string, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	seen := make(map[string]int)
	for {
		r := hammerReads[random.IntN(len(hammerReads))]
		path := r.path
		if random.IntN(6) == 0 {
			path += "&refresh=true"
		}
		waits, hangsUp := patience, random.IntN(10) == 0
		if hangsUp {
			waits = time.Duration(random.IntN(20)) * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(context.Background(), waits)
		status, body, err := fetch(ctx, client, url+path)
		cancel()
		h.answers.Add(1)
		switch {
		case err != nil && h.told.Load():
			return
		case err != nil && !hangsUp:
			h.t.Errorf("GET %s: %v", path, err)
			return
		case err == nil && status == 200:
			name, number, _ := strings.Cut(body, " ")
			n, err := strconv.Atoi(number)
			if err != nil || name != r.name || n < seen[r.name] || int64(n) > h.next.Load() {
				h.t.Errorf("GET %s = %q after number %d, want one of %s that is not older", path, body, seen[r.name], r.name)
			}
			seen[r.name] = n
		case err == nil && (status < 403 || status == 500):
			h.t.Errorf("GET %s = %d %s, want a value or what AWS did", path, status, body)
		}
	}
}

func fetch(ctx context.Context, client *http.Client, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// hammerFaults come one after the other, each for one invocation, with a calm one after each.
var hammerFaults = []struct {
	match awstest.Match
	fault awstest.Fault
}{
	{awstest.Match{}, awstest.Fault{Code: "ThrottlingException"}},
	{awstest.Match{Op: "GetSecretValue"}, awstest.Fault{Hang: true}},
	{awstest.Match{Op: "GetParameters"}, awstest.Fault{Code: "AccessDeniedException"}},
	{awstest.Match{Name: "p1"}, awstest.Fault{Drop: true}},
	{awstest.Match{Name: "t-i0"}, awstest.Fault{Code: "InternalServerError", Status: 500}},
	{awstest.Match{}, awstest.Fault{Err: awstest.ErrRefused}},
	{awstest.Match{Op: "GetSecretValue"}, awstest.Fault{Code: "ResourceNotFoundException"}},
	{awstest.Match{Op: "GetParametersByPath"}, awstest.Fault{Truncate: true}},
	{awstest.Match{Op: "GetItem"}, awstest.Fault{NotJSON: true}},
}

// Readers, some of whom refresh and some hang up, invocations, rotation and faults all at once, for the race detector; then
// an end in the middle of it all. The program ends in time and leaves no goroutine.
func TestHammer(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*hammer, *process)
	}{
		{"SHUTDOWN", func(h *hammer, _ *process) { h.lambda.Shutdown("spindown", time.Now().Add(2*time.Second)) }},
		{"SIGTERM", func(_ *hammer, p *process) { p.stop() }},
	} {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		before := runtime.NumGoroutine()
		t.Run(c.name, func(t *testing.T) {
			h := &hammer{world: newWorld(t, hammered)}
			h.aws.CreateTable("eu-west-1", "t", awstest.KeyAttr{Name: "pk", Type: "S"}, awstest.KeyAttr{})
			h.rotate()
			p := h.start()
			url := p.url("")
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
			var readers sync.WaitGroup
			for i := range 24 {
				readers.Go(func() { h.read(client, url, uint64(i)) })
			}
			h.lambda.WaitNext(1)
			for i := range 2 * len(hammerFaults) {
				h.aws.Clear()
				if i%2 == 0 {
					f := hammerFaults[i/2]
					h.aws.Fail(f.match, f.fault)
				}
				h.rotate()
				h.lambda.Invoke(time.Now().Add(3 * time.Second))
				h.lambda.WaitNext(2 + i)
				enough := h.answers.Load() + 100
				await(t, "answers", func() bool { return h.answers.Load() >= enough })
			}
			h.aws.Fail(awstest.Match{Op: "GetSecretValue"}, awstest.Fault{Hang: true})
			h.told.Store(true)
			c.end(h, p)
			if code := p.wait(); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			readers.Wait()
			client.CloseIdleConnections()
			for line := range strings.Lines(p.stderr.String()) {
				if strings.Contains(line, `"ERROR"`) {
					t.Errorf("the log has an error: %s", line)
				}
			}
		})
		left := func() bool { return runtime.NumGoroutine() <= before }
		for late := time.Now().Add(patience); !left() && time.Now().Before(late); {
			runtime.Gosched()
		}
		if !left() {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			t.Errorf("%s: %d goroutines before, %d after:\n%s", c.name, before, runtime.NumGoroutine(), stacks)
		}
	}
}
