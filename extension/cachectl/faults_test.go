package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cache-extension/extension/internal/config"
)

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("a", 200) + "X" + strings.Repeat("b", 200)
	tests := []struct {
		name   string
		line   string
		column int
		want   string
	}{
		{"a column", "  - nmae: a", 5, "" +
			"    7 |   - nmae: a\n" +
			"      |     ^\n"},
		{"no column", "  - nmae: a", 0, "    7 |   - nmae: a\n"},
		{"tabs", "a\tb\tX", 5, "" +
			"    7 | a\tb\tX\n" +
			"      |  \t \t^\n"},
		{"past the end", "ab  ", 9, "" +
			"    7 | ab\n" +
			"      |   ^\n"},
		{"an empty line", "", 1, "" +
			"    7 | \n" +
			"      | ^\n"},
		{"letters of two columns", "漢字: X", 5, "" +
			"    7 | 漢字: X\n" +
			"      |       ^\n"},
		{"an accent of its own", "e\u0301X", 3, "" +
			"    7 | e\u0301X\n" +
			"      |  ^\n"},
		{"what a terminal would obey", "a\x1b[2Jb\u202eX", 8, "" +
			"    7 | a\ufffd[2Jb\ufffdX\n" +
			"      |        ^\n"},
		{"bytes that are no text", "a\xffX", 3, "" +
			"    7 | a\ufffdX\n" +
			"      |   ^\n"},
		{"the middle of a long line", long, 201, "" +
			"    7 | …" + strings.Repeat("a", 60) + "X" + strings.Repeat("b", 39) + "…\n" +
			"      | " + strings.Repeat(" ", 61) + "^\n"},
		{"the beginning of a long line", long, 3, "" +
			"    7 | " + strings.Repeat("a", 100) + "…\n" +
			"      |   ^\n"},
		{"the end of a long line", long, 401, "" +
			"    7 | …" + strings.Repeat("b", 61) + "\n" +
			"      | " + strings.Repeat(" ", 61) + "^\n"},
		{"a long line without a column", long, 0, "    7 | " + strings.Repeat("a", 100) + "…\n"},
	}
	for _, tt := range tests {
		if got := excerpt(tt.line, 7, tt.column); got != tt.want {
			t.Errorf("%s: excerpt(%q, 7, %d) =\n%s\nwant\n%s", tt.name, tt.line, tt.column, got, tt.want)
		}
	}
	if got, want := excerpt("a", 12345, 1), "12345 | a\n      | ^\n"; got != want {
		t.Errorf("excerpt of line 12345 =\n%s\nwant\n%s", got, want)
	}
}

func TestPrintFaults(t *testing.T) {
	dir := t.TempDir()
	path := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	marked := path("marked.yaml", "\ufeffa: b\r\nc: d\r\n")
	old := path("old.yaml", "# one\u2028# two\rc: d")
	secret := path("secret.yaml", "url: redis://äpp:p@ss@host/x\n")
	fixtures := path("fixtures.yaml", "secrets: {db: hunter2, fial: hunter2}\n")
	tests := []struct {
		name  string
		input config.Fault
		want  string
	}{
		{"the environment", config.Fault{Text: "X: unset"}, "X: unset\n"},
		{"a file as a whole", config.Fault{File: marked, Text: "odd"}, marked + ": odd\n"},
		{"behind a byte order mark", config.Fault{File: marked, Line: 1, Column: 4, Text: "odd"},
			marked + ":1:4: odd\n    1 | a: b\n      |    ^\n"},
		{"lines of Windows", config.Fault{File: marked, Line: 2, Column: 1, Text: "odd"},
			marked + ":2:1: odd\n    2 | c: d\n      | ^\n"},
		{"all that ends a line in YAML", config.Fault{File: old, Line: 3, Column: 1, Text: "odd"},
			old + ":3:1: odd\n    3 | c: d\n      | ^\n"},
		{"a password", config.Fault{File: secret, Line: 1, Column: 6, Text: "odd"},
			secret + ":1:6: odd\n    1 | url: redis://********@host/x\n      |      ^\n"},
		{"a text that a terminal would obey", config.Fault{Text: "a\x1b]0;b\a\r\n::error::c\u2028d\xff\u202e"}, "a\ufffd]0;b\ufffd  ::error::c d\ufffd\ufffd\n"},
		{"a line that holds a value", config.Fault{File: fixtures, Line: 1, Column: 2, Text: "odd"}, fixtures + ":1:2: odd\n"},
		{"no column", config.Fault{File: marked, Line: 1, Text: "odd"}, marked + ":1: odd\n    1 | a: b\n"},
		{"a line that there is not", config.Fault{File: marked, Line: 9, Column: 1, Text: "odd"}, marked + ":9:1: odd\n"},
		{"a file that there is not", config.Fault{File: "absent.yaml", Line: 1, Column: 1, Text: "odd"}, "absent.yaml:1:1: odd\n"},
		{"what is no file", config.Fault{File: dir, Line: 1, Column: 1, Text: "odd"}, dir + ":1:1: odd\n"},
	}
	for _, tt := range tests {
		var stderr bytes.Buffer
		a := &app{stderr: &stderr, secret: fixtures}
		a.printFaults(config.Faults{tt.input})
		if got := stderr.String(); got != tt.want {
			t.Errorf("%s: printFaults(%+v) printed\n%s\nwant\n%s", tt.name, tt.input, got, tt.want)
		}
	}
}

func TestPrintError(t *testing.T) {
	tests := []struct {
		name  string
		input error
		want  string
	}{
		{"one", errors.New("no connection"), "cachectl: no connection\n"},
		{"what a terminal would obey", errors.New("a\x1b[2J\n::error::b"), "cachectl: a\ufffd[2J ::error::b\n"},
		{"several", errors.Join(errors.New("a\nb"), errors.New("c")), "cachectl: a b\nc\n"},
	}
	for _, tt := range tests {
		var stderr bytes.Buffer
		a := &app{stderr: &stderr}
		a.printError(tt.input)
		if got := stderr.String(); got != tt.want {
			t.Errorf("%s: printError(%q) printed %q, want %q", tt.name, tt.input, got, tt.want)
		}
	}
}

func TestAnnotate(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		name  string
		input config.Fault
		want  string
	}{
		{"the environment", config.Fault{Text: "X: 5%, unset"}, "::error::X: 5%25, unset\n"},
		{"a file as a whole", config.Fault{File: "a.yaml", Text: "odd"}, "::error file=a.yaml::odd\n"},
		{"a line", config.Fault{File: "a.yaml", Line: 3, Text: "odd"}, "::error file=a.yaml,line=3::odd\n"},
		{"a column", config.Fault{File: "a.yaml", Line: 3, Column: 7, Text: "a:b\n::c\r\x1b[2J"}, "::error file=a.yaml,line=3,col=7::a:b ::c \ufffd[2J\n"},
		{"a name with signs of the command's own", config.Fault{File: "a,b:c%.yaml", Text: "odd"}, "::error file=a%2Cb%3Ac%25.yaml::odd\n"},
		{"below the checkout", config.Fault{File: filepath.Join(dir, "x", "a.yaml"), Text: "odd"}, "::error file=x/a.yaml::odd\n"},
	}
	for _, tt := range tests {
		var stderr bytes.Buffer
		a := &app{stderr: &stderr, environ: []string{"GITHUB_ACTIONS=true", "GITHUB_WORKSPACE=" + dir}}
		a.annotate("error", config.Faults{tt.input})
		if got := stderr.String(); got != tt.want {
			t.Errorf("%s: annotate(%+v) wrote %q, want %q", tt.name, tt.input, got, tt.want)
		}
		a.environ = nil
		stderr.Reset()
		a.annotate("error", config.Faults{tt.input})
		if got := stderr.String(); got != "" {
			t.Errorf("%s: annotate outside of GitHub wrote %q", tt.name, got)
		}
	}
}
