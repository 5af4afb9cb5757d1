package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

const (
	maxBytes  = 1 << 20 // of the file
	maxValues = 100_000 // of the document, with what stands behind each alias counted each time
)

// document returns the top of the only YAML document in data, or nil where there is none or it cannot be read.
// What keeps it from being read is one fault.
func (p *parser) document(data []byte) *yaml.Node {
	if f := p.unreadable(data); f != nil {
		p.faults = append(p.faults, *f)
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))

	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if err = dec.Decode(&second); err == nil {
			p.fault(&second, "", "a second document begins here (one file holds one document)")
			return nil
		}
	}
	if !errors.Is(err, io.EOF) {
		p.faults = append(p.faults, p.syntaxFault(data, err))
		return nil
	}

	top := doc.Content[0]
	switch {
	case isNull(top):
		return nil
	case top.Kind != yaml.MappingNode:
		p.fault(top, "", "the file must be %s, not %s", p.words.Top, kindOf(top))
		return nil
	}
	n, cycle := values(top, map[*yaml.Node]int{})
	switch {
	case cycle != nil:
		p.fault(cycle, "", "the alias *%s holds itself", cycle.Value)
		return nil
	case n > maxValues:
		p.faults = append(p.faults, Fault{File: p.file, Text: fmt.Sprintf("more than %d values, the most that are read (an alias counts as all that it stands for)", maxValues)})
		return nil
	}
	return top
}

// unreadable returns why data is not text that YAML could be, or nil.
func (p *parser) unreadable(data []byte) *Fault {
	if len(data) > maxBytes {
		return &Fault{File: p.file, Text: "larger than 1 MiB, the most that is read (is it the right file?)"}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return &Fault{File: p.file, Text: "an empty file (" + p.words.Empty + ")"}
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return &Fault{File: p.file, Text: "UTF-16 text (save the file as UTF-8)"}
	}
	line := 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return &Fault{File: p.file, Line: line, Column: 1, Text: "not UTF-8 text (save the file as UTF-8)"}
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', 0x7f <= r && r < 0xa0 && r != 0x85,
			r == 0xfffe, r == 0xffff, r == 0xfeff && i > 0:
			return &Fault{File: p.file, Line: line, Column: 1, Text: fmt.Sprintf("character U+%04X, which YAML forbids (remove it, or write it as an escape between double quotes)", r)}
		case r == '\n':
			line++
		}
		i += size
	}
	return nil
}

// values counts the nodes below n as if every alias were written out, up to a little over maxValues. cycle is an alias
// that stands inside of what it stands for. known holds the counts of those seen that an alias can stand for, -1 for those
// being counted.
func values(n *yaml.Node, known map[*yaml.Node]int) (count int, cycle *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		if known[n.Alias] < 0 {
			return 0, n
		}
		return values(n.Alias, known)
	}
	if count, ok := known[n]; ok {
		return count, nil
	}
	if n.Anchor != "" {
		known[n] = -1
	}
	count = 1
	for _, c := range n.Content {
		below, cycle := values(c, known)
		if cycle != nil {
			return 0, cycle
		}
		count = min(count+below, maxValues+1)
	}
	if n.Anchor != "" {
		known[n] = count
	}
	return count, nil
}

// What only a fault asks for is compiled then: every start would pay for package variables.
const (
	// yamlError takes the parser's messages apart: an optional line and the text.
	yamlError = `^yaml: (?:line (\d+): )?(.*)$`
	// unquotedVariable finds a line with a variable outside of quotes. Between brackets or braces, its own brace begins a mapping.
	unquotedVariable = unquoted + `\$\{`
	// unquotedPlaceholder is the same for a placeholder, whose brace does that at the beginning of a text as well.
	unquotedPlaceholder = unquoted + `\{[A-Za-z_][A-Za-z0-9_]*\}`
	unquoted            = `^(?:[^"']|"(?:[^"\\]|\\.)*"|'[^']*')*`
)

// syntaxFault restates what the YAML parser says about data.
func (p *parser) syntaxFault(data []byte, err error) Fault {
	f := Fault{File: p.file, Line: 1, Column: 1, Text: err.Error()}
	if m := regexp.MustCompile(yamlError).FindStringSubmatch(f.Text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			f.Line = n
		}
		f.Text = m[2]
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	f.Line = min(brokenLine(data, lines, f.Line), len(lines))
	f.Text = "not valid YAML: " + f.Text
	line := lines[f.Line-1]
	indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
	switch {
	case bytes.ContainsRune(indent, '\t'):
		f.Text += " (indent with spaces, not tabs)"
	case strings.Contains(f.Text, "expected ','") && regexp.MustCompile(unquotedVariable).Match(line):
		f.Text += " (between brackets or braces, ${NAME} has to be quoted)"
	case strings.Contains(f.Text, "expected") && regexp.MustCompile(unquotedPlaceholder).Match(line):
		f.Text += " (quote a text with a placeholder, such as \"{id}\")"
	}
	return f
}

// brokenLine returns the line at which data stops being YAML. The parser often names where the surrounding list or
// mapping begins, so the line is looked for: it is the one after the longest run of lines that parse. The search starts
// where the parser stopped reading and is bounded, for a large file that is broken far above; said is the line then.
func brokenLine(data []byte, lines [][]byte, said int) int {
	r := &lineReader{rest: data}
	dec := yaml.NewDecoder(r)
	for dec.Decode(new(yaml.Node)) == nil {
	}
	const tries = 20
	for n := r.lines; n > 0 && n > r.lines-tries; n-- {
		if parses(bytes.Join(lines[:n], nil)) {
			return n + 1
		}
	}
	if r.lines < tries {
		return 1
	}
	return said
}

func parses(data []byte) bool {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		switch err := dec.Decode(new(yaml.Node)); {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			return false
		}
	}
}

// lineReader hands out its text one line at a time at most, and counts the lines.
type lineReader struct {
	rest  []byte
	lines int
}

func (r *lineReader) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	line, _, ended := bytes.Cut(r.rest, []byte("\n"))
	n := len(line)
	if ended {
		n++
	}
	if n > len(b) {
		n, ended = len(b), false
	}
	copy(b, r.rest[:n])
	r.rest = r.rest[n:]
	if ended || len(r.rest) == 0 {
		r.lines++
	}
	return n, nil
}
