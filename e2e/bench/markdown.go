package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// What is between these lines of docs/performance.md is written anew by each run; what is around them is not touched.
const (
	measuredBegin = "<!-- What follows is written by: go run ./e2e/bench -docs -->"
	measuredEnd   = "<!-- Here ends what is written by: go run ./e2e/bench -docs -->"
)

// skeleton is the document where there is none.
const skeleton = "# Performance\n\n" + measuredBegin + "\n" + measuredEnd + "\n"

// document writes the figures into performance.md of a folder, with performance.json and the charts beside it.
func (r results) document(folder string) error {
	file := filepath.Join(folder, "performance.md")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = []byte(skeleton), nil
	}
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), measuredBegin)
	_, after, ends := strings.Cut(rest, measuredEnd)
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q", file, measuredBegin, measuredEnd)
	}
	for _, row := range r.Rows {
		if len(row.Figures) == 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, row.chartFile()), []byte(row.chart()), 0o644); err != nil {
			return err
		}
	}
	if err := r.write(filepath.Join(folder, "performance.json")); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(before+measuredBegin+"\n\n"+r.markdown()+"\n"+measuredEnd+after), 0o644)
}

// markdown is all that was measured.
func (r results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured by `go run ./e2e/bench -docs` on %s.\n\n", r.Conditions)
	b.WriteString("Medians over rounds, with the best round in brackets. A ratio is the median of the ratios within a round: each round\n" +
		"measures every program once. A round in which the program that the others are compared with was off its median by\n" +
		"more than 30 % is measured again.\n\n## Goals\n\n")
	b.WriteString(r.goals())
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "\n#%s", row.markdown())
		if len(row.Figures) > 0 {
			fmt.Fprintf(&b, "\n![%s](%s)\n", row.Title, row.chartFile())
		}
	}
	return b.String()
}

// goals is a table of every figure that has one.
func (r results) goals() string {
	var b strings.Builder
	b.WriteString("| | goal | " + ours + " | |\n|---|---|---|---|\n")
	for _, row := range r.Rows {
		for _, f := range row.Figures {
			us, ok := f.subject(ours)
			if f.Goal == (goal{}) || !ok {
				continue
			}
			is := us.Median
			text := number(is) + unit(f.Unit)
			if f.Goal.Ratio > 0 {
				is = us.Ratio
				text = number(is) + " times " + row.Reference
			}
			verdict := "missed"
			switch {
			case is == 0 && f.Goal.Ratio > 0:
				text, verdict = "", "not measured"
			case is <= f.Goal.most():
				verdict = "met"
			}
			fmt.Fprintf(&b, "| %s: %s | %s | %s | %s |\n", row.Title, f.Title, f.Goal.text(f.Unit), text, verdict)
		}
	}
	return b.String()
}

func (g goal) most() float64 { return max(g.Ratio, g.Value) }

func (g goal) text(of string) string {
	switch {
	case g.Ratio > 0:
		return fmt.Sprintf("≤ %.2f times", g.Ratio)
	case g.Value > 0:
		return "≤ " + number(g.Value) + unit(of)
	}
	return ""
}

// markdown is a heading, a sentence and a table of what a row gave.
func (r result) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n", r.Title, r.About)
	if r.Skipped != "" {
		fmt.Fprintf(&b, "\nNot measured: %s.\n", r.Skipped)
	}
	if len(r.Figures) == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "\n%s.\n\n|", r.rounds())
	columns := r.subjects()
	for _, name := range columns {
		fmt.Fprintf(&b, " | %s", name)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|---", len(columns)) + "|\n")
	for _, f := range r.Figures {
		fmt.Fprintf(&b, "| %s", f.heading())
		for _, name := range columns {
			b.WriteString(" | ")
			s, ok := f.subject(name)
			if !ok {
				continue
			}
			b.WriteString(number(s.Median))
			if f.best(s) != s.Median && len(s.Values) > 1 {
				fmt.Fprintf(&b, " (%s)", number(f.best(s)))
			}
			if s.Ratio > 0 && name != r.Reference {
				fmt.Fprintf(&b, ", × %.2f", s.Ratio)
			}
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

func (r result) rounds() string {
	text := fmt.Sprintf("%d rounds", r.Rounds)
	if r.Rounds == 1 {
		text = "1 round"
	}
	if r.Repeated > 0 {
		text += fmt.Sprintf("; disturbed ones were measured again %d times", r.Repeated)
	}
	return text
}

// subjects are the names of all who have a figure, in their order.
func (r result) subjects() []string {
	var all []string
	seen := make(map[string]bool)
	for _, f := range r.Figures {
		for _, s := range f.Subjects {
			if !seen[s.Name] {
				seen[s.Name] = true
				all = append(all, s.Name)
			}
		}
	}
	return all
}

// number is v with three digits that count.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a == math.Trunc(a) || a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func unit(u string) string {
	if u == "" {
		return ""
	}
	return " " + u
}

// mib is a number of bytes in MiB, as text.
func mib(n int) string { return number(mebibytes(int64(n))) }
