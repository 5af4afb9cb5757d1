package parts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// program puts a shell script into the folder dir.
func program(t *testing.T, dir, name, script string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestChromiumOnPathIsUsedAsItIs(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv("CI", "true")
	program(t, dir, "apt-get", "exit 1")
	want := program(t, dir, "google-chrome", "")
	if got, err := Chromium(t.Context(), dir, os.Stderr); got != want || err != nil {
		t.Errorf("Chromium() = %q, %v, want %q", got, err, want)
	}
}

func TestChromiumIsInstalledInCIAlone(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	browser := filepath.Join(dir, "chromium")
	program(t, dir, "apt-get", `[ "$1" != install ] || { echo > `+browser+` && /bin/chmod 755 `+browser+`; }`)

	t.Setenv("CI", "")
	if got, err := Chromium(t.Context(), dir, os.Stderr); err == nil || !strings.Contains(err.Error(), "apt-get install chromium") {
		t.Errorf("without CI: Chromium() = %q, %v, want an error that says how to install it", got, err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root installs")
	}
	t.Setenv("CI", "true")
	var progress strings.Builder
	got, err := Chromium(t.Context(), dir, &progress)
	if got != browser || err != nil || progress.String() != "chromium: installing with apt-get\n" {
		t.Errorf("with CI=true: Chromium() = %q, %v, saying %q, want %q installed", got, err, &progress, browser)
	}
}
