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
		expect        func(n int) // makes room for so many entries
		read          func(mapping)
	}{
		{parametersSection, `- name: /app/db-url`, parameterKeys, func(n int) {
			p.cfg.Parameters, p.parameters = make([]Parameter, 0, n), make(map[string]named, n)
		}, p.parameter},
		{secretsSection, `- name: db-password`, secretKeys, func(n int) {
			p.cfg.Secrets, p.secrets = make([]Secret, 0, n), make(map[string]named, n)
		}, p.secret},
		{dynamodbSection, `- table: Users`, itemKeys, func(n int) {
			p.cfg.Items, p.items = make([]Item, 0, n), make(map[string]named, n)
		}, p.item},
	} {
		list := p.list(m.value(section.name), section.name, section.example)
		if len(list) == 0 {
			continue
		}
		section.expect(len(list))
		known := slices.Concat(section.keys, entryKeys)
		for _, n := range list {
			if isNull(target(n)) {
				p.fault(n, section.name, "an entry without content (write %s)", section.example)
				continue
			}
			before := len(p.faults)
			entry := p.mapping(n, section.name, known)
			// A list element that is no mapping has been reported, and names nothing because of that.
			if len(p.faults) > before && len(entry.pairs) == 0 {
				continue
			}
			before, open := len(p.faults), len(p.open)
			section.read(entry)
			if entry.has("allow") && len(p.open) == open && len(p.faults) == before {
				p.fault(entry.value("allow"), section.name, "allow says what a placeholder may stand for, and the entry has none (write one in the name, such as {id})")
			}
		}
	}
	p.disjoint()
}

// common is what entries of every kind have, as read. Line, Name, Region and Pattern are yet to come, for each name of a
// group.
type common struct {
	Entry
	as  form
	may allowed
}

// entry reads the keys that entries of every kind have. never are the characters that no captured part may have.
func (p *parser) entry(m mapping, never string) common {
	e := common{Entry: Entry{Line: m.node.Line, TTL: p.cfg.TTL, StaleIfError: p.cfg.StaleIfError}, may: allowed{never: never}}
	value(p, m, "region", parseRegion, &e.Region)
	p.form(m, "as", &e.as)
	verbatim(p, m, "allow", parseAllow, &e.may.form)
	value(p, m, "ttl", parseDuration, &e.TTL)
	value(p, m, "stale_if_error", parseDuration, &e.StaleIfError)
	value(p, m, "required", parseBool, &e.Required)
	return e
}

// region returns the region of a resource: the entry's, else the ARN's, else the environment's.
func (p *parser) region(m mapping, n *yaml.Node, own, fromARN string) string {
	switch {
	case own != "" && fromARN != "" && own != fromARN:
		p.fault(n, m.where, "the ARN is of another region than the entry's %s (leave region out)", quote(target(m.value("region")).Value))
	case own != "":
		return own
	case fromARN != "":
		return fromARN
	case p.noRegion && !m.has("region"):
		p.lack(m.node, m.where, "no region (give the entry a region, or set %s)", envRegion)
	}
	return p.cfg.AWS.Region
}

// claim notes that n, which m holds, is served as e. Two resources under one name would be answered wrongly half of the
// time; whether two open entries have one in common is told when all are known.
func (p *parser) claim(served map[string]named, m mapping, n named, e Entry) {
	if e.Pattern != nil {
		return
	}
	first, taken := served[e.Name]
	if !taken {
		served[e.Name] = n
		return
	}
	written := n.written
	if as := m.value("as"); as != nil {
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
	form
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
		p.fault(m.value(given[1]), m.where, "%s and %s exclude each other (make two entries of them)", given[0], given[1])
		return nil
	}
	if given[0] != "names" {
		n := named{value: m.value(given[0]), entry: m.node}
		if !p.form(m, given[0], &n.form) {
			return nil
		}
		n.written = target(n.value).Value
		return []named{n}
	}
	forms, nodes := p.forms(m, "names")
	if m.has("as") && len(target(m.value("names")).Content) > 1 {
		p.fault(m.value("as"), m.where, "as cannot rename a list of names (make an entry of the one it is meant for)")
		return nil
	}
	all := make([]named, len(forms))
	for i := range forms {
		all[i] = named{form: forms[i], written: target(nodes[i]).Value, value: nodes[i], entry: nodes[i]}
		if len(forms) > 1 {
			all[i].list = m.node
		}
	}
	return all
}

// each returns the entry as it is for one of its names, of which parts say what is read. It is ok unless there is a fault
// about placeholders.
func (p *parser) each(m mapping, e common, name named, arnRegion string, parts ...form) (one Entry, ok bool) {
	e.Line = name.entry.Line
	e.Region = p.region(m, name.value, e.Region, arnRegion)
	return p.serve(m, e, name, parts...)
}

// misnamed notes what is wrong with a name.
func (p *parser) misnamed(m mapping, name named, err error) {
	p.fault(name.value, m.where, "%s %v", quote(name.written), err)
}
