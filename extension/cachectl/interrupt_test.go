//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// What comes through a named pipe is waited for until its writer closes it. One Ctrl-C ends that all the same.
func TestInterruptedWhileItReadsFiles(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"check"}, {"serve", "--offline", "--port", "0"}} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			pipe := filepath.Join(t.TempDir(), "config.yaml")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			cmd := exec.CommandContext(t.Context(), "cachectl", append(args, pipe)...)
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer time.AfterFunc(patience, func() {
				cmd.Process.Kill()
				os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0) // ends the wait below
			}).Stop()
			w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // ends when the program has opened it for reading
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != exitFault || stderr.String() != "cachectl: interrupted\n" {
				t.Errorf("exit code %d and %q, want %d and that it was interrupted", code, &stderr, exitFault)
			}
		})
	}
}

func TestIsTerminal(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	tests := []struct {
		name  string
		input *os.File
		want  bool
	}{
		{"a file", file, false},
		{os.DevNull, null, false},
	}
	for _, tt := range tests {
		if got := isTerminal(tt.input); got != tt.want {
			t.Errorf("isTerminal(%s) = %t, want %t", tt.name, got, tt.want)
		}
	}
	terminal, err := os.Open("/dev/ptmx")
	if err != nil {
		t.Skipf("no terminal to look at: %v", err)
	}
	defer terminal.Close()
	if !isTerminal(terminal) {
		t.Error("isTerminal(/dev/ptmx) = false, want true")
	}
}
