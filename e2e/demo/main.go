// Command demo shows cache-extension at work without an AWS account, Docker or root: AWS's own Lambda runtime emulator runs
// the sample function with the extension beside it, moto stands in for AWS. It prints what the function reads and how long
// reads take, directly and through the cache. Run it in the root of the checkout.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
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
	err := run(ctx)
	if ctx.Err() != nil {
		err = errors.New("interrupted; nothing is left running")
	}
	if err != nil {
		// In a terminal an interrupt reaches both processes: the outer one says so.
		if ctx.Err() == nil || !sandbox.Inside() {
			fmt.Fprintln(os.Stderr, "demo:", err)
		}
		stop()
		os.Exit(1)
	}
}

// run prepares the demo and has show do the rest in a sandbox, where the system gives one.
func run(ctx context.Context) error {
	if err := sandbox.Enter(); err != nil {
		return err
	}
	if sandbox.Inside() {
		folders, err := parts.Install(ctx, tools, os.Stderr, parts.Moto, parts.RIE)
		if err != nil {
			return err
		}
		return show(ctx, folders, inEmulator(folders, os.Args[1]))
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
		return show(ctx, folders, inPlainNode(artifacts))
	}
	inner, err := sandbox.Command(ctx, artifacts)
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
func show(ctx context.Context, folders map[string]string, deploy deployer) error {
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

	fmt.Fprintf(os.Stderr, "reading %d times, directly and through the cache\n", 3*starts*(1+later))
	uncached, err := direct(ctx, proxy)
	if err != nil {
		return err
	}
	onDemand, _, err := cached(ctx, proxy, deploy, false)
	if err != nil {
		return err
	}
	prefetched, values, err := cached(ctx, proxy, deploy, true)
	if err != nil {
		return err
	}
	fmt.Print("\nWhat the sample function read from the extension\n\n")
	printValues(os.Stdout, values)
	fmt.Printf("\nHow long a read took: %d starts, %d invocations each\n\n", starts, 1+later)
	printTable(os.Stdout, []way{uncached, onDemand, prefetched})
	fmt.Print(explanation)
	return nil
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
