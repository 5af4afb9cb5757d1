// Command tools installs the programs that the tests and the demo run into .tools of the checkout and prints the folder
// of each. Arguments name the parts; without any it installs all, and sees to it that there is a browser.
//
//	go run ./e2e/tools staticcheck
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"cache-extension/e2e/parts"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	names := os.Args[1:]
	folders, err := parts.Install(ctx, ".tools", os.Stderr, names...)
	for _, p := range parts.Pins() {
		if dir, ok := folders[p.Name]; ok {
			fmt.Println(dir)
		}
	}
	if len(names) == 0 {
		_, missing := parts.Chromium(ctx, ".tools", os.Stderr)
		err = errors.Join(err, missing)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}
