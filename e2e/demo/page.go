package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// page is the document of the figures. What is between these lines of it is written anew, what is around them is not touched.
const (
	page          = "docs/latency.md"
	measuredBegin = "<!-- What follows is written by: go run ./e2e/demo -docs -->"
	measuredEnd   = "<!-- Here ends what is written by: go run ./e2e/demo -docs -->"
)

// document writes tables into a file, between its lines for that.
func document(file, where string, tables []table) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), measuredBegin)
	_, after, ends := strings.Cut(rest, measuredEnd)
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q", file, measuredBegin, measuredEnd)
	}
	return os.WriteFile(file, []byte(before+measuredBegin+"\n\n"+markdown(where, tables)+"\n"+measuredEnd+after), 0o644)
}

// markdown is where was measured, and a section for each table.
func markdown(where string, tables []table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured by `go run ./e2e/demo -docs` on %s.\nMilliseconds; %d starts of each way, %d invocations each: a first p50 is the median of %d reads, later figures are of %d.\n",
		where, starts, 1+later, starts, starts*later)
	for _, t := range tables {
		fmt.Fprintf(&b, "\n## %d ms of upstream latency\n\n", t.latency.Milliseconds())
		b.WriteString("| | | first p50 | later p50 | later p99 | calls of AWS |\n|---|---|---:|---:|---:|---:|\n")
		for _, r := range resources {
			for _, w := range t.ways {
				m := w.by[r.cachetype]
				first, p50, p99 := m.figures()
				fmt.Fprintf(&b, "| %s | %s | %.2f | %.2f | %.2f | %d for %d reads |\n", r.cachetype, w.name, first, p50, p99, m.calls, m.reads())
			}
		}
	}
	return b.String()
}

// here says on what the figures depend. What cannot be found out is "unknown".
func here(ctx context.Context) string {
	output := func(name string, args ...string) string {
		out, err := exec.CommandContext(ctx, name, args...).Output()
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(string(out))
	}
	commit := output("git", "rev-parse", "--short", "HEAD")
	if output("git", "status", "--porcelain") != "" {
		commit += " and changes"
	}
	cpu := "an unknown CPU"
	info, _ := os.ReadFile("/proc/cpuinfo") // other systems have none
	if _, rest, ok := strings.Cut(string(info), "model name"); ok {
		line, _, _ := strings.Cut(rest, "\n")
		cpu = strings.TrimLeft(line, "\t :")
	}
	return fmt.Sprintf("%s, %d cores, %s, Node.js %s, commit %s, %s",
		cpu, runtime.NumCPU(), runtime.Version(), output("node", "--version"), commit, time.Now().Format(time.DateOnly))
}
