package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// here says what the figures depend on: this machine, the programs and the day. What cannot be found out is "unknown".
func (s *sim) here(ctx context.Context, root string) string {
	commit := first(ctx, root, "git", "rev-parse", "--short", "HEAD")
	if first(ctx, root, "git", "status", "--porcelain") != "" {
		commit += " and changes"
	}
	server, _, _ := strings.Cut(first(ctx, root, s.redis, "--version"), " sha=")
	return fmt.Sprintf("%s, %d cores, %s, %s (%s), commit %s, %s",
		cpu(), runtime.NumCPU(), runtime.Version(), filepath.Base(s.redis), server, commit, time.Now().Format(time.DateOnly))
}

// first is the first line that a command prints.
func first(ctx context.Context, dir, name string, args ...string) string {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

func cpu() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range bytes.Lines(text) {
			if name, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(name) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return "unknown processor"
}
