package config

import (
	"slices"

	"gopkg.in/yaml.v3"
)

// openName is the name of an open entry, with what messages say about it.
type openName struct {
	named
	where   string // section
	pattern *Pattern
}

// serve returns the entry with the name that it is served under: as, or else name. parts say what is read. It is ok unless
// there is a fault about placeholders.
func (p *parser) serve(m mapping, e common, name named, parts ...form) (one Entry, ok bool) {
	served := name.form
	if e.as.text != "" {
		served = e.as
	}
	e.Name = served.text
	var needed []string
	for _, part := range parts {
		if part.open {
			needed = append(needed, placeholders(part.text)...)
		}
	}
	if !served.open && len(needed) == 0 {
		return e.Entry, true
	}
	at := name.value
	if m.has("as") {
		at = m.value("as")
		name.written = target(at).Value
	}
	before := len(p.faults)
	p.compare(m, at, served, needed)
	if e.Required {
		p.fault(m.value("required"), m.where, "required is for one value, and names with placeholders are any number of them (leave it out)")
	}
	pattern, err := newPattern(served.template(), e.may)
	if err != nil {
		p.fault(at, m.where, "%v", err)
	}
	if len(p.faults) > before {
		return e.Entry, false
	}
	e.Pattern = pattern
	p.open = append(p.open, openName{name, m.where, pattern})
	return e.Entry, true
}

// compare notes the placeholders that only one of the served name and what is read has: needed.
func (p *parser) compare(m mapping, at *yaml.Node, served form, needed []string) {
	var given []string
	if served.open {
		given = placeholders(served.text)
	}
	for i, name := range needed {
		if !slices.Contains(given, name) && !slices.Contains(needed[:i], name) {
			p.fault(at, m.where, "the name lacks {%s}, without which it does not say what is read (write it there, too)", name)
		}
	}
	for _, name := range given {
		if !slices.Contains(needed, name) {
			p.fault(at, m.where, "the name has {%s}, and what is read does not depend on it%s", name, didYouMean(near(name, needed)))
		}
	}
}

// disjoint notes the names that could be read in two ways: by two patterns, or by one and as a name below a path.
func (p *parser) disjoint() {
	for i, o := range p.open {
		for _, first := range p.open[:i] {
			if o.where == first.where && o.pattern.overlaps(first.pattern) {
				p.fault(o.entry, o.where, "one name could be of %s and of %s at line %d (tell them apart by text of their own between the same slashes, by as)",
					quote(o.written), quote(first.written), first.entry.Line)
				break
			}
		}
		for _, t := range p.trees {
			if o.where == parametersSection && o.pattern.isBelow(t.root) {
				p.fault(o.entry, o.where, "a name of %s could be one below the path of line %d (begin it with text of its own, by as)", quote(o.written), t.line)
				break
			}
		}
	}
}
