package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
)

// item reads one entry of the section dynamodb.
func (p *parser) item(m mapping) {
	before := len(p.faults)
	e := p.entry(m)
	it := Item{}
	value(p, m, "consistent", parseBool, &it.Consistent)
	p.fields(m, &it)
	var from arn
	switch {
	case !m.has("table"):
		p.fault(m.node, m.where, "the entry names no table (give it table)")
	case p.text(m, "table", &it.Table) && isARN(it.Table):
		var err error
		if from, err = parseARN(it.Table, "dynamodb", "table/"); err == nil && strings.Count(from.resource, "/") > 1 {
			err = errors.New("is the ARN of a part of a table (end it after the table's name)")
		}
		if err != nil {
			p.fault(m.values["table"], under(m.where, "table"), "%s %v", quote(target(m.values["table"]).Value), err)
		}
	}
	key := p.key(m, &it)
	e.Region = p.region(m, m.values["table"], e.Region, from.region)
	if len(p.faults) > before {
		return
	}
	if e.Name == "" {
		e.Name = it.Table + "-" + it.Hash.text()
		if it.Sort.Name != "" {
			e.Name += "-" + it.Sort.text()
		}
	}
	written := target(m.values["table"]).Value
	for _, n := range key {
		written += "-" + target(n).Value
	}
	p.claim(p.items, m, named{written: written, entry: m.node}, e.Name)
	it.Entry = e
	p.cfg.Items = append(p.cfg.Items, it)
}

// text is how the value of a key stands in the name an item is served under.
func (k KeyPart) text() string {
	if k.Type == "B" {
		return base64.StdEncoding.EncodeToString([]byte(k.Value))
	}
	return k.Value
}

// fields reads the attributes to fetch.
func (p *parser) fields(m mapping, it *Item) {
	texts, nodes := p.texts(m, "fields")
	for i, text := range texts {
		if slices.Contains(texts[:i], text) {
			p.fault(nodes[i], under(m.where, "fields"), "%s is given twice", quote(target(nodes[i]).Value))
		}
	}
	it.Fields = texts
}

// key reads the primary key in either of its two forms. It returns the values of its parts as they stand in the file.
func (p *parser) key(m mapping, it *Item) (values []*yaml.Node) {
	var long []string
	for _, k := range []string{"hashkey", "hashkeytype", "hashkeyvalue", "sortkey", "sortkeytype", "sortkeyvalue"} {
		if m.has(k) {
			long = append(long, k)
		}
	}
	switch {
	case m.has("key") && len(long) > 0:
		p.fault(m.values[long[0]], m.where, "%s and key exclude each other (two forms of one thing)", long[0])
	case m.has("key"):
		return p.shortKey(m.values["key"], under(m.where, "key"), it)
	case len(long) == 0:
		p.fault(m.node, m.where, "the entry names no item (give it key, or hashkey and hashkeyvalue)")
	default:
		it.Hash = p.longKey(m, hashPart)
		values = append(values, m.values["hashkeyvalue"])
		if m.has("sortkey") || m.has("sortkeytype") || m.has("sortkeyvalue") {
			it.Sort = p.longKey(m, sortPart)
			values = append(values, m.values["sortkeyvalue"])
		}
		if it.Hash.Name != "" && it.Hash.Name == it.Sort.Name {
			p.fault(m.values["sortkey"], m.where, "sortkey and hashkey name the same attribute")
		}
	}
	return values
}

// longKey reads one part of the key out of three keys of the entry, such as hashkey, hashkeytype and hashkeyvalue.
func (p *parser) longKey(m mapping, role string) KeyPart {
	k := KeyPart{Type: "S"}
	prefix := role + "key"
	for _, key := range []string{prefix, prefix + "value"} {
		if !m.has(key) {
			p.fault(m.node, m.where, "the entry has no %s", key)
		}
	}
	p.text(m, prefix, &k.Name)
	typed := !m.has(prefix+"type") || value(p, m, prefix+"type", parseKeyType, &k.Type)
	n := m.values[prefix+"value"]
	if n == nil || !typed {
		return k
	}
	// Whatever YAML takes the value for, its text is meant.
	where := under(m.where, prefix+"value")
	s, ok := p.scalar(n, where)
	if !ok {
		return k
	}
	var err error
	if s.node.Tag == "!!binary" && k.Type != "B" {
		err = errors.New("is !!binary, which only a key of type B can be")
	} else {
		k.Value, err = keyValue(k.Type, s.text, role)
	}
	if err != nil {
		p.fault(n, where, "%s %v", quote(s.node.Value), err)
	}
	return k
}

// shortKey is key for a mapping {attribute: value} of one or two parts, hash first.
func (p *parser) shortKey(n *yaml.Node, where string, it *Item) (values []*yaml.Node) {
	t := target(n)
	if t.Kind != yaml.MappingNode || t.Tag != "!!map" {
		p.fault(n, where, "must be a mapping such as {id: 42}, not %s", tagOrKind(t))
		return nil
	}
	pairs := p.pairs(t, where)
	if len(pairs) < 1 || len(pairs) > 2 {
		p.fault(n, where, "%d parts (a key has one or two: hash, then sort)", len(pairs))
		return nil
	}
	parts := make([]KeyPart, 2)
	for i, kv := range pairs {
		if kv.name == "" {
			p.fault(kv.key, where, "an attribute without a name")
		}
		parts[i] = p.shortPart(kv, where, []string{hashPart, sortPart}[i])
		values = append(values, kv.value)
	}
	it.Hash, it.Sort = parts[0], parts[1]
	return values
}

// shortPart reads one part of a key whose type follows from how the value is written.
func (p *parser) shortPart(kv pair, where, role string) KeyPart {
	k := KeyPart{Name: kv.name, Type: "S"}
	where = under(where, kv.name)
	s, ok := p.scalar(kv.value, where)
	if !ok {
		return k
	}
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	raw, tag := s.node.Value, s.node.Tag
	plain := s.node.Style&quoted == 0
	var err error
	switch {
	case tag == "!!binary":
		k.Type = "B"
	case tag == "!!str" && s.node.Style&yaml.TaggedStyle != 0, tag == "!!str" && !plain:
	case isPlainNumber(raw):
		k.Type = "N"
	case tag == "!!bool":
		err = errors.New("is a boolean, not text (quote it)")
	case tag == "!!null":
		err = errors.New("is null, not text (quote it)")
	default:
		err = doubt(tag, raw)
	}
	if err == nil {
		k.Value, err = keyValue(k.Type, s.text, role)
	}
	if err != nil {
		p.fault(kv.value, where, "%s %v", quote(raw), err)
	}
	return k
}

// doubt returns what else than text a reader of YAML may take raw for, which is neither quoted nor a plain number, a
// boolean or null; nil for what is text to all of them.
func doubt(tag, raw string) error {
	switch {
	case tag == "!!timestamp":
		return errors.New("is a date, not text (quote it)")
	case isYesOrNo(raw):
		return errors.New("is a boolean to some readers of YAML and text to others (quote it)")
	case tag != "!!str" || isNumber(raw) || strings.Contains(raw, ":") && sexagesimal().MatchString(raw):
		return errors.New("is a number in a spelling that is read in more than one way (quote it, or write plain digits)")
	}
	return nil
}

// sexagesimal matches what YAML 1.1 takes for a number to the base of sixty, such as a time of day.
var sexagesimal = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$`)
})

// isYesOrNo reports whether text is a boolean of YAML 1.1 that YAML 1.2 takes for text. The letters y and n, which are as
// well by the book, are read as text nearly everywhere.
func isYesOrNo(text string) bool {
	switch strings.ToLower(text) {
	case "yes", "no", "on", "off":
		return true
	}
	return false
}

// What a part of a key is in it.
const (
	hashPart = "hash"
	sortPart = "sort"
)

// DynamoDB's limits of the value of a key, in bytes.
const (
	maxHash = 2048
	maxSort = 1024
)

// keyValue returns text as the value of a key of that type and role.
func keyValue(typ, text, role string) (string, error) {
	switch typ {
	case "N":
		if err := checkNumber(text); err != nil {
			return "", err
		}
	case "B":
		// YAML breaks long binary values into lines.
		raw, err := base64.StdEncoding.Strict().DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return "", errors.New("is not base64")
		}
		text = string(raw)
	}
	if text == "" {
		return "", errors.New("is empty, which DynamoDB allows no key to be")
	}
	most := maxHash
	if role == sortPart {
		most = maxSort
	}
	// A number has its own limits, in digits.
	if typ != "N" && len(text) > most {
		return "", fmt.Errorf("is longer than %d bytes, the most that a %s key can be", most, role)
	}
	return text, nil
}
