package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cache-extension/extension/internal/lambda/lambdatest"
)

// What every cold start of every function with this extension pays, as counts and sizes, which are the same on any
// machine. Whoever must raise one says by how much and why.
const (
	maxSize       = 7_450_000 // bytes of the stripped binary for linux/amd64
	maxInitBytes  = 100_000   // allocated by package variables, before main
	maxInitAllocs = 800
	maxGoroutines = 16 // while nothing is asked for; 8 are the Go runtime's
)

// buildLayer builds the program as the layer has it.
func buildLayer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "make", "-C", "..", "build-CacheExtensionLayerX86", "ARTIFACTS_DIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make: %v\n%s", err, out)
	}
	return filepath.Join(dir, "extensions", "cache-extension")
}

func TestColdStartBudget(t *testing.T) {
	file := buildLayer(t)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxSize {
		t.Errorf("the binary has %d bytes, more than %d", info.Size(), maxSize)
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the layer's binary runs on linux/amd64 alone")
	}
	t.Run("init", func(t *testing.T) { initBudget(t, file) })
	t.Run("goroutines", func(t *testing.T) { goroutineBudget(t, file) })
	t.Run("processors", func(t *testing.T) { processors(t, file) })
	t.Run("signal", func(t *testing.T) { signalAtRegister(t, file) })
}

// signalAtRegister sends SIGTERM as early as the program promises to end orderly: while Lambda has yet to answer register.
func signalAtRegister(t *testing.T, file string) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, cmd := startProgram(t, file, l.Addr().String(), nil)
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		t.Fatal(err)
	}
	// The request is sent before the program turns to signals, of which SIGPIPE comes last.
	ignored := regexp.MustCompile(`SigIgn:\s*([0-9a-f]+)`)
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		var set uint64
		if m := ignored.FindSubmatch(status); m != nil {
			set, _ = strconv.ParseUint(string(m[1]), 16, 64)
		}
		if set&(1<<(syscall.SIGPIPE-1)) != 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the program does not watch for signals:\n%s", status)
		}
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the program ended with %v, want exit code 0:\n%s", err, p.stderr.String())
	}
}

// processors has the program use one where a function is the only client, and all elsewhere.
func processors(t *testing.T, file string) {
	all := runtime.NumCPU()
	if all == 1 {
		t.Skip("this machine has one processor")
	}
	for _, tt := range []struct {
		name   string
		args   []string
		env    string
		refuse bool // INVOKE
		want   int
	}{
		{"on demand", nil, "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand", false, 1},
		{"Managed Instances", nil, "AWS_LAMBDA_INITIALIZATION_TYPE=lambda-managed-instances", false, all},
		{"INVOKE is refused", nil, "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand", true, all},
		{"serve", []string{"serve"}, "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand", false, all},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := lambdatest.New(t)
			if tt.refuse {
				api.RejectInvoke()
			}
			p, _ := startProgram(t, file, api.Addr(), tt.args, tt.env, "GODEBUG=schedtrace=1")
			url := p.url("/healthz")
			before := len(p.stderr.String())
			want := fmt.Sprintf("gomaxprocs=%d ", tt.want)
			for end := time.Now().Add(patience); ; { // the trace is written while the program does something
				resp, err := http.Get(url)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if trace := p.stderr.String()[before:]; strings.Contains(trace, want) {
					return
				} else if time.Now().After(end) {
					t.Fatalf("no %q in:\n%s", want, trace)
				}
			}
		})
	}
}

// initBudget sums what package variables allocate. On failure it says which do most.
func initBudget(t *testing.T, file string) {
	cmd := exec.CommandContext(t.Context(), file, "version")
	cmd.Env = []string{"GODEBUG=inittrace=1"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	type cost struct {
		of            string
		bytes, allocs int
	}
	var costs []cost
	var size, allocs int
	for line := range strings.Lines(stderr.String()) {
		// init net/http @1.2 ms, 0.03 ms clock, 8880 bytes, 94 allocs
		var c cost
		var at, took float64
		if _, err := fmt.Sscanf(line, "init %s @%f ms, %f ms clock, %d bytes, %d allocs", &c.of, &at, &took, &c.bytes, &c.allocs); err == nil {
			costs = append(costs, c)
			size, allocs = size+c.bytes, allocs+c.allocs
		}
	}
	const early, late = "cache-extension/extension/internal/early", "unicode" // the first package that allocates much
	position := func(of string) int { return slices.IndexFunc(costs, func(c cost) bool { return c.of == of }) }
	if first, second := position(early), position(late); first < 0 || second < first {
		t.Errorf("%s is initialized as number %d, want it before %s at %d: what it imports decides that", early, first, late, second)
	}
	if position("encoding/gob") >= 0 {
		t.Error("encoding/gob is linked, not what the Makefile puts in its place")
	}
	if len(costs) == 0 {
		t.Fatalf("no package is traced in\n%s", &stderr)
	}
	if size > maxInitBytes || allocs > maxInitAllocs {
		slices.SortFunc(costs, func(a, b cost) int { return b.bytes - a.bytes })
		t.Errorf("package variables take %d bytes in %d allocations, more than %d in %d; most of it %+v",
			size, allocs, maxInitBytes, maxInitAllocs, costs[:min(8, len(costs))])
	}
}

// goroutineBudget counts the goroutines of the program while it waits for an event.
func goroutineBudget(t *testing.T, file string) {
	api := lambdatest.New(t)
	p, cmd := startProgram(t, file, api.Addr(), nil, "GOTRACEBACK=all")
	api.WaitNext(1)
	cmd.Process.Signal(syscall.SIGQUIT) // the Go runtime prints every goroutine, and exits
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	cmd.Wait()
	all := regexp.MustCompile(`(?m)^goroutine [1-9]\d* .*\[`).FindAllString(p.stderr.String(), -1)
	if len(all) == 0 || len(all) > maxGoroutines {
		t.Errorf("%d goroutines, want 1 to %d:\n%s", len(all), maxGoroutines, p.stderr.String())
	}
}

// startProgram runs the program that file is beside the API at that address, with env besides what it needs, until the test ends.
func startProgram(t *testing.T, file, api string, args []string, env ...string) (*process, *exec.Cmd) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, stderr: newLines()}
	cmd := exec.Command(file, args...)
	cmd.Stderr = p.stderr
	cmd.Env = append(env, "AWS_LAMBDA_RUNTIME_API="+api, "AWS_REGION=eu-west-1", "CACHE_EXTENSION_CONFIG="+config, "CACHE_EXTENSION_PORT=0")
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return p, cmd
}
