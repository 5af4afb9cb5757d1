//go:build unix

// Command sdk reads a parameter again and again with the newest of AWS's own clients, and prints the processor time of a
// call in nanoseconds. It is a module of its own: the extension links other clients.
//
//	sdk <endpoint> <calls> <name of the parameter>
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(endpoint, calls, name string) error {
	n, err := strconv.Atoi(calls)
	if err != nil {
		return err
	}
	ctx := context.Background()
	settings, err := config.LoadDefaultConfig(ctx, config.WithBaseEndpoint(endpoint))
	if err != nil {
		return err
	}
	client := ssm.NewFromConfig(settings)
	get := func() error {
		_, err := client.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(name), WithDecryption: aws.Bool(true)})
		return err
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
