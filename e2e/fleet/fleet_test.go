package main

import (
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// newSim is one with real programs. Where there is no server to share the test is skipped, or fails with CI=true.
func newSim(t *testing.T) *sim {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("it runs on Linux only")
	}
	root, err := moduleRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := prepare(t.Context(), root, t.TempDir(), t.Output())
	switch {
	case err != nil && strings.HasPrefix(err.Error(), "redis: not on PATH") && os.Getenv("CI") != "true":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	s.timeout = time.Second
	return s
}

// TestFleetAsksOnce starts a small fleet without a shared tier, and with all there is to share.
func TestFleetAsksOnce(t *testing.T) {
	s := newSim(t)
	const processes = 8
	var outcomes []outcome
	for _, sc := range []scenario{scenarios[0], scenarios[2]} {
		o, err := s.fleet(t.Context(), sc, nil, processes, time.Minute)
		if err != nil {
			t.Fatalf("%s: %v", sc.name, err)
		}
		if o.reads != (reads{}) || o.throttled != 0 || o.away != 0 {
			t.Errorf("%s: %+v, %d throttled, %d did without the server, want none: AWS has no quota", sc.name, o.reads, o.throttled, o.away)
		}
		if o.ready <= 0 || o.held < o.ready {
			t.Errorf("%s: ready after %v, held after %v, want the second after the first", sc.name, o.ready, o.held)
		}
		outcomes = append(outcomes, o)
	}
	alone, together := outcomes[0], outcomes[1]
	// Ten parameters go into a call, and a hundred items.
	want := map[string]int{"parameters": processes * 2, "secrets": processes * 20, "dynamodb": processes}
	if !maps.Equal(alone.calls, want) {
		t.Errorf("%s: calls %v, want %v", alone.scenario.name, alone.calls, want)
	}
	// The key is read by each. How many share in the rest is a matter of when they start.
	if most := processes + 19 + 19; together.calls["secrets"] > most || together.calls["parameters"] > 8 || together.calls["dynamodb"] > 4 {
		t.Errorf("%s: calls %v, want at most 8 of parameters, %d of secrets, 4 of dynamodb", together.scenario.name, together.calls, most)
	}
	if together.server.commands == 0 || together.server.connections < processes {
		t.Errorf("the server saw %+v, want each environment there", together.server)
	}
}

// TestReadersOfAThrottledFleet has AWS take one call a second: most reads fail, and are counted.
func TestReadersOfAThrottledFleet(t *testing.T) {
	s := newSim(t)
	o, err := s.fleet(t.Context(), scenarios[0], quotas{"parameters": 1, "secrets": 1, "dynamodb": 1}, 2, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if o.throttled == 0 || o.reads.missing == 0 {
		t.Errorf("%d calls were throttled and %d names missing, want some", o.throttled, o.reads.missing)
	}
	if got := fleetTable([]outcome{o}, time.Second); !strings.Contains(got, "not yet: ") {
		t.Errorf("the table does not say that names are missing:\n%s", got)
	}
}

func TestLatencies(t *testing.T) {
	s := newSim(t)
	var table bytes.Buffer
	if err := s.latencies(t.Context(), &table, 5); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(table.String(), " ms | "), 8; got != want {
		t.Errorf("%d rows, want %d:\n%s", got, want, &table)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, tt := range []struct{ name, input, want string }{
		{"no processes", "-processes 0", "at least 1"},
		{"no reads", "-latency -reads 0", "at least 1"},
		{"part of the page", "-docs -latency", "-docs goes without -latency"},
		{"argument", "8", `unknown argument "8"`},
	} {
		err := run(t.Context(), strings.Fields(tt.input), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: run(%s) = %v, want %q", tt.name, tt.input, err, tt.want)
		}
	}
}

func TestBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(40)
		passed := func(calls int) (n int) {
			for range calls {
				if b.enter() {
					n++
				}
			}
			return n
		}
		for _, tt := range []struct {
			name        string
			after       time.Duration
			calls, want int
		}{
			{"a second's at once", 0, 100, 40},
			{"what came in since", 100 * time.Millisecond, 100, 4},
			{"no more than a second's after a pause", time.Minute, 100, 40},
		} {
			time.Sleep(tt.after)
			if got := passed(tt.calls); got != tt.want {
				t.Errorf("%s: %d of %d calls passed, want %d", tt.name, got, tt.calls, tt.want)
			}
		}
		if calls, throttled := b.count(); calls != 300 || throttled != 216 {
			t.Errorf("count() = %d, %d, want 300, 216", calls, throttled)
		}
	})
	if b := newBucket(0); !b.enter() {
		t.Error("a bucket without a limit throttles")
	}
}

func TestParseInfo(t *testing.T) {
	const info = "# Stats\r\ntotal_commands_processed:12\r\ntotal_connections_received:3\r\nused_cpu_user:0.5\r\nused_cpu_sys:0.25\r\nrole:master\r\n"
	want := load{commands: 12, connections: 2, busy: 750 * time.Millisecond}
	if got, err := parseInfo(info); got != want || err != nil {
		t.Errorf("parseInfo() = %+v, %v, want %+v", got, err, want)
	}
	if got, err := parseInfo("role:master\r\n"); err == nil {
		t.Errorf("parseInfo() of another answer = %+v, want an error", got)
	}
}

func TestPercentile(t *testing.T) {
	var all []time.Duration
	for i := range 200 {
		all = append(all, time.Duration(200-i))
	}
	for _, tt := range []struct {
		name  string
		input float64
		want  time.Duration
	}{{"least", 0, 1}, {"median", 0.5, 100}, {"99th", 0.99, 198}, {"all", 1, 200}} {
		if got := percentile(all, tt.input); got != tt.want {
			t.Errorf("%s: percentile(%v) = %d, want %d", tt.name, tt.input, got, tt.want)
		}
	}
}

func TestCount(t *testing.T) {
	for _, tt := range []struct {
		input int
		want  string
	}{{0, "0"}, {999, "999"}, {1000, "1,000"}, {1234056, "1,234,056"}} {
		if got := count(tt.input); got != tt.want {
			t.Errorf("count(%d) = %q, want %q", tt.input, got, tt.want)
		}
	}
}

func TestDocument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("# Title\n" + measuredBegin + "\nold\n" + measuredEnd + "\nmore\n")
	if err := document(file, "new\n"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if want := "# Title\n" + measuredBegin + "\n\nnew\n\n" + measuredEnd + "\nmore\n"; err != nil || string(got) != want {
		t.Errorf("the page is %q, %v, want %q", got, err, want)
	}
	write("# Title\n")
	if err := document(file, "new\n"); err == nil {
		t.Error("a page without the lines is rewritten")
	}
}

// TestProcessThatEnds has what a program said in the error when it ends instead of calling.
func TestProcessThatEnds(t *testing.T) {
	p, err := start(t.Context(), nil, "/bin/sh", "-c", "echo no such luck")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	err = p.await(context.Background(), make(chan struct{}))
	if err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("await() = %v, want that it has ended", err)
	}
	<-p.done
	if got := p.said.String(); got != "no such luck\n" {
		t.Errorf("it said %q", got)
	}
}
