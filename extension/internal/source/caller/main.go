//go:build unix

// Command caller reads a parameter again and again as the extension asks AWS for it, and prints the processor time of a call
// in nanoseconds. It is for the benchmarks in e2e/bench and takes the endpoint from the environment, too.
//
//	caller <endpoint> <calls> <name of the parameter>
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source"
)

func main() {
	if err := run(os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(calls, name string) error {
	n, err := strconv.Atoi(calls)
	if err != nil {
		return err
	}
	cfg, err := config.Parse("config.yaml", fmt.Appendf(nil, "parameters: [{name: %q}]", name), config.Options{Env: os.Environ()})
	if err != nil {
		return err
	}
	parameters := source.NewParameters(cfg, source.NewClients(cfg, source.Options{}))
	get := func() (failed error) {
		parameters.Fetch(context.Background(), []string{name}, func(_ string, _ *cache.Value, err error) { failed = err })
		return failed
	}
	// The first tenth warms up: connections, the heap's size.
	for range n / 10 {
		if err := get(); err != nil {
			return err
		}
	}
	before := processorTime()
	for range n {
		if err := get(); err != nil {
			return err
		}
	}
	fmt.Println((processorTime() - before).Nanoseconds() / int64(n))
	return nil
}

// processorTime is what the process has used so far, in the kernel's name, too.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // it fails for bad arguments alone
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
