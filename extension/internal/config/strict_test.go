package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseStrict(t *testing.T) {
	const long = "123456789012345678901234567890.10"
	for _, tt := range []struct{ name, input, want string }{
		{"kinds", "a: {b: [x, 1, -1.50, True, ~, !!binary aGk=]}\nc:", `{a: {b: [text "x", number "1", number "-1.50", bool "True", null "~", bytes "hi"]}, c: null ""}`},
		{"quoted", `{a: "1", b: 'true', c: !!str 042, d: "2024-01-01", e: "~"}`, `{a: text "1", b: text "true", c: text "042", d: text "2024-01-01", e: text "~"}`},
		{"blocks", "a: |\n  042\nb: >-\n  x\n  y\n", `{a: text "042\n", b: text "x y"}`},
		{"every digit", "a: " + long, `{a: number "` + long + `"}`},
		{"doubts", "{a: 042, b: 0x1F, c: 1e3, d: 1_000, e: +1, f: .5, g: 12:30, h: .inf}", `{` +
			`a: text? "042", b: text? "0x1F", c: text? "1e3", d: text? "1_000", e: text? "+1", f: text? ".5", g: text? "12:30", h: text? ".inf"}`},
		{"more doubts", "{a: yes, b: Off, c: 2024-02-29, d: !!bool perhaps, e: !!int x}", `{a: text? "yes", b: text? "Off", c: text? "2024-02-29", d: text? "perhaps", e: text? "x"}`},
		{"no variables", "a: ${HOME}", `{a: text "${HOME}"}`},
		{"alias", "a: &x {k: 1}\nb: [*x, *x]", `{a: {k: number "1"}, b: [{k: number "1"}, {k: number "1"}]}`},
		{"merge", "a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}", `{a: {k: number "1", l: number "2"}, b: {l: number "3", k: number "1"}}`},
		{"order", "z: 1\na: 2", `{z: number "1", a: number "2"}`},
		{"keys", "{1: x, true: y, 2024-01-01: z}", `{1: text "x", true: text "y", 2024-01-01: text "z"}`},
		{"comments alone", "# nothing", `nothing`},
		{"null", "~", `nothing`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, faults := ParseStrict("f.yaml", []byte(tt.input), Wording{})
			if got := describe(n); got != tt.want || faults != nil {
				t.Errorf("ParseStrict(%q) = %s, %v, want %s", tt.input, got, faults, tt.want)
			}
		})
	}
}

func TestParseStrictPlaces(t *testing.T) {
	n, _ := ParseStrict("f.yaml", []byte("a: &x one\nb:\n  - *x\n"), Wording{})
	for _, tt := range []struct {
		name         string
		input        *Node
		line, column int
	}{
		{"key", n.Pairs[1].Key, 2, 1},
		{"value", n.Pairs[0].Value, 1, 4},
		{"alias", n.Pairs[1].Value.Items[0], 3, 5},
	} {
		if got := tt.input; got.Line != tt.line || got.Column != tt.column {
			t.Errorf("%s is at %d:%d, want %d:%d", tt.name, got.Line, got.Column, tt.line, tt.column)
		}
	}
}

func TestParseStrictFaults(t *testing.T) {
	w := Wording{Empty: "write something", Top: "a mapping of things"}
	for _, tt := range []struct{ name, input, want string }{
		{"empty", " \n", "f.yaml: an empty file (write something)"},
		{"a list", "[x]", "f.yaml:1: the file must be a mapping of things, not a list"},
		{"twice", "a: 1\na: 2\nb: {c: 1, c: 2}", "f.yaml:2: \"a\" is given twice (first at line 1)\nf.yaml:3: \"c\" is given twice (first at line 3)"},
		{"no text for a key", "{[a]: x}", "f.yaml:1: a key must be text, not a list"},
		{"tags", "a: !hunter2\nb: !!set {x}\nc: !!omap [x: y]\nd: !!map x", strings.Repeat("f.yaml:%d: a tag that has no meaning here (quote a text that begins with !)\n", 4)},
		{"a tag at the top", "!x {a: b}", "f.yaml:1: a tag that has no meaning here (quote a text that begins with !)"},
		{"an alias without an anchor", "a: *hunter2", "f.yaml:1: not valid YAML: no anchor for an alias (quote a text that begins with *)"},
		{"no base64", "a: !!binary hunter2", "f.yaml:1: what follows !!binary is not base64"},
		{"a second document", "a: b\n---\nc: d", "f.yaml:2: a second document begins here (one file holds one document)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, faults := ParseStrict("f.yaml", []byte(tt.input), w)
			want := tt.want
			if strings.Contains(want, "%d") {
				want = strings.TrimSuffix(fmt.Sprintf(want, 1, 2, 3, 4), "\n")
			}
			if got := faults.Sorted().Error(); got != want {
				t.Errorf("ParseStrict(%q) has the faults\n%s\nwant\n%s", tt.input, got, want)
			}
		})
	}
}

func TestReadStrict(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f.yaml")
	if err := os.WriteFile(file, []byte("a: b"), 0o600); err != nil {
		t.Fatal(err)
	}
	n, faults := ReadStrict(file, Wording{})
	if got, want := describe(n), `{a: text "b"}`; got != want || faults != nil {
		t.Errorf("ReadStrict(%s) = %s, %v, want %s", file, got, faults, want)
	}
	for _, tt := range []struct{ name, input, want string }{
		{"no file", file + "x", file + "x: no such file (create it, or name another one)"},
		{"a directory", dir, dir + ": a directory, not a file (name the file in it)"},
	} {
		n, faults := ReadStrict(tt.input, Wording{})
		if got := faults.Error(); got != tt.want || n != nil {
			t.Errorf("%s: ReadStrict = %v, %s, want %s", tt.name, n, got, tt.want)
		}
	}
}

// describe writes a node in one line.
func describe(n *Node) string {
	if n == nil {
		return "nothing"
	}
	var parts []string
	switch n.Kind {
	case Mapping:
		for _, p := range n.Pairs {
			parts = append(parts, p.Name+": "+describe(p.Value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case List:
		for _, item := range n.Items {
			parts = append(parts, describe(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	kind := map[Kind]string{Faulty: "faulty", Null: "null", Bool: "bool", Number: "number", Text: "text", Bytes: "bytes"}[n.Kind]
	if n.Doubt != nil {
		kind += "?"
	}
	return fmt.Sprintf("%s %q", kind, n.Text)
}
