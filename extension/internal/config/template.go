package config

import (
	"errors"
	"slices"
	"strings"
)

// form is a text of the file in which a caller's name may have its say: {id} is a placeholder. With a placeholder in it,
// it is a template, in which {{ and }} stand for the braces themselves. Without one it is the text itself, braces and all.
type form struct {
	text string
	open bool // there is a placeholder
}

// template returns f as a template, placeholders or not.
func (f form) template() string {
	if f.open {
		return f.text
	}
	return escape(f.text)
}

// plus returns f with g behind it.
func (f form) plus(g form) form {
	if f.open || g.open {
		return form{f.template() + g.template(), true}
	}
	return form{text: f.text + g.text}
}

// escape returns the template that stands for text.
func escape(text string) string { return strings.NewReplacer("{", "{{", "}", "}}").Replace(text) }

// piece is a part of a template: literal text, or a placeholder.
type piece struct {
	literal string // without escapes; of a placeholder, as it is written
	name    string // of a placeholder; else empty
}

// pieces takes a template apart. stray is a brace that is neither doubled nor part of a placeholder, and what follows it.
func pieces(template string) (all []piece, stray string) {
	literal := func(text string) {
		if n := len(all); n > 0 && all[n-1].name == "" {
			all[n-1].literal += text
		} else if text != "" {
			all = append(all, piece{literal: text})
		}
	}
	for {
		i := strings.IndexAny(template, "{}")
		if i < 0 {
			literal(template)
			return all, stray
		}
		literal(template[:i])
		template = template[i:]
		if len(template) > 1 && template[1] == template[0] {
			literal(template[:1])
			template = template[2:]
			continue
		}
		if end := strings.IndexByte(template, '}'); end > 0 && isVariable(template[1:end]) {
			all = append(all, piece{template[:end+1], template[1:end]})
			template = template[end+1:]
			continue
		}
		if stray == "" {
			stray = template
		}
		literal(template[:1])
		template = template[1:]
	}
}

// FillAll returns what template stands for with value in the place of every placeholder.
func FillAll(template, value string) string {
	c := make(Captures)
	for _, name := range placeholders(template) {
		c[name] = value
	}
	return c.Fill(template)
}

// placeholders returns the names of the placeholders of a template, in order, each as often as it stands there.
func placeholders(template string) []string {
	var names []string
	all, _ := pieces(template)
	for _, p := range all {
		if p.name != "" {
			names = append(names, p.name)
		}
	}
	return names
}

// form expands text, whose placeholders are those that the file has: what a variable brings in is never one.
func (env environment) form(text string) (form, error) {
	if !strings.ContainsRune(text, '{') {
		return form{text: text}, nil
	}
	// NUL stands in no file and in no placeholder.
	own, err := env.expandAs(text, func(string) string { return "\x00" })
	if err != nil {
		return form{}, err
	}
	all, stray := pieces(own)
	if !slices.ContainsFunc(all, func(p piece) bool { return p.name != "" }) {
		text, err = env.expand(text)
		return form{text: text}, err
	}
	switch {
	case strings.HasPrefix(stray, "{"):
		return form{}, errors.New("a { begins no placeholder (write one as {id}, and the character { itself as {{)")
	case stray != "":
		return form{}, errors.New("a } ends no placeholder (write the character } itself as }})")
	}
	text, err = env.expandAs(text, escape)
	return form{text, true}, err
}
