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
	e := p.entry(m, "")
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
			p.fault(m.value("table"), under(m.where, "table"), "%s %v", quote(target(m.value("table")).Value), err)
		}
	}
	key := p.key(m, &it)
	e.Region = p.region(m, m.value("table"), e.Region, from.region)
	if len(p.faults) > before {
		return
	}
	name := named{form: form{text: it.Table}, written: target(m.value("table")).Value, value: m.node, entry: m.node}
	var values []form
	for _, part := range key {
		values = append(values, form{part.Value, part.open})
		name.form = name.plus(form{text: "-"}).plus(form{part.text(), part.open})
		name.written += "-" + target(part.node).Value
	}
	var ok bool
	if it.Entry, ok = p.serve(m, e, name, values...); !ok {
		return
	}
	p.claim(p.items, m, name, it.Entry)
	if it.Pattern != nil {
		for i, part := range key {
			part.Value = values[i].template()
		}
	}
	p.cfg.Items = append(p.cfg.Items, it)
}

// keyText is a part of the key, and what the file has for its value.
type keyText struct {
	*KeyPart
	node *yaml.Node
	open bool // there is a placeholder in it
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

// key reads the primary key in either of its two forms, and returns its parts.
func (p *parser) key(m mapping, it *Item) (parts []keyText) {
	var long []string
	for _, k := range []string{"hashkey", "hashkeytype", "hashkeyvalue", "sortkey", "sortkeytype", "sortkeyvalue"} {
		if m.has(k) {
			long = append(long, k)
		}
	}
	switch {
	case m.has("key") && len(long) > 0:
		p.fault(m.value(long[0]), m.where, "%s and key exclude each other (two forms of one thing)", long[0])
	case m.has("key"):
		return p.shortKey(m.value("key"), under(m.where, "key"), it)
	case len(long) == 0:
		p.fault(m.node, m.where, "the entry names no item (give it key, or hashkey and hashkeyvalue)")
	default:
		parts = append(parts, p.longKey(m, hashPart, &it.Hash))
		if m.has("sortkey") || m.has("sortkeytype") || m.has("sortkeyvalue") {
			parts = append(parts, p.longKey(m, sortPart, &it.Sort))
		}
		if it.Hash.Name != "" && it.Hash.Name == it.Sort.Name {
			p.fault(m.value("sortkey"), m.where, "sortkey and hashkey name the same attribute")
		}
	}
	return parts
}

// longKey reads one part of the key out of three keys of the entry, such as hashkey, hashkeytype and hashkeyvalue.
func (p *parser) longKey(m mapping, role string, k *KeyPart) keyText {
	k.Type = "S"
	part := keyText{KeyPart: k, node: m.value(role + "keyvalue")}
	prefix := role + "key"
	for _, key := range []string{prefix, prefix + "value"} {
		if !m.has(key) {
			p.fault(m.node, m.where, "the entry has no %s", key)
		}
	}
	p.text(m, prefix, &k.Name)
	typed := !m.has(prefix+"type") || value(p, m, prefix+"type", parseKeyType, &k.Type)
	if part.node == nil || !typed {
		return part
	}
	// Whatever YAML takes the value for, its text is meant.
	where := under(m.where, prefix+"value")
	s, ok := p.scalar(part.node, where)
	if !ok {
		return part
	}
	var err error
	if s.node.Tag == "!!binary" && k.Type != "B" {
		err = errors.New("is !!binary, which only a key of type B can be")
	} else {
		err = part.set(s.form, role)
	}
	if err != nil {
		p.refuse(part.node, where, err)
	}
	return part
}

// set makes f the value.
func (k *keyText) set(f form, role string) (err error) {
	k.open = f.open
	switch {
	case !f.open:
		k.Value, err = keyValue(k.Type, f.text, role)
		return err
	case k.Type == "B":
		return errors.New("has a placeholder, and a key of type B can have none")
	case k.Type == "N" && !isShortest(FillAll(f.text, "1")):
		return errors.New("is no number, whatever stands in the place of a placeholder")
	}
	k.Value = f.text
	return nil
}

// shortKey is key for a mapping {attribute: value} of one or two parts, hash first.
func (p *parser) shortKey(n *yaml.Node, where string, it *Item) (parts []keyText) {
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
	for i, kv := range pairs {
		switch {
		case kv.name == "":
			p.fault(kv.key, where, "an attribute without a name")
		// Nor is a variable expanded here.
		case len(placeholders(strings.ReplaceAll(kv.name, "${", ""))) > 0:
			p.fault(kv.key, where, "%s has a placeholder, which only %s", quote(kv.name), onlyThere)
		}
		parts = append(parts, p.shortPart(kv, where, []string{hashPart, sortPart}[i], []*KeyPart{&it.Hash, &it.Sort}[i]))
	}
	return parts
}

// shortPart reads one part of a key whose type follows from how the value is written.
func (p *parser) shortPart(kv pair, where, role string, k *KeyPart) keyText {
	k.Name, k.Type = kv.name, "S"
	part := keyText{KeyPart: k, node: kv.value}
	where = under(where, kv.name)
	s, ok := p.scalar(kv.value, where)
	if !ok {
		return part
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
		err = part.set(s.form, role)
	}
	if err != nil {
		p.refuse(kv.value, where, err)
	}
	return part
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
