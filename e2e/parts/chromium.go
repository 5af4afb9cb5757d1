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

// Chromium returns the path of a browser that speaks the DevTools protocol. It belongs to the system, not to the checkout,
// so it is used as it is where it is on PATH, and installed with apt-get only by root with CI=true.
func Chromium(ctx context.Context, root string, progress io.Writer) (string, error) {
	path, err := findChromium()
	if err == nil || os.Getenv("CI") != "true" || os.Geteuid() != 0 {
		return path, err
	}
	unlock, err := lock(ctx, filepath.Join(root, "chromium.lock"), func() { fmt.Fprintln(progress, "chromium: another run installs it, waiting") })
	if err != nil {
		return "", fmt.Errorf("chromium: %w", err)
	}
	defer unlock()
	if path, err := findChromium(); err == nil {
		return path, nil
	}
	fmt.Fprintln(progress, "chromium: installing with apt-get")
	quiet := []string{"DEBIAN_FRONTEND=noninteractive"}
	if err := errors.Join(
		run(ctx, "", quiet, "apt-get", "update", "-qq"),
		run(ctx, "", quiet, "apt-get", "install", "-qq", "--no-install-recommends", "chromium"),
	); err != nil {
		return "", fmt.Errorf("chromium: %w", err)
	}
	return findChromium()
}

func findChromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("chromium: not on PATH: install it (apt-get install chromium); root does so with CI=true")
}
