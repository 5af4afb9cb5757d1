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

// claim notes that what stands at n is served under name. Two resources under one name would be answered wrongly half
// of the time.
func (p *parser) claim(served map[string]int, name string, n *yaml.Node, where string) {
	if line, taken := served[name]; taken {
		p.fault(n, where, "served under the same name as line %d (give one of them another name by as)", line)
		return
	}
	served[name] = n.Line
}

// named is one name of an entry.
type named struct {
	text  string
	value *yaml.Node // the name as it stands in the file
	entry *yaml.Node // what messages call the entry: the mapping, or the name where it is one of a list
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
		return []named{n}
	}
	texts, nodes := p.texts(m, "names")
	if m.has("as") && len(target(m.values["names"]).Content) > 1 {
		p.fault(m.values["as"], m.where, "as cannot rename a list of names (make an entry of the one it is meant for)")
		return nil
	}
	all := make([]named, len(texts))
	for i := range texts {
		all[i] = named{texts[i], nodes[i], nodes[i]}
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
	p.fault(name.value, m.where, "%s %v", quote(target(name.value).Value), err)
}
