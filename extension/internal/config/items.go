package config

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

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
	p.key(m, &it)
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
	p.claim(p.items, e.Name, m.node, m.where)
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

// key reads the primary key in either of its two forms.
func (p *parser) key(m mapping, it *Item) {
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
		p.shortKey(m.values["key"], under(m.where, "key"), it)
	case len(long) == 0:
		p.fault(m.node, m.where, "the entry names no item (give it key, or hashkey and hashkeyvalue)")
	default:
		it.Hash = p.longKey(m, "hashkey")
		if m.has("sortkey") || m.has("sortkeytype") || m.has("sortkeyvalue") {
			it.Sort = p.longKey(m, "sortkey")
		}
		if it.Hash.Name != "" && it.Hash.Name == it.Sort.Name {
			p.fault(m.values["sortkey"], m.where, "sortkey and hashkey name the same attribute")
		}
	}
}

// longKey reads one part of the key out of three keys of the entry: prefix, prefix+"type" and prefix+"value".
func (p *parser) longKey(m mapping, prefix string) KeyPart {
	k := KeyPart{Type: "S"}
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
		k.Value, err = keyValue(k.Type, s.text)
	}
	if err != nil {
		p.fault(n, where, "%s %v", quote(s.node.Value), err)
	}
	return k
}

// shortKey reads the key out of a mapping {attribute: value} of one or two parts, hash first.
func (p *parser) shortKey(n *yaml.Node, where string, it *Item) {
	t := target(n)
	if t.Kind != yaml.MappingNode || t.Tag != "!!map" {
		p.fault(n, where, "must be a mapping such as {id: 42}, not %s", tagOrKind(t))
		return
	}
	pairs := p.pairs(t, where)
	if len(pairs) < 1 || len(pairs) > 2 {
		p.fault(n, where, "%d parts (a key has one or two: hash, then sort)", len(pairs))
		return
	}
	parts := make([]KeyPart, 2)
	for i, kv := range pairs {
		if kv.name == "" {
			p.fault(kv.key, where, "an attribute without a name")
		}
		parts[i] = p.shortPart(kv, where)
	}
	it.Hash, it.Sort = parts[0], parts[1]
}

// shortPart reads one part of a key whose type follows from how the value is written.
func (p *parser) shortPart(kv pair, where string) KeyPart {
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
	case tag == "!!timestamp":
		err = errors.New("is a date, not text (quote it)")
	case tag != "!!str" || isNumber(raw):
		err = errors.New("is a number in a spelling that is read in more than one way (quote it, or write plain digits)")
	}
	if err == nil {
		k.Value, err = keyValue(k.Type, s.text)
	}
	if err != nil {
		p.fault(kv.value, where, "%s %v", quote(raw), err)
	}
	return k
}

// keyValue returns text as the value of a key of that type.
func keyValue(typ, text string) (string, error) {
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
	return text, nil
}
