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
	own := make([]pair, 0, len(n.Content)/2)
	var merged []pair
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
	where string     // of the mapping itself
	node  *yaml.Node // for faults about the mapping as a whole
	pairs []pair     // a handful, so that looking for one is cheaper than a map is
}

// mapping returns n as a mapping whose keys are among known. One that is null, or nil because it is not there, is empty.
func (p *parser) mapping(n *yaml.Node, where string, known []string) mapping {
	m := mapping{where: where, node: n}
	if n == nil || isNull(target(n)) {
		return m
	}
	t := target(n)
	if t.Kind != yaml.MappingNode || t.Tag != "!!map" {
		p.fault(n, where, "must be a mapping of keys such as %s, not %s", known[0], tagOrKind(t))
		return m
	}
	all := p.pairs(t, where)
	m.pairs = all[:0]
	for _, kv := range all {
		if !slices.Contains(known, kv.name) {
			p.fault(kv.key, where, "unknown key %s%s", quote(kv.name), didYouMean(near(kv.name, known)))
			continue
		}
		m.pairs = append(m.pairs, kv)
	}
	return m
}

// value returns what the key holds, or nil where it is not written.
func (m mapping) value(key string) *yaml.Node {
	for i := range m.pairs {
		if m.pairs[i].name == key {
			return m.pairs[i].value
		}
	}
	return nil
}

// has reports whether the key is written, even if what it holds is wrong.
func (m mapping) has(key string) bool { return m.value(key) != nil }

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
	form
}

// scalar returns n as a single value.
func (p *parser) scalar(n *yaml.Node, where string) (scalar, bool) {
	t, ok := p.one(n, where)
	if !ok {
		return scalar{}, false
	}
	f, err := p.env.form(t.Value)
	if err != nil {
		p.fault(n, where, "%v", err)
		return scalar{}, false
	}
	return scalar{t, f}, true
}

// one returns what n stands for, which must be a single value.
func (p *parser) one(n *yaml.Node, where string) (*yaml.Node, bool) {
	t := target(n)
	switch {
	case t.Kind == yaml.MappingNode && len(t.Content) == 2 && isNull(t.Content[1]) && isVariable(t.Content[0].Value):
		p.fault(n, where, "must be a single value, not a mapping (for a placeholder, quote it: \"{%s}\")", t.Content[0].Value)
	case t.Kind != yaml.ScalarNode:
		p.fault(n, where, "must be a single value, not %s", kindOf(t))
	case tagOrKind(t) != kindOf(t):
		p.fault(n, where, "the tag %s has no meaning here", quote(t.Tag))
	default:
		return t, true
	}
	return nil, false
}

// written reports whether n is a single value that is text, of one sort or another.
func (p *parser) written(n *yaml.Node, where string) bool {
	t, ok := p.one(n, where)
	switch {
	case !ok:
		return false
	case isNull(t):
		p.fault(n, where, "has no value")
		return false
	case t.Tag == "!!binary":
		p.fault(n, where, "must be text, not !!binary")
		return false
	}
	return true
}

// value reads what key of m holds into dst by parse, and reports whether it did. dst keeps its value where the key is absent.
func value[T any](p *parser, m mapping, key string, parse func(string) (T, error), dst *T) bool {
	n := m.value(key)
	if n == nil {
		return false
	}
	return element(p, n, under(m.where, key), parse, dst)
}

// element is value for n itself.
func element[T any](p *parser, n *yaml.Node, where string, parse func(string) (T, error), dst *T) bool {
	text, ok := p.plainText(n, where)
	return ok && parsed(p, n, where, text, parse, dst)
}

// verbatim is value for a text in which braces are not of placeholders.
func verbatim[T any](p *parser, m mapping, key string, parse func(string) (T, error), dst *T) bool {
	n, where := m.value(key), under(m.where, key)
	if n == nil || !p.written(n, where) {
		return false
	}
	text, err := p.env.expand(target(n).Value)
	if err != nil {
		p.fault(n, where, "%v", err)
		return false
	}
	return parsed(p, n, where, text, parse, dst)
}

// parsed reads text, which n is when its variables are expanded, into dst by parse.
func parsed[T any](p *parser, n *yaml.Node, where, text string, parse func(string) (T, error), dst *T) bool {
	v, err := parse(text)
	if err != nil {
		p.refuse(n, where, err)
		return false
	}
	*dst = v
	return true
}

// refuse notes what is wrong with the text n. It quotes what the file says: the expansion may be nobody's business.
func (p *parser) refuse(n *yaml.Node, where string, err error) {
	p.fault(n, where, "%s %v", quote(target(n).Value), err)
}

// onlyThere says where placeholders are understood, in the middle of a sentence.
const onlyThere = "name, names, as and the value of a key may have"

// plainText returns n as a text without placeholders.
func (p *parser) plainText(n *yaml.Node, where string) (text string, ok bool) {
	if !p.written(n, where) {
		return "", false
	}
	s, ok := p.scalar(n, where)
	if !ok {
		return "", false
	}
	if s.open {
		p.fault(n, where, "%s has a placeholder, which only %s", quote(s.node.Value), onlyThere)
		return "", false
	}
	return s.text, true
}

// text is value for names: a word that YAML takes for a boolean is more likely a slip than a name.
func (p *parser) text(m mapping, key string, dst *string) bool {
	n := m.value(key)
	return n != nil && p.textElement(n, under(m.where, key), dst)
}

func (p *parser) textElement(n *yaml.Node, where string, dst *string) bool {
	return !p.isBool(n, where) && element(p, n, where, parseText, dst)
}

func (p *parser) isBool(n *yaml.Node, where string) bool {
	t := target(n)
	if t.Kind != yaml.ScalarNode || t.Tag != "!!bool" {
		return false
	}
	p.fault(n, where, "%s is a boolean, not a name (quote it if it is one)", strings.ToLower(t.Value))
	return true
}

// form is text for names that may have placeholders.
func (p *parser) form(m mapping, key string, dst *form) bool {
	n := m.value(key)
	return n != nil && p.formElement(n, under(m.where, key), dst)
}

func (p *parser) formElement(n *yaml.Node, where string, dst *form) bool {
	if p.isBool(n, where) || !p.written(n, where) {
		return false
	}
	s, ok := p.scalar(n, where)
	if !ok {
		return false
	}
	if _, err := parseText(s.text); err != nil {
		p.refuse(n, where, err)
		return false
	}
	*dst = s.form
	return true
}

// texts returns what the list at key of m holds, each with its node. An empty list is a fault.
func (p *parser) texts(m mapping, key string) (texts []string, nodes []*yaml.Node) {
	nodes = p.elements(m, key, func(n *yaml.Node, where string) bool {
		var text string
		ok := p.textElement(n, where, &text)
		if ok {
			texts = append(texts, text)
		}
		return ok
	})
	return texts, nodes
}

// forms is texts for names that may have placeholders.
func (p *parser) forms(m mapping, key string) (forms []form, nodes []*yaml.Node) {
	nodes = p.elements(m, key, func(n *yaml.Node, where string) bool {
		var f form
		ok := p.formElement(n, where, &f)
		if ok {
			forms = append(forms, f)
		}
		return ok
	})
	return forms, nodes
}

// elements returns those of the list at key of m that read takes.
func (p *parser) elements(m mapping, key string, read func(n *yaml.Node, where string) bool) (nodes []*yaml.Node) {
	n := m.value(key)
	if n == nil {
		return nil
	}
	where := under(m.where, key)
	before := len(p.faults)
	for _, item := range p.list(n, where, key+": [one, two]") {
		if read(item, where) {
			nodes = append(nodes, item)
		}
	}
	if len(nodes) == 0 && len(p.faults) == before {
		p.fault(n, where, "an empty list (write %s: [one, two])", key)
	}
	return nodes
}
