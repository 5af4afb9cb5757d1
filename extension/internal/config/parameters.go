package config

import (
	"errors"
	"strings"
)

// SecretReference is before the name of a secret that is read through Parameter Store.
const SecretReference = "/aws/reference/secretsmanager/"

// parameter reads one entry of the section parameters.
func (p *parser) parameter(m mapping) {
	e := p.entry(m, ":")
	var version, label string
	value(p, m, "version", parseVersion, &version)
	value(p, m, "label", parseLabel, &label)
	if m.has("version") && m.has("label") {
		p.fault(m.value("label"), m.where, "version and label exclude each other")
	}
	names := p.names(m, "name", "names", "path")
	if m.has("path") {
		if m.has("version") {
			p.fault(m.value("version"), m.where, "a path has no version (choose by label)")
		}
		for _, name := range names {
			p.path(m, e, name, label)
		}
		return
	}
	for _, name := range names {
		id, selector, region, err := splitParameter(name.text)
		if err == nil && len(placeholders(selector)) > 0 {
			err = errors.New("has a placeholder in its version or label (write that out)")
		}
		if err == nil && selector != "" && (m.has("version") || m.has("label")) {
			err = errors.New("holds a version or label, and the entry gives one, too")
		}
		if err != nil {
			p.misnamed(m, name, err)
			continue
		}
		one, ok := p.each(m, e, name, region, name.form)
		if !ok {
			continue
		}
		p.claim(p.parameters, m, name, one)
		p.cfg.Parameters = append(p.cfg.Parameters, Parameter{Entry: one, ID: id, Selector: selector + version + label})
	}
}

// splitParameter takes apart NAME, NAME:SELECTOR or the same with an ARN, whose region it returns as well.
func splitParameter(text string) (id, selector, region string, err error) {
	name := text
	if isARN(text) {
		a, err := parseARN(text, "ssm", "parameter/")
		if err != nil {
			return "", "", "", err
		}
		name, region = a.resource, a.region
	}
	before, selector, selected := strings.Cut(name, ":")
	switch {
	case before == "" || before == "parameter/":
		return "", "", "", errors.New("has no name before the colon")
	case selected && selector == "":
		return "", "", "", errors.New("has no version or label after the colon")
	case strings.Contains(selector, ":"):
		return "", "", "", errors.New("has more than one colon (a name may end in :VERSION or :LABEL)")
	}
	return text[:len(text)-len(name)+len(before)], selector, region, nil
}

// tree is a path with what decides which value is found below it.
type tree struct {
	root, region, label string
	line                int
}

// path reads an entry that stands for all that is below a path.
func (p *parser) path(m mapping, e common, name named, label string) {
	err := checkPath(name.text)
	if name.open {
		err = errors.New("has a placeholder, and a path stands for many names as it is (write it in name)")
	}
	if err != nil {
		p.misnamed(m, name, err)
		return
	}
	one, ok := p.each(m, e, name, "")
	if !ok {
		return
	}
	p.claim(p.parameters, m, name, one)
	// A name below both of two entries for one path would be answered from either.
	t := tree{strings.TrimRight(name.text, "/"), one.Region, label, one.Line}
	for _, other := range p.trees {
		if other.root == t.root && (other.region != t.region || other.label != t.label) {
			p.fault(name.entry, m.where, "the path of line %d again, with another region or label (the names below it would mean either)", other.line)
			break
		}
	}
	p.trees = append(p.trees, t)
	p.cfg.Parameters = append(p.cfg.Parameters, Parameter{Entry: one, Path: name.text, Label: label})
}
