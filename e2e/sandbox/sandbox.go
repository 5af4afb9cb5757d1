// Package sandbox decides where the demo and the end-to-end tests may start servers: in a world of their own, where every
// port is free, /opt and /var/task are theirs, nothing is reachable from outside, and all processes end with the first.
//
// The program that wants such a world calls Enter first thing and later runs itself again with Command. It needs no root
// where the system lets ordinary users make user namespaces.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// variable marks the process that is the first in its sandbox; with value probe it is only to try the setting up.
const (
	variable = "E2E_SANDBOX"
	probe    = "probe"
	run      = "run"
)

// Inside says whether this process runs in a sandbox.
func Inside() bool { return os.Getenv(variable) != "" }

// Enter does nothing in a process that Command did not start. In one that it did, it sets the sandbox up: the loopback
// interface is up, and /opt and /var can be written to without effect outside. An error says what the system refused.
// A process that only tries this out ends here.
func Enter() error {
	mode := os.Getenv(variable)
	if mode == "" {
		return nil
	}
	err := setUp()
	if mode == probe && err == nil {
		os.Exit(0)
	}
	return err
}

// Command makes the command that runs this program again in a new sandbox, with args. All processes in it end with that
// one, which itself ends when its parent does.
func Command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	return command(ctx, run, args...)
}

// Check says why this system gives no sandbox, or nil.
func Check(ctx context.Context) error {
	cmd, err := command(ctx, probe)
	if err != nil {
		return err
	}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Errorf("no namespaces for this user: %s", strings.TrimSpace(string(out)))
	}
	if refused := (*os.PathError)(nil); errors.As(err, &refused) {
		return fmt.Errorf("no namespaces for this user: %w", refused.Err)
	}
	return err
}
