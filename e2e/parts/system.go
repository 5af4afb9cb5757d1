package parts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// system is a program that belongs to the system, not to the checkout: it is used as it is where it is on PATH, and installed
// with apt-get only by root with CI=true.
type system struct {
	what  string   // in messages
	names []string // of the executable, the best first
	deb   string   // the package of Debian and Ubuntu that has one of them
}

// path returns where the program is, having installed it if that is allowed.
func (p system) path(ctx context.Context, root string, progress io.Writer) (string, error) {
	path, err := p.find()
	if err == nil || os.Getenv("CI") != "true" || os.Geteuid() != 0 {
		return path, err
	}
	// One lock for all: apt-get does not wait for another run of itself.
	unlock, err := lock(ctx, filepath.Join(root, "apt-get.lock"), func() { fmt.Fprintln(progress, p.what+": another run installs with apt-get, waiting") })
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.what, err)
	}
	defer unlock()
	if path, err := p.find(); err == nil {
		return path, nil
	}
	fmt.Fprintln(progress, p.what+": installing with apt-get")
	quiet := []string{"DEBIAN_FRONTEND=noninteractive"}
	if err := errors.Join(
		run(ctx, "", quiet, "apt-get", "update", "-qq"),
		run(ctx, "", quiet, "apt-get", "install", "-qq", "--no-install-recommends", p.deb),
	); err != nil {
		return "", fmt.Errorf("%s: %w", p.what, err)
	}
	return p.find()
}

func (p system) find() (string, error) {
	for _, name := range p.names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: not on PATH: install it (apt-get install %s); root does so with CI=true", p.what, p.deb)
}
