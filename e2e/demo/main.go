// Command demo shows cache-extension at work without an AWS account, Docker or root: AWS's own Lambda runtime emulator runs
// the sample function with the extension beside it, moto stands in for AWS. It prints what the function reads and how long
// reads take, directly and through the cache. Run it in the root of the checkout:
//
//	go run ./e2e/demo                           moto answers at once
//	go run ./e2e/demo -latency 0,10ms,40ms      it answers as if it were that far away
//	go run ./e2e/demo -docs                     rewrite the tables of docs/latency.md
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
	"slices"
	"strings"
	"syscall"
	"time"

	"cache-extension/e2e/cloud"
	"cache-extension/e2e/parts"
	"cache-extension/e2e/sandbox"
)

const (
	tools = ".tools" // where parts are installed
	layer = "layer"  // what is built, in the folder of artifacts
	code  = "function"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if ctx.Err() != nil {
		err = errors.New("interrupted; nothing is left running")
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		// In a terminal an interrupt reaches both processes: the outer one says so.
		if ctx.Err() == nil || !sandbox.Inside() {
			fmt.Fprintln(os.Stderr, "demo:", err)
		}
		stop()
		os.Exit(1)
	}
}

// options are what the arguments ask for.
type options struct {
	latencies []time.Duration // of AWS, one table for each
	docs      bool            // write them into the page, too
	artifacts string          // the folder of what was built, which the process in the sandbox is told
}

// documented are the latencies of the page.
const documented = "0,10ms,40ms"

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	latencies := flags.String("latency", "", "how long AWS takes to answer, such as "+documented+", for a table each; 0 when empty")
	flags.BoolVar(&o.docs, "docs", false, "rewrite the tables of "+page+", which are for "+documented)
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.artifacts = flags.Arg(0)
	switch {
	case o.docs && *latencies != "":
		return o, errors.New("-docs takes no -latency: the page is for " + documented)
	case o.docs:
		*latencies = documented
	case *latencies == "":
		*latencies = "0"
	}
	for text := range strings.SplitSeq(*latencies, ",") {
		latency, err := time.ParseDuration(text)
		if err != nil || latency < 0 {
			return o, fmt.Errorf("-latency: %q is no time such as 10ms", text)
		}
		o.latencies = append(o.latencies, latency)
	}
	return o, nil
}

// run prepares the demo and has show do the rest in a sandbox, where the system gives one.
func run(ctx context.Context, args []string) error {
	if err := sandbox.Enter(); err != nil {
		return err
	}
	asked, err := parse(args, os.Stderr)
	if err != nil {
		return err
	}
	if sandbox.Inside() {
		folders, err := parts.Install(ctx, tools, os.Stderr, parts.Moto, parts.RIE)
		if err != nil {
			return err
		}
		return show(ctx, folders, inEmulator(folders, asked.artifacts), asked)
	}
	if asked.artifacts != "" {
		return fmt.Errorf("unknown argument %q", asked.artifacts)
	}
	if _, err := exec.LookPath("node"); err != nil {
		return errors.New("node is not installed; the sample function needs it")
	}
	artifacts, err := os.MkdirTemp("", "demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(artifacts)
	refused := sandbox.Check(ctx)
	if refused != nil && asked.docs {
		return fmt.Errorf("-docs needs AWS's emulator: %w", refused)
	}
	program := "build"
	if refused == nil {
		program = map[string]string{"amd64": "build-CacheExtensionLayerX86", "arm64": "build-CacheExtensionLayerArm"}[runtime.GOARCH]
	}
	fmt.Fprintln(os.Stderr, "building the extension")
	built := make(chan error, 1)
	go func() {
		built <- errors.Join(build(ctx, program, filepath.Join(artifacts, layer)), build(ctx, "build-ExampleFunction", filepath.Join(artifacts, code)))
	}()
	folders, err := parts.Install(ctx, tools, os.Stderr, parts.Moto, parts.RIE)
	if err := errors.Join(err, <-built); err != nil {
		return err
	}
	if refused != nil {
		fmt.Printf(fallback, refused)
		return show(ctx, folders, inPlainNode(artifacts), asked)
	}
	inner, err := sandbox.Command(ctx, append(slices.Clone(args), artifacts)...)
	if err != nil {
		return err
	}
	inner.Stdout, inner.Stderr = os.Stdout, os.Stderr
	inner.WaitDelay = time.Second
	if err := inner.Run(); err != nil {
		return fmt.Errorf("in the sandbox: %w", err)
	}
	return nil
}

// build makes a target of the Makefile, which `sam build` makes too, into dir.
func build(ctx context.Context, target, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "make", target, "ARTIFACTS_DIR="+dir).CombinedOutput(); err != nil {
		return fmt.Errorf("make %s: %w\n%s", target, err, out)
	}
	return nil
}

// show reads in the ways there are and prints what was read and how long that took.
func show(ctx context.Context, folders map[string]string, deploy deployer, asked options) error {
	where := here(ctx)
	moto, err := cloud.StartMoto(ctx, folders[parts.Moto])
	if err != nil {
		return err
	}
	defer moto.Close()
	if err := cloud.Seed(ctx, moto.URL, filepath.Join("SAM", "template.yaml")); err != nil {
		return err
	}
	proxy, err := cloud.StartProxy(moto.URL)
	if err != nil {
		return err
	}
	defer proxy.Close()

	var tables []table
	var values map[string]string
	for _, latency := range asked.latencies {
		t := table{latency: latency}
		fmt.Fprintf(os.Stderr, "reading %d times, directly and through the cache%s\n", 3*starts*(1+later), t.when())
		proxy.SetDelay(latency)
		if values, err = t.measure(ctx, proxy, deploy); err != nil {
			return err
		}
		tables = append(tables, t)
	}
	fmt.Print("\nWhat the sample function read from the extension\n\n")
	printValues(os.Stdout, values)
	for _, t := range tables {
		fmt.Printf("\nHow long a read took%s: %d starts, %d invocations each\n\n", t.when(), starts, 1+later)
		t.print(os.Stdout)
	}
	fmt.Print(explanation)
	if !asked.docs {
		return nil
	}
	return document(page, where, tables)
}

const fallback = `
AWS's emulator cannot be used here: %v.
The same is shown by "cache-extension serve" and the sample function in plain Node.js.
`

const explanation = `
  direct              this program (Go), with a call of AWS's API for each read
  cached              the sample function (Node.js), by its own clock; the first read fetches
  cached, prefetched  the same with CACHE_EXTENSION_INIT_STARTUP=true: all is fetched before

  The function reads dynamodb first, over the connection that it opens for that.
  moto stands in for AWS on this machine: a direct read has no network to cross here.
`
