package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const page = "docs/fleet.md"

// What is between these lines of the page is written anew; what is around them is not touched.
const (
	measuredBegin = "<!-- What follows is written by: go run ./e2e/fleet -docs -->"
	measuredEnd   = "<!-- Here ends what is written by: go run ./e2e/fleet -docs -->"
)

// document writes what was measured into a page.
func document(file, measured string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), measuredBegin)
	_, after, ends := strings.Cut(rest, measuredEnd)
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q", file, measuredBegin, measuredEnd)
	}
	return os.WriteFile(file, []byte(before+measuredBegin+"\n\n"+measured+"\n"+measuredEnd+after), 0o644)
}

// fleetTable has a column for each outcome of readers that tried for a while.
func fleetTable(outcomes []outcome, within time.Duration) string {
	rows := []struct {
		name string
		cell func(outcome) string
	}{
		{"calls of Parameter Store", func(o outcome) string { return count(o.calls["parameters"]) }},
		{"calls of Secrets Manager", func(o outcome) string { return count(o.calls["secrets"]) }},
		{"calls of DynamoDB", func(o outcome) string { return count(o.calls["dynamodb"]) }},
		{"of all these, throttled", func(o outcome) string { return count(o.throttled) }},
		{"readers' errors, when a name was first read", func(o outcome) string { return count(o.reads.failedFirst) }},
		{"readers' errors in all", func(o outcome) string { return count(o.reads.failed) }},
		{"until all environments are ready, s", func(o outcome) string { return seconds(o.ready) }},
		{fmt.Sprintf("until all have read all names, s (tried for %v)", within), func(o outcome) string {
			if o.reads.missing > 0 {
				return "not yet: " + count(o.reads.missing) + " missing"
			}
			return seconds(o.held)
		}},
		{"environments that did without the server for a while", ofServer(func(o outcome) string { return count(o.away) })},
		{"the server's commands", ofServer(func(o outcome) string { return count(o.server.commands) })},
		{"its connections, in all", ofServer(func(o outcome) string { return count(o.server.connections) })},
		{"its processor time, s", ofServer(func(o outcome) string { return fmt.Sprintf("%.2f", o.server.busy.Seconds()) })},
	}
	var b strings.Builder
	b.WriteString("| |")
	for _, o := range outcomes {
		b.WriteString(" " + o.scenario.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(outcomes)) + "\n")
	for _, r := range rows {
		b.WriteString("| " + r.name + " |")
		for _, o := range outcomes {
			b.WriteString(" " + r.cell(o) + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// ofServer is a cell that is empty where there is no server.
func ofServer(cell func(outcome) string) func(outcome) string {
	return func(o outcome) string {
		if o.server == (load{}) {
			return ""
		}
		return cell(o)
	}
}

// latencyTable writes the rows of one latency; titled puts the head of the table before them.
func latencyTable(w io.Writer, titled bool, latency time.Duration, ways []way) {
	if titled {
		fmt.Fprint(w, "| AWS takes | | p50 | p99 |\n|---:|---|---:|---:|\n")
	}
	for _, o := range ways {
		fmt.Fprintf(w, "| %d ms | %s | %s | %s |\n", latency.Milliseconds(), o.name, millis(percentile(o.times, 0.5)), millis(percentile(o.times, 0.99)))
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

func millis(d time.Duration) string { return fmt.Sprintf("%.3f", float64(d)/float64(time.Millisecond)) }

// count writes a number with commas.
func count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}
