package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// conditions are what the figures of a run depend on.
type conditions struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Commit string `json:"commit"` // with "and changes" when there were some
	Day    string `json:"day"`
}

// here are the conditions of this machine and checkout. What cannot be found out is "unknown".
func here(ctx context.Context, root string) conditions {
	git := func(args ...string) string {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = root
		out, err := cmd.Output()
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(string(out))
	}
	commit := git("rev-parse", "--short", "HEAD")
	if git("status", "--porcelain") != "" {
		commit += " and changes"
	}
	return conditions{
		CPU:    field("/proc/cpuinfo", "model name"),
		Cores:  runtime.NumCPU(),
		Kernel: firstLine("/proc/sys/kernel/osrelease"),
		Go:     runtime.Version(),
		Commit: commit,
		Day:    time.Now().Format(time.DateOnly),
	}
}

func (c conditions) String() string {
	return fmt.Sprintf("%s, %d cores, Linux %s, %s, commit %s, %s", c.CPU, c.Cores, c.Kernel, c.Go, c.Commit, c.Day)
}

// field returns the text after the first "name :" in a file.
func field(file, name string) string {
	text, err := os.ReadFile(file)
	if err == nil {
		for line := range bytes.Lines(text) {
			if key, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(key) == name {
				return strings.TrimSpace(value)
			}
		}
	}
	return "unknown"
}

func firstLine(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}
