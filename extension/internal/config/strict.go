package config

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Wording is what messages say about a file as a whole.
type Wording struct {
	Empty string // what to do about an empty one: "list what to cache"
	Top   string // what its content must be: "a mapping of settings"
}

// Node is a value in a file that is read as strictly as config.yaml: aliases are followed and mappings merged. Variables are
// not expanded.
type Node struct {
	Line, Column int // counted from 1; where an alias stands, for what it stands for
	Kind         Kind
	Text         string  // of a single value: as written, the bytes of Bytes
	Doubt        error   // why Text may not be text to every reader, in words that continue a sentence about it; mostly nil
	Pairs        []Pair  // of a Mapping, in the order written, each name once
	Items        []*Node // of a List
}

// Pair is one key of a mapping and what it holds.
type Pair struct {
	Name  string
	Key   *Node
	Value *Node
}

// Kind is what a Node is. The zero Kind is that of a Node about which there is a fault already.
type Kind int

// The kinds of a Node.
const (
	Faulty  Kind = iota
	Null         // null, ~ or nothing
	Bool         // true or false, whatever the case
	Number       // as JSON writes numbers, without an exponent
	Text         // all else that is a single value; Doubt may hold
	Bytes        // !!binary
	Mapping      // with names for keys
	List
)

// String names the kind as messages do.
func (k Kind) String() string {
	switch k {
	case Mapping:
		return "a mapping"
	case List:
		return "a list"
	case Null:
		return "nothing"
	}
	return "a single value"
}

// ReadStrict returns the mapping that the file at path holds, and what is wrong with the file as YAML. The node is nil where
// there is nothing to go on with: the file cannot be read, or has comments alone, which is no fault.
func ReadStrict(path string, w Wording) (*Node, Faults) {
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("no such file (create it, or name another one)")
	}
	if err != nil {
		return nil, Faults{{File: path, Text: err.Error()}}
	}
	return ParseStrict(path, data, w)
}

// ParseStrict is ReadStrict for data, the content of the file of that name.
func ParseStrict(file string, data []byte, w Wording) (*Node, Faults) {
	p := &parser{file: file, words: w}
	top := p.document(data)
	for i, f := range p.faults {
		// The parser quotes what it takes for an anchor, and that may be a password without its quotes.
		if strings.Contains(f.Text, "unknown anchor") {
			p.faults[i].Text = "not valid YAML: no anchor for an alias (quote a text that begins with *)"
		}
	}
	if top == nil {
		return nil, p.faults
	}
	n := p.strict(top, map[*yaml.Node]*Node{})
	if n.Kind != Mapping {
		return nil, p.faults
	}
	return n, p.faults
}

// strict returns n as a Node. known holds those made, for an alias.
func (p *parser) strict(n *yaml.Node, known map[*yaml.Node]*Node) *Node {
	if n.Kind == yaml.AliasNode {
		s := *p.strict(n.Alias, known)
		s.Line, s.Column = n.Line, n.Column
		return &s
	}
	if s := known[n]; s != nil {
		return s
	}
	s := &Node{Line: n.Line, Column: n.Column}
	known[n] = s
	switch {
	case !meaningful(n):
		p.fault(n, "", "a tag that has no meaning here (quote a text that begins with !)")
	case n.Kind == yaml.MappingNode:
		s.Kind = Mapping
		for _, kv := range p.pairs(n, "") {
			key := &Node{Line: kv.key.Line, Column: kv.key.Column, Kind: Text, Text: kv.name}
			s.Pairs = append(s.Pairs, Pair{kv.name, key, p.strict(kv.value, known)})
		}
	case n.Kind == yaml.SequenceNode:
		s.Kind = List
		for _, item := range n.Content {
			s.Items = append(s.Items, p.strict(item, known))
		}
	default:
		p.single(n, s)
	}
	return s
}

// meaningful reports whether the tag of n, written or not, is one that values of its kind have.
func meaningful(n *yaml.Node) bool {
	switch n.Kind {
	case yaml.MappingNode:
		return n.Tag == "!!map"
	case yaml.SequenceNode:
		return n.Tag == "!!seq"
	}
	return n.Tag != "!!map" && n.Tag != "!!seq" && tagOrKind(n) == kindOf(n)
}

// single sets s to the single value n.
func (p *parser) single(n *yaml.Node, s *Node) {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle | yaml.TaggedStyle
	s.Kind, s.Text = Text, n.Value
	lower := strings.ToLower(n.Value)
	switch {
	case n.Tag == "!!binary":
		// YAML breaks long binary values into lines.
		raw, err := base64.StdEncoding.Strict().DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil {
			s.Kind = Faulty
			p.fault(n, "", "what follows !!binary is not base64")
			return
		}
		s.Kind, s.Text = Bytes, string(raw)
	case n.Tag == "!!str" && n.Style&quoted != 0:
	case n.Tag == "!!null":
		s.Kind = Null
	case n.Tag == "!!bool" && (lower == "true" || lower == "false"):
		s.Kind = Bool
	case isPlainNumber(n.Value):
		s.Kind = Number
	default:
		s.Doubt = doubt(n.Tag, n.Value)
	}
}

// Sorted returns the faults by line, each once.
func (fs Faults) Sorted() Faults { return fs.sorted() }

// Quote returns text in quotes, shortened to what a message can bear.
func Quote(text string) string { return quote(text) }

// ParseDuration reads a duration as config.yaml has them. Its error continues a sentence that begins with text.
func ParseDuration(text string) (time.Duration, error) { return parseDuration(text) }
