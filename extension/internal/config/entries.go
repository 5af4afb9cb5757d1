package config

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// entries reads the three sections.
func (p *parser) entries(m mapping) {
	for _, section := range []struct {
		name, example string
		keys          []string
		read          func(mapping)
	}{
		{"parameters", `- name: /app/db-url`, parameterKeys, p.parameter},
		{"secrets", `- name: db-password`, secretKeys, p.secret},
		{"dynamodb", `- table: Users`, itemKeys, p.item},
	} {
		known := slices.Concat(section.keys, entryKeys)
		for _, n := range p.list(m.values[section.name], section.name, section.example) {
			if isNull(target(n)) {
				p.fault(n, section.name, "an entry without content (write %s)", section.example)
				continue
			}
			before := len(p.faults)
			entry := p.mapping(n, section.name, known)
			// A list element that is no mapping has been reported, and names nothing because of that.
			if len(p.faults) > before && len(entry.values) == 0 {
				continue
			}
			section.read(entry)
		}
	}
}

// entry reads the keys that entries of every kind have. Line, Name and Region may yet change for each name of a group.
func (p *parser) entry(m mapping) Entry {
	e := Entry{Line: m.node.Line, TTL: p.cfg.TTL, StaleIfError: p.cfg.StaleIfError}
	value(p, m, "region", parseRegion, &e.Region)
	p.text(m, "as", &e.Name)
	value(p, m, "ttl", parseDuration, &e.TTL)
	value(p, m, "stale_if_error", parseDuration, &e.StaleIfError)
	value(p, m, "required", parseBool, &e.Required)
	return e
}

// region returns the region of a resource: the entry's, else the ARN's, else the environment's.
func (p *parser) region(m mapping, n *yaml.Node, own, fromARN string) string {
	switch {
	case own != "" && fromARN != "" && own != fromARN:
		p.fault(n, m.where, "the ARN is of another region than the entry's %s (leave region out)", quote(target(m.values["region"]).Value))
	case own != "":
		return own
	case fromARN != "":
		return fromARN
	case p.noRegion && !m.has("region"):
		p.lack(m.node, m.where, "no region (give the entry a region, or set %s)", envRegion)
	}
	return p.cfg.AWS.Region
}

// claim notes that n, which m holds, is served as name. Two resources under one name would be answered wrongly half of
// the time.
func (p *parser) claim(served map[string]named, m mapping, n named, name string) {
	first, taken := served[name]
	if !taken {
		served[name] = n
		return
	}
	written := n.written
	if as := m.values["as"]; as != nil {
		written = target(as).Value
	}
	line, cure := first.entry.Line, "give one of them another name by as"
	if first.list != nil && n.list != nil {
		cure = "leave one of them out, or make an entry of it and give that another name by as"
	}
	switch {
	case n.list != nil && n.list == first.list:
		p.fault(n.entry, m.where, "%s repeats a name of this list, at line %d (leave one of them out)", quote(written), line)
	case n.entry.Line == line:
		p.fault(n.entry, m.where, "%s is served under the same name as another on this line (%s)", quote(written), cure)
	default:
		p.fault(n.entry, m.where, "served under the same name as line %d (%s)", line, cure)
	}
}

// named is one name of an entry.
type named struct {
	text    string
	written string     // the name in the file's words, which messages may repeat
	value   *yaml.Node // where it stands
	entry   *yaml.Node // what messages call the entry: the mapping, or the name where it is one of a list
	list    *yaml.Node // the mapping whose list has more names than this one; nil for the only name of an entry
}

// names returns the names of an entry that gives exactly one of the keys, of which "names" holds a list. It returns
// none, and notes a fault, where the entry does not.
func (p *parser) names(m mapping, keys ...string) []named {
	var given []string
	for _, key := range keys {
		if m.has(key) {
			given = append(given, key)
		}
	}
	switch len(given) {
	case 0:
		p.fault(m.node, m.where, "the entry names nothing (give it one of %s)", strings.Join(keys, ", "))
		return nil
	case 1:
	default:
		p.fault(m.values[given[1]], m.where, "%s and %s exclude each other (make two entries of them)", given[0], given[1])
		return nil
	}
	if given[0] != "names" {
		n := named{value: m.values[given[0]], entry: m.node}
		if !p.text(m, given[0], &n.text) {
			return nil
		}
		n.written = target(n.value).Value
		return []named{n}
	}
	texts, nodes := p.texts(m, "names")
	if m.has("as") && len(target(m.values["names"]).Content) > 1 {
		p.fault(m.values["as"], m.where, "as cannot rename a list of names (make an entry of the one it is meant for)")
		return nil
	}
	all := make([]named, len(texts))
	for i := range texts {
		all[i] = named{text: texts[i], written: target(nodes[i]).Value, value: nodes[i], entry: nodes[i]}
		if len(texts) > 1 {
			all[i].list = m.node
		}
	}
	return all
}

// each returns the entry as it is for one of its names.
func (p *parser) each(m mapping, e Entry, name named, arnRegion string) Entry {
	e.Line = name.entry.Line
	if e.Name == "" {
		e.Name = name.text
	}
	e.Region = p.region(m, name.value, e.Region, arnRegion)
	return e
}

// misnamed notes what is wrong with a name.
func (p *parser) misnamed(m mapping, name named, err error) {
	p.fault(name.value, m.where, "%s %v", quote(name.written), err)
}
