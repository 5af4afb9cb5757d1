package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cache-extension/extension/internal/lambda/lambdatest"
)

// What every cold start of every function with this extension pays, as counts and sizes, which are the same on any
// machine. Whoever must raise one says by how much and why.
const (
	maxSize       = 7_500_000 // bytes of the stripped binary for linux/amd64
	maxInitBytes  = 140_000   // allocated by package variables, before main
	maxInitAllocs = 1_600
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
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	stderr := newLines()
	cmd := exec.CommandContext(t.Context(), file)
	cmd.Stderr = stderr
	cmd.Env = []string{
		"AWS_LAMBDA_RUNTIME_API=" + api.Addr(), "AWS_REGION=eu-west-1", "GOTRACEBACK=all",
		"CACHE_EXTENSION_CONFIG=" + config, "CACHE_EXTENSION_PORT=0",
	}
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	api.WaitNext(1)
	cmd.Process.Signal(syscall.SIGQUIT) // the Go runtime prints every goroutine, and exits
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	cmd.Wait()
	all := regexp.MustCompile(`(?m)^goroutine [1-9]\d* .*\[`).FindAllString(stderr.String(), -1)
	if len(all) == 0 || len(all) > maxGoroutines {
		t.Errorf("%d goroutines, want 1 to %d:\n%s", len(all), maxGoroutines, stderr.String())
	}
}
