//go:build !linux

package sandbox

import (
	"context"
	"errors"
	"os/exec"
)

var errNotLinux = errors.New("no namespaces outside Linux")

func command(context.Context, string, ...string) (*exec.Cmd, error) { return nil, errNotLinux }

func setUp() error { return errNotLinux }
