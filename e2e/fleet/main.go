// Command fleet starts a fleet of the extension at once, with and without a shared tier, and counts what AWS is asked and what
// readers get. Each environment is a process of its own with a Lambda of its own; AWS is a server with quotas in this
// program. It needs valkey-server or redis-server, and Linux. Run it in the checkout:
//
//	go run ./e2e/fleet                    the fleet
//	go run ./e2e/fleet -latency           how long a read takes, from each tier
//	go run ./e2e/fleet -docs              both, into docs/fleet.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"cache-extension/e2e/parts"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if ctx.Err() != nil {
		err = errors.New("interrupted; nothing is left running")
	}
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

// sim is one run of this program.
type sim struct {
	extension, redis string        // the programs
	dir              string        // for files
	timeout          time.Duration // of the shared tier
	progress         io.Writer
}

// run measures what args ask for. Tables go to stdout, progress to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(stderr)
	processes := flags.Int("processes", 200, "environments of the fleet")
	within := flags.Duration("within", time.Minute, "how long the readers of a fleet try")
	// Not the extension's default: here the server shares a few cores with the whole fleet.
	timeout := flags.Duration("timeout", time.Second, "timeout of the shared tier")
	latency := flags.Bool("latency", false, "measure how long a read takes, instead of the fleet")
	reads := flags.Int("reads", 1000, "reads of each way, for -latency")
	docs := flags.Bool("docs", false, "measure both and rewrite the figures of "+page)
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unknown argument %q", flags.Arg(0))
	case *processes < 1 || *reads < 1:
		return errors.New("-processes and -reads are at least 1")
	case *docs && *latency:
		return errors.New("-docs goes without -latency: the page has both")
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := prepare(ctx, root, dir, stderr)
	if err != nil {
		return err
	}
	s.timeout = *timeout

	var measured strings.Builder
	report := io.MultiWriter(stdout, &measured)
	fmt.Fprintf(report, "Measured by `%s` on %s.\n", command(args), s.here(ctx, root))
	if !*latency {
		if err := s.fleets(ctx, report, *processes, *within); err != nil {
			return err
		}
	}
	if *latency || *docs {
		if err := s.latencies(ctx, report, *reads); err != nil {
			return err
		}
	}
	if !*docs {
		return nil
	}
	return document(filepath.Join(root, page), measured.String())
}

func command(args []string) string {
	return strings.Join(append([]string{"go run ./e2e/fleet"}, args...), " ")
}

// prepare builds the extension as the layer of the shared tier has it and looks for a server.
func prepare(ctx context.Context, root, dir string, progress io.Writer) (*sim, error) {
	redis, err := parts.Redis(ctx, filepath.Join(root, ".tools"), progress)
	if err != nil {
		return nil, err
	}
	s := &sim{extension: filepath.Join(dir, "extensions", "cache-extension"), redis: redis, dir: dir, progress: progress}
	layer := "build-CacheExtensionSharedLayerX86"
	if runtime.GOARCH == "arm64" {
		layer = "build-CacheExtensionSharedLayerArm"
	}
	build := exec.CommandContext(ctx, "make", layer, "ARTIFACTS_DIR="+dir)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", build, err, out)
	}
	return s, nil
}

// moduleRoot is where the checkout begins that this runs in.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("go list -m: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
