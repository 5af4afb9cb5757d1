package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func example() results {
	return results{
		Conditions: conditions{CPU: "CPU", Cores: 2, Kernel: "6.1", Go: "go1.26", Commit: "abc", Day: "2026-01-02"},
		Rows: []result{
			{
				Name: "start", Title: "Start", About: "How <it> starts.", Reference: "floor", Rounds: 2, Repeated: 1,
				Figures: []figureResult{{
					Name: "register", Title: "exec to register", Unit: "ms", Goal: goal{Ratio: 1.2},
					Subjects: []subjectResult{
						{Name: ours, Median: 2.345, Min: 2, Ratio: 1.172, Values: []float64{2, 2.69}},
						{Name: "floor", Median: 2, Min: 1.9, Ratio: 1, Values: []float64{1.9, 2.1}},
					},
				}},
			},
			{
				Name: "size", Title: "Size", About: "On disk.", Rounds: 1,
				Figures: []figureResult{
					{Title: "x86-64", Unit: "MB", Goal: goal{Value: 7.5}, Subjects: []subjectResult{{Name: ours, Median: 9.08, Values: []float64{9.08}}}},
					{Title: "rate", Unit: "1/s", More: true, Subjects: []subjectResult{{Name: ours, Median: 10, Min: 9, Max: 11, Values: []float64{9, 11}}}},
				},
			},
			{Name: "small", Title: "Small", About: "Under a quota.", Skipped: "no control groups"},
		},
	}
}

func TestMarkdown(t *testing.T) {
	got := example().markdown()
	for _, want := range []string{
		"on CPU, 2 cores, Linux 6.1, go1.26, commit abc, 2026-01-02.",
		"| Start: exec to register | ≤ 1.20 times | 1.17 times floor | met |\n",
		"| Size: x86-64 | ≤ 7.50 MB | 9.08 MB | missed |\n",
		"2 rounds; disturbed ones were measured again 1 times.\n",
		"| | cache-extension | floor |\n|---|---|---|\n| exec to register, ms | 2.35 (2), × 1.17 | 2 (1.90) |\n",
		"| rate, 1/s (more is better) | 10 (11) |\n",
		"![Start](performance-start.svg)",
		"### Small\n\nUnder a quota.\n\nNot measured: no control groups.\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestDocument keeps what others wrote around the figures.
func TestDocument(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "performance.md")
	if err := example().document(dir); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(fresh), measuredBegin, "What did not pay.\n"+measuredBegin, 1) + "The end.\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	again := example()
	again.Conditions.CPU = "another"
	if err := again.document(dir); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if want := strings.Replace(text, "on CPU,", "on another,", 1); err != nil || string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, name := range []string{"performance.json", "performance-start.svg", "performance-size.svg"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if err := os.WriteFile(file, []byte("# Performance\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := again.document(dir); err == nil {
		t.Error("a document without a place for the figures: no error")
	}
}

func TestChart(t *testing.T) {
	chart := example().Rows[0].chart()
	if !strings.Contains(chart, "2.35 · × 1.17") || !strings.Contains(chart, `class="goal"`) {
		t.Errorf("no figure or no goal in\n%s", chart)
	}
	decoder := xml.NewDecoder(strings.NewReader(chart))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, chart)
		}
	}
}
