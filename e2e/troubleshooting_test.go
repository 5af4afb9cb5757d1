package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestTroubleshootingIsComplete holds docs/troubleshooting.md to the program: every code of a problem has a heading with its
// status, every type of a failed init and every warning and error of the log is named, and there is no other.
func TestTroubleshootingIsComplete(t *testing.T) {
	page := readText(t, "docs/troubleshooting.md")

	codes := found(t, `http\.Status(\w+), (?:code: )?"([a-z_]+)"`, "extension/internal/server/*.go")
	for _, c := range codes {
		c[1] = statusNumber(t, c[1])
	}
	headings := found(t, "(?m)^### ([45]..) `([a-z_]+)`$", "docs/troubleshooting.md")
	if len(codes) < 13 || !slices.Equal(pairs(headings), pairs(codes)) {
		t.Errorf("docs/troubleshooting.md has headings for\n%q, the server has\n%q", pairs(headings), pairs(codes))
	}
	if in := found(t, "(?m)^\\| ([45]..) \\| `([a-z_]+)` ", "docs/http.md"); !slices.Equal(pairs(in), pairs(codes)) {
		t.Errorf("docs/http.md has\n%q, the server has\n%q", pairs(in), pairs(codes))
	}

	types := found(t, `()"(Extension\.\w+)"`, "extension/*.go")
	if in := found(t, "(?m)^\\| ()`(Extension\\.\\w+)` ", "docs/troubleshooting.md"); len(types) < 5 || !slices.Equal(names(in), names(types)) {
		t.Errorf("docs/troubleshooting.md has the types\n%q, the program has\n%q", names(in), names(types))
	}

	for _, files := range []string{"extension/*.go", "extension/internal/caches/*.go", "extension/internal/server/*.go", "extension/internal/shared/*.go"} {
		for _, m := range matches(t, `(\blog\.Warn\(|\blog\.Error\(|slog\.LevelWarn, |\.complain\()"([^"]+)"`, files) {
			if !strings.Contains(page, "`"+m[2]+"`") && m[2] != "exit/error" { // which follows another
				t.Errorf("docs/troubleshooting.md does not tell of the log line %q", m[2])
			}
		}
	}
}

// statusNumber returns the status that the constant http.Status… with this name has.
func statusNumber(t *testing.T, name string) string {
	t.Helper()
	for status := 400; status < 600; status++ {
		if text := http.StatusText(status); text != "" && strings.ReplaceAll(text, " ", "") == name {
			return strconv.Itoa(status)
		}
	}
	t.Fatalf("there is no http.Status%s", name)
	return ""
}

// pairs returns the two groups of each match with a space between them, each pair once, sorted.
func pairs(matches [][]string) []string {
	var all []string
	for _, m := range matches {
		all = append(all, m[1]+" "+m[2])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// names returns what the second group of each match is, each once, sorted.
func names(matches [][]string) []string {
	var all []string
	for _, m := range matches {
		all = append(all, m[2])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// found is matches that are there.
func found(t *testing.T, expression, files string) [][]string {
	t.Helper()
	all := matches(t, expression, files)
	if len(all) == 0 {
		t.Fatalf("no match of %s in %s", expression, files)
	}
	return all
}

// matches returns the groups of what matches in files below the root, tests left out.
func matches(t *testing.T, expression, files string) [][]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, files))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, regexp.MustCompile(expression).FindAllStringSubmatch(string(text), -1)...)
	}
	return all
}

// readText returns a file of the checkout.
func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
