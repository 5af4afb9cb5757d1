// Command tools installs the programs that the tests and the demo run into .tools of the checkout and prints the folder
// of each. Arguments name the parts; without any it installs all, and sees to it that there are a browser, a
// server of the shared tier and a reader of container images.
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
		_, noBrowser := parts.Chromium(ctx, ".tools", os.Stderr)
		_, noServer := parts.Redis(ctx, ".tools", os.Stderr)
		_, noReader := parts.Skopeo(ctx, ".tools", os.Stderr)
		err = errors.Join(err, noBrowser, noServer, noReader)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}
