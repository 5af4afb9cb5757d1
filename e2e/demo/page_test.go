package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// example is a table in which the i-th read of every resource took i milliseconds more than the latency.
func example(latency time.Duration) table {
	t := table{latency: latency}
	for _, name := range []string{"direct", "cached"} {
		w := newWay(name)
		for _, r := range resources {
			for i := range 4 {
				w.add(r.cachetype, i, latency+time.Duration(i)*time.Millisecond)
			}
		}
		w.count(map[string]int{"GetItem": 1, "BatchGetItem": 2, "GetParameter": 4, "PutItem": 8})
		t.ways = append(t.ways, w)
	}
	return t
}

func TestPrint(t *testing.T) {
	var b strings.Builder
	example := example(10 * time.Millisecond)
	example.print(&b)
	lines := strings.SplitAfter(b.String(), "\n")
	for i, want := range []string{
		"  milliseconds                      first p50  later p50  later p99   calls of AWS\n",
		"  dynamodb    direct                    10.00      12.00      13.00       3 of    4\n",
		"  dynamodb    cached                    10.00      12.00      13.00       3 of    4\n",
		"  parameters  direct                    10.00      12.00      13.00       4 of    4\n",
	} {
		if got := lines[i]; got != want {
			t.Errorf("line %d: got %q, want %q", i, got, want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	got := markdown("a CPU, 2 cores", []table{example(0), example(40 * time.Millisecond)})
	for _, want := range []string{
		"on a CPU, 2 cores.\n",
		"\n## 0 ms of upstream latency\n\n| | | first p50 | later p50 | later p99 | calls of AWS |\n|---|---|---:|---:|---:|---:|\n" +
			"| dynamodb | direct | 0.00 | 2.00 | 3.00 | 3 for 4 reads |\n",
		"\n## 40 ms of upstream latency\n",
		"| secrets | cached | 40.00 | 42.00 | 43.00 | 0 for 4 reads |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestDocument keeps what others wrote around the tables.
func TestDocument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "latency.md")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("# Latency\n\n" + measuredBegin + "\nold\n" + measuredEnd + "\n\nThe end.\n")
	tables := []table{example(0)}
	if err := document(file, "here", tables); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	want := "# Latency\n\n" + measuredBegin + "\n\n" + markdown("here", tables) + "\n" + measuredEnd + "\n\nThe end.\n"
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	write("# Latency\n")
	if err := document(file, "here", tables); err == nil {
		t.Error("a page without a place for the tables: got no error")
	}
}

// TestPage finds the place for the tables in the page of the repository.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", page))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{measuredBegin, measuredEnd} {
		if got := strings.Count(string(text), want); got != 1 {
			t.Errorf("%s: got %d times %q, want 1", page, got, want)
		}
	}
}
