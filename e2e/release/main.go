// Command release makes what a release of cache-extension consists of, and publishes it: `make release`, and
//
//	go run ./e2e/release                    build into bin/release
//	go run ./e2e/release notes v0.1.0       print what CHANGELOG.md says of that tag's version
//	go run ./e2e/release publish -regions eu-west-1,us-east-1 -dry-run
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	version "cache-extension"
)

// folder is where a release lies in the checkout.
const folder = "bin/release"

const usage = `Usage, in the root of the checkout: go run ./e2e/release [command]

Without a command it builds into bin/release the layer's zip for each architecture, the container image and SHA256SUMS.

  notes <tag>       print what CHANGELOG.md says of this version, and refuse a tag of another one
  publish <flags>   publish the layer zips of bin/release with the AWS CLI; publish -h lists the flags
`

// errUsage is for a command line that does not say what to do.
var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, ".", os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "release: %v\n\n%s", err, usage)
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "release: %v\n", err)
		os.Exit(1)
	}
}

// run does what args say in the checkout root.
func run(ctx context.Context, root string, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return build(ctx, root, filepath.Join(root, folder), stdout)
	}
	switch command, args := args[0], args[1:]; {
	case command == "notes" && len(args) == 1:
		text, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
		if err != nil {
			return err
		}
		section, err := notes(string(text), version.Number(), args[0])
		if err != nil {
			return err
		}
		_, err = io.WriteString(stdout, section)
		return err
	case command == "publish":
		p, err := parsePublication(args, stderr)
		if err != nil {
			return err
		}
		p.dir = filepath.Join(root, folder)
		return p.publish(ctx, stdout)
	case command == "-h" || command == "--help" || command == "help":
		_, err := io.WriteString(stdout, usage)
		return err
	}
	return fmt.Errorf("%w: %q", errUsage, args)
}
