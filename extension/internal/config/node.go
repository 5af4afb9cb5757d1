package config

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// fault notes what is wrong at n. where is the section and key as messages give them, such as "secrets: name"; it may be empty.
func (p *parser) fault(n *yaml.Node, where, format string, args ...any) {
	p.faults = append(p.faults, p.at(n, where, format, args...))
}

func (p *parser) at(n *yaml.Node, where, format string, args ...any) Fault {
	text := fmt.Sprintf(format, args...)
	if where != "" {
		text = where + ": " + text
	}
	return Fault{File: p.file, Line: n.Line, Column: n.Column, Text: text}
}

// under returns where for a key below it.
func under(where, key string) string {
	if where == "" {
		return key
	}
	return where + ": " + key
}

// target follows an alias.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

// pair is one key of a mapping and what it holds.
type pair struct {
	name       string
	key, value *yaml.Node
}

// pairs returns what the mapping n holds, in the order written: its own keys, then those merged into it by <<.
// Where two mappings have one key, its own wins over a merged one, and an earlier merged one over a later.
func (p *parser) pairs(n *yaml.Node, where string) []pair {
	var own, merged []pair
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := target(n.Content[i]), n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			p.fault(key, where, "a key must be text, not %s", kindOf(key))
			continue
		}
		if line, twice := lines[key.Value]; twice {
			p.fault(n.Content[i], where, "%s is given twice (first at line %d)", quote(key.Value), line)
			continue
		}
		lines[key.Value] = n.Content[i].Line
		if key.Tag == "!!merge" {
			merged = append(merged, p.merged(target(value), where)...)
			continue
		}
		own = append(own, pair{key.Value, key, value})
	}
	for _, m := range merged {
		if _, known := lines[m.name]; !known {
			lines[m.name] = m.key.Line
			own = append(own, m)
		}
	}
	return own
}

// merged returns the pairs of what << holds: a mapping, or a list of mappings.
func (p *parser) merged(n *yaml.Node, where string) []pair {
	parts := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		parts = n.Content
	}
	var all []pair
	for _, part := range parts {
		part = target(part)
		if part.Kind != yaml.MappingNode {
			p.fault(part, under(where, "<<"), "must be a mapping, or a list of them, not %s", kindOf(part))
			continue
		}
		all = append(all, p.pairs(part, where)...)
	}
	return all
}

// mapping is a mapping with known keys.
type mapping struct {
	where  string     // of the mapping itself
	node   *yaml.Node // for faults about the mapping as a whole
	values map[string]*yaml.Node
}

// mapping returns n as a mapping whose keys are among known. One that is null, or nil because it is not there, is empty.
func (p *parser) mapping(n *yaml.Node, where string, known []string) mapping {
	m := mapping{where: where, node: n, values: map[string]*yaml.Node{}}
	if n == nil || isNull(target(n)) {
		return m
	}
	t := target(n)
	if t.Kind != yaml.MappingNode || t.Tag != "!!map" {
		p.fault(n, where, "must be a mapping of keys such as %s, not %s", known[0], tagOrKind(t))
		return m
	}
	for _, kv := range p.pairs(t, where) {
		if !slices.Contains(known, kv.name) {
			p.fault(kv.key, where, "unknown key %s%s", quote(kv.name), didYouMean(near(kv.name, known)))
			continue
		}
		m.values[kv.name] = kv.value
	}
	return m
}

// has reports whether the key is written, even if what it holds is wrong.
func (m mapping) has(key string) bool { return m.values[key] != nil }

// list returns the elements of the list n. One that is null, or nil because it is not there, is empty.
func (p *parser) list(n *yaml.Node, where, example string) []*yaml.Node {
	if n == nil || isNull(target(n)) {
		return nil
	}
	t := target(n)
	if t.Kind != yaml.SequenceNode || t.Tag != "!!seq" {
		p.fault(n, where, "must be a list, not %s (write %s)", tagOrKind(t), example)
		return nil
	}
	return t.Content
}

// tagOrKind names what n is instead of what it should be.
func tagOrKind(n *yaml.Node) string {
	switch n.Tag {
	case "!!map", "!!seq", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!binary", "!!merge":
		return kindOf(n)
	}
	return quote(n.Tag)
}

// scalar is a single value after expansion.
type scalar struct {
	node *yaml.Node
	text string
}

// scalar returns n as a single value.
func (p *parser) scalar(n *yaml.Node, where string) (scalar, bool) {
	t := target(n)
	switch {
	case t.Kind != yaml.ScalarNode:
		p.fault(n, where, "must be a single value, not %s", kindOf(t))
		return scalar{}, false
	case tagOrKind(t) != kindOf(t):
		p.fault(n, where, "the tag %s has no meaning here", quote(t.Tag))
		return scalar{}, false
	}
	text, err := p.env.expand(t.Value)
	if err != nil {
		p.fault(n, where, "%v", err)
		return scalar{}, false
	}
	return scalar{t, text}, true
}

// value reads what key of m holds into dst by parse, and reports whether it did. dst keeps its value where the key is absent.
func value[T any](p *parser, m mapping, key string, parse func(string) (T, error), dst *T) bool {
	n := m.values[key]
	if n == nil {
		return false
	}
	return element(p, n, under(m.where, key), parse, dst)
}

// element is value for n itself. A message quotes what the file says: the expansion may be nobody's business.
func element[T any](p *parser, n *yaml.Node, where string, parse func(string) (T, error), dst *T) bool {
	s, ok := p.scalar(n, where)
	if !ok {
		return false
	}
	if isNull(s.node) {
		p.fault(n, where, "has no value")
		return false
	}
	if s.node.Tag == "!!binary" {
		p.fault(n, where, "must be text, not !!binary")
		return false
	}
	v, err := parse(s.text)
	if err != nil {
		p.fault(n, where, "%s %v", quote(s.node.Value), err)
		return false
	}
	*dst = v
	return true
}

// text is value for names: a word that YAML takes for a boolean is more likely a slip than a name.
func (p *parser) text(m mapping, key string, dst *string) bool {
	n := m.values[key]
	return n != nil && p.textElement(n, under(m.where, key), dst)
}

func (p *parser) textElement(n *yaml.Node, where string, dst *string) bool {
	if t := target(n); t.Kind == yaml.ScalarNode && t.Tag == "!!bool" {
		p.fault(n, where, "%s is a boolean, not a name (quote it if it is one)", strings.ToLower(t.Value))
		return false
	}
	return element(p, n, where, parseText, dst)
}

// texts returns what the list at key of m holds, each with its node. An empty list is a fault.
func (p *parser) texts(m mapping, key string) (texts []string, nodes []*yaml.Node) {
	n := m.values[key]
	if n == nil {
		return nil, nil
	}
	where := under(m.where, key)
	before := len(p.faults)
	for _, item := range p.list(n, where, key+": [one, two]") {
		var text string
		if p.textElement(item, where, &text) {
			texts, nodes = append(texts, text), append(nodes, item)
		}
	}
	if len(texts) == 0 && len(p.faults) == before {
		p.fault(n, where, "an empty list (write %s: [one, two])", key)
	}
	return texts, nodes
}
