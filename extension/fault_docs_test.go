package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

const (
	failureDocs = "../docs/failure.md"
	tableBegins = "<!-- table: UPDATE_GOLDEN=1 go test ./extension -run TestFailureDocs -->\n\n"
	tableEnds   = "\n<!-- end -->\n"
)

// awsCode is what a fault is named after when AWS gives it a code.
var awsCode = regexp.MustCompile(`^[A-Z][A-Za-z0-9]+$`)

// TestFailureDocs holds docs/failure.md to the tables of TestFaults: it names every error code under its class, and has
// one row for each class and state. UPDATE_GOLDEN=1 writes the rows anew, for a person to read.
func TestFailureDocs(t *testing.T) {
	data, err := os.ReadFile(failureDocs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), tableBegins)
	got, after, ok2 := strings.Cut(rest, tableEnds)
	if !ok || !ok2 {
		t.Fatalf("%s has no table between %q and %q", failureDocs, tableBegins, tableEnds)
	}
	for _, f := range faults() {
		if awsCode.MatchString(f.name) && !namedUnder(f.class, f.name, before) {
			t.Errorf("%s does not name `%s` in the row of class %s", failureDocs, f.name, f.class.name)
		}
	}
	want := failureTable()
	if got == want {
		return
	}
	if os.Getenv("UPDATE_GOLDEN") == "" {
		t.Errorf("the table in %s is\n%s\nwant\n%s", failureDocs, got, want)
		return
	}
	if err := os.WriteFile(failureDocs, []byte(before+tableBegins+want+tableEnds+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// namedUnder says whether the row of c in text has code.
func namedUnder(c class, code, text string) bool {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "| "+c.name+" |") && strings.Contains(line, "`"+code+"`") {
			return true
		}
	}
	return false
}

// failureTable is the table of docs/failure.md.
func failureTable() string {
	var b strings.Builder
	b.WriteString("| class | held when it happens | status, `code` | `Cache-Status: cache-extension; …` | remembered | AWS is asked again | until then |\n")
	b.WriteString("|---|---|---|---|---|---|---|\n")
	for _, c := range []class{missing, unlisted, denied, throttled, timeout, upstream} {
		for _, h := range states {
			first, then := c.attempted(h), c.remembered(h)
			until := "the same"
			if then != first {
				until = shownCacheStatus(then, h)
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", c.name, h.name,
				shownStatus(first), shownCacheStatus(first, h), c.keeps(h), c.asksAgain(h), until)
		}
	}
	return b.String()
}

// shownStatus is the status and the code of v.
func shownStatus(v verdict) string {
	if v.code == "" {
		return fmt.Sprint(v.status)
	}
	return fmt.Sprintf("%d `%s`", v.status, v.code)
}

// shownCacheStatus is the Cache-Status of v where the read has taken no time.
func shownCacheStatus(v verdict, h held) string {
	if v.cacheStatus == "" {
		return ""
	}
	full := fmt.Sprintf(v.cacheStatus, int((defaultTTL - h.age).Seconds()))
	return "`" + strings.TrimPrefix(full, "cache-extension; ") + "`"
}

// setting is the one that says how long a refusal is remembered.
func (c class) setting() string {
	if c.refusal == defaultTTL {
		return "`ttl`"
	}
	return "`negative_ttl`"
}

// keeps is what cell.refused and cell.failed find in memory after the fault.
func (c class) keeps(h held) string {
	switch {
	case c.refusal > 0 && h.usable:
		return "the " + fmt.Sprint(c.status) + ", for " + c.setting() + "; the value is dropped"
	case c.refusal > 0:
		return "the " + fmt.Sprint(c.status) + ", for " + c.setting()
	case h.usable:
		return "the value, no younger, and the failure"
	default:
		return "the failure"
	}
}

// asksAgain is when cell.refused and cell.failed see the next request.
func (c class) asksAgain(h held) string {
	switch {
	case c.refusal > 0:
		return "after " + c.setting() + ", or by `refresh=true`"
	case h.refresh:
		return "by `refresh=true`, a second later and past the hold-off"
	default:
		return "by the next read past the hold-off"
	}
}
