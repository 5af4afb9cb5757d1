package config

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// Pattern is the served name of an open entry: one with placeholders, such as permission/{id}, which stands for as many
// names as callers come up with. It is not changed once made, and may be used concurrently.
type Pattern struct {
	segments []segment // what stands between slashes
	may      allowed
}

// segment is a part of a pattern between two slashes: text, then each placeholder with the text behind it.
type segment struct {
	text         string
	placeholders []placeholder
}

type placeholder struct{ name, text string }

// Captures holds what a name has in the place of each placeholder, by the placeholder's name.
type Captures map[string]string

// Match reports whether name is one that the pattern stands for, and what it has for each placeholder. There is at most
// one way to read a name.
func (p *Pattern) Match(name string) (Captures, bool) {
	// The last segment has no slash behind it, and a text that is no UTF-8 would reach AWS as another one.
	if strings.Count(name, "/") != len(p.segments)-1 || !utf8.ValidString(name) {
		return nil, false
	}
	captures := make(Captures)
	for i := range p.segments {
		var text string
		text, name, _ = strings.Cut(name, "/")
		if !p.segments[i].match(text, &p.may, captures) {
			return nil, false
		}
	}
	return captures, true
}

// match reads text, which has no slash, into captures, which may be nil. The text behind each placeholder but the last one has a character
// that no captured part has: where it first stands is the only place where it can.
func (s *segment) match(text string, may *allowed, captures Captures) bool {
	text, ok := strings.CutPrefix(text, s.text)
	for i, p := range s.placeholders {
		if !ok {
			return false
		}
		var part string
		if i < len(s.placeholders)-1 {
			part, text, ok = strings.Cut(text, p.text)
		} else {
			part, ok = strings.CutSuffix(text, p.text)
			text = ""
		}
		ok = ok && may.match(part)
		if captures != nil {
			captures[p.name] = part
		}
	}
	return ok && text == ""
}

// Fill returns what template stands for, whose placeholders are among those of the pattern. What was captured is text
// there, braces and all.
func (c Captures) Fill(template string) string {
	var b strings.Builder
	all, _ := pieces(template)
	for _, p := range all {
		if p.name == "" {
			b.WriteString(p.literal)
		} else {
			b.WriteString(c[p.name])
		}
	}
	return b.String()
}

// Fill returns the parameter that an open entry stands for.
func (p Parameter) Fill(c Captures) Parameter {
	p.Entry = p.Entry.fill(c)
	p.ID = c.Fill(p.ID)
	return p
}

// Fill returns the secret that an open entry stands for.
func (s Secret) Fill(c Captures) Secret {
	s.Entry = s.Entry.fill(c)
	s.ID = c.Fill(s.ID)
	return s
}

// Fill returns the item that an open entry stands for. ok is false where its key would be none: too long, or a number in
// another spelling than its shortest one. Otherwise, one item would be served under any number of names.
func (it Item) Fill(c Captures) (filled Item, ok bool) {
	it.Entry = it.Entry.fill(c)
	for _, part := range []struct {
		*KeyPart
		role string
	}{{&it.Hash, hashPart}, {&it.Sort, sortPart}} {
		open := len(placeholders(part.Value)) > 0
		part.Value = c.Fill(part.Value)
		if !open {
			continue
		}
		_, err := keyValue(part.Type, part.Value, part.role)
		if err != nil || part.Type == "N" && !isShortest(part.Value) {
			return Item{}, false
		}
	}
	return it, true
}

// fill returns the entry of one name.
func (e Entry) fill(c Captures) Entry {
	e.Name, e.Pattern = c.Fill(e.Name), nil
	return e
}

// maxCaptured is the most bytes of a captured part, whatever the entry allows.
const maxCaptured = 1024

// What a captured part may be unless the entry says otherwise: [A-Za-z0-9_.@:+-]{1,128}.
const (
	allowedByDefault = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@:+-"
	longestByDefault = 128
)

// allowed is what a captured part may be. A slash is never part of one.
type allowed struct {
	form  *regexp.Regexp // anchored; nil for the default
	never string         // characters that none may have, beside the slash
}

// match reports whether part may be a captured one.
func (a *allowed) match(part string) bool {
	switch {
	case part == "" || len(part) > maxCaptured || strings.ContainsAny(part, "/"+a.never):
		return false
	case a.form == nil:
		return len(part) <= longestByDefault && strings.Trim(part, allowedByDefault) == ""
	}
	return a.form.MatchString(part)
}

// mayHold reports whether a captured part can have the character. In doubt it can.
func (a *allowed) mayHold(r rune) bool {
	if r == '/' || strings.ContainsRune(a.never, r) {
		return false
	}
	if a.form == nil {
		return strings.ContainsRune(allowedByDefault, r)
	}
	parsed, err := syntax.Parse(a.form.String(), syntax.Perl)
	if err != nil {
		return true
	}
	program, err := syntax.Compile(parsed.Simplify())
	return err != nil || slices.ContainsFunc(program.Inst, func(i syntax.Inst) bool {
		switch i.Op {
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			return i.MatchRune(r)
		}
		return false
	})
}

// newPattern returns the pattern that template is. Its error stands by itself.
func newPattern(template string, may allowed) (*Pattern, error) {
	p := &Pattern{segments: make([]segment, 1), may: may}
	seen := make(map[string]bool)
	all, _ := pieces(template)
	for _, part := range all {
		last := &p.segments[len(p.segments)-1]
		if part.name != "" {
			if seen[part.name] {
				return nil, fmt.Errorf("%s stands twice in the name (let each stand there once, if need be by as)", part.literal)
			}
			seen[part.name] = true
			last.placeholders = append(last.placeholders, placeholder{name: part.name})
			continue
		}
		for i, text := range strings.Split(part.literal, "/") {
			if i > 0 {
				p.segments = append(p.segments, segment{})
				last = &p.segments[len(p.segments)-1]
			}
			if n := len(last.placeholders); n > 0 {
				last.placeholders[n-1].text = text
			} else {
				last.text = text
			}
		}
	}
	for _, s := range p.segments {
		if err := s.separated(&may); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// separated returns what keeps a name from being read in one way only: text between two placeholders that may be part of
// what the first one captures.
func (s *segment) separated(may *allowed) error {
	for i := 1; i < len(s.placeholders); i++ {
		before, next := s.placeholders[i-1], s.placeholders[i]
		if before.text == "" {
			return fmt.Errorf("{%s} and {%s} touch in the name (put a slash between them, if need be by as)", before.name, next.name)
		}
		if !strings.ContainsFunc(before.text, func(r rune) bool { return !may.mayHold(r) }) {
			return fmt.Errorf("in the name, {%s} and {%s} have nothing between them that could not be part of the first (put a slash between them, if need be by as)", before.name, next.name)
		}
	}
	return nil
}

// overlaps reports whether one name could match both patterns. In doubt it could: only the texts around the placeholders
// are looked at, slash by slash.
func (p *Pattern) overlaps(q *Pattern) bool {
	if len(p.segments) != len(q.segments) {
		return false
	}
	for i := range p.segments {
		a, b := &p.segments[i], &q.segments[i]
		if !a.overlaps(b, &p.may, &q.may) {
			return false
		}
	}
	return true
}

func (s *segment) overlaps(t *segment, mayS, mayT *allowed) bool {
	switch {
	case len(t.placeholders) == 0:
		return s.match(t.text, mayS, nil)
	case len(s.placeholders) == 0:
		return t.match(s.text, mayT, nil)
	}
	endS, endT := s.placeholders[len(s.placeholders)-1].text, t.placeholders[len(t.placeholders)-1].text
	return (strings.HasPrefix(s.text, t.text) || strings.HasPrefix(t.text, s.text)) &&
		(strings.HasSuffix(endS, endT) || strings.HasSuffix(endT, endS))
}

// isBelow reports whether a name that the pattern stands for could lie below root, a path without a slash at its end.
func (p *Pattern) isBelow(root string) bool {
	above := strings.Split(root, "/")
	if len(p.segments) <= len(above) {
		return false
	}
	for i, text := range above {
		if !p.segments[i].match(text, &p.may, nil) {
			return false
		}
	}
	return true
}

// parseAllow reads what a captured part may be.
func parseAllow(text string) (*regexp.Regexp, error) {
	if text == "" {
		return nil, errors.New("is empty")
	}
	// By itself first: a)|(b would get out of the anchors.
	if _, err := regexp.Compile(text); err != nil {
		var se *syntax.Error
		if errors.As(err, &se) {
			err = errors.New(string(se.Code))
		}
		return nil, fmt.Errorf("is not a regular expression of RE2 (%w)", err)
	}
	return regexp.Compile("^(?:" + text + ")$")
}
