package config

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// shared reads the section shared, after the secrets, one of which it may name.
func (p *parser) shared(n *yaml.Node) {
	m := p.mapping(n, "shared", sharedKeys)
	if n == nil || isNull(target(n)) {
		return
	}
	s := Shared{Line: n.Line, Kinds: []string{dynamodbSection, parametersSection}, Timeout: 50 * time.Millisecond}
	p.sharedURL(m, &s)
	verbatim(p, m, "prefix", func(text string) (string, error) { return text, nil }, &s.Prefix)
	p.sharedKinds(m, &s)
	value(p, m, "timeout", parseSharedTimeout, &s.Timeout)
	if p.text(m, "key_secret", &s.KeySecret) {
		p.keySecret(m, s.KeySecret)
	}
	if s.URL != "" {
		p.cfg.Shared = &s
	}
}

// sharedURL reads where the server is. One file serves with and without it: a variable that is empty stands for none.
// Messages do not repeat what the file says, for a password may be in it.
func (p *parser) sharedURL(m mapping, s *Shared) {
	n, where := m.value("url"), under(m.where, "url")
	switch {
	case n == nil:
		p.fault(m.node, m.where, "the section has no url (give it one, such as ${SHARED_CACHE_URL}, or leave the section out)")
		return
	case !p.written(n, where):
		return
	}
	text, err := p.env.expand(target(n).Value)
	var inner malformed
	switch {
	case errors.As(err, &inner):
		err = errors.New("holds a ${ that is neither ${NAME} nor ${NAME:-default} (in a password, write %24%7B for ${)")
	case err == nil:
		err = checkSharedURL(text)
	}
	if err != nil {
		p.fault(n, where, "%v", err)
		return
	}
	s.URL = text
}

// checkSharedURL returns what keeps text from being the URL of a server, or nil. Empty text is none.
func checkSharedURL(text string) error {
	if text == "" {
		return nil
	}
	form := errors.New("is not a redis://, rediss://, valkey:// or valkeys:// URL with a host (write one such as " +
		"rediss://user:password@cache.example.com:6379/0, and what is special in a password as %40 for @)")
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || !slices.Contains([]string{"redis", "rediss", "valkey", "valkeys"}, u.Scheme) {
		return form
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || port == 0) {
		return errors.New("has a port that is none (1 to 65535)")
	}
	db := strings.TrimPrefix(u.Path, "/")
	if _, err := strconv.ParseUint(db, 10, 31); db != "" && err != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return errors.New("has more behind the host than the number of a database, such as /0")
	}
	return nil
}

// sharedKinds reads the sections whose values are shared.
func (p *parser) sharedKinds(m mapping, s *Shared) {
	sections := []string{parametersSection, secretsSection, dynamodbSection}
	texts, nodes := p.texts(m, "kinds")
	for i, text := range texts {
		switch where := under(m.where, "kinds"); {
		case !slices.Contains(sections, text):
			p.fault(nodes[i], where, "%s is not a section (parameters, secrets or dynamodb)%s", quote(target(nodes[i]).Value), didYouMean(near(text, sections)))
		case slices.Contains(texts[:i], text):
			p.fault(nodes[i], where, "%s is given twice", quote(target(nodes[i]).Value))
		case text == secretsSection && !m.has("key_secret"):
			p.fault(nodes[i], where, "secrets are shared sealed or not at all (name the secret that holds the key in key_secret, or leave secrets out)")
		}
	}
	if texts != nil {
		s.Kinds = texts
	}
}

// keySecret notes what keeps the secret of that name from being the one that holds the key. Messages do not repeat the
// name: it may be the key itself that somebody wrote there.
func (p *parser) keySecret(m mapping, name string) {
	if _, declared := p.secrets[name]; declared {
		return
	}
	n, where := m.value("key_secret"), under(m.where, "key_secret")
	for _, o := range p.open {
		if _, matches := o.pattern.Match(name); matches && o.where == secretsSection {
			p.fault(n, where, "the name is one for the placeholders at line %d only (give it an entry of its own under secrets)", o.entry.Line)
			return
		}
	}
	known := make([]string, 0, len(p.secrets))
	for declared := range p.secrets {
		known = append(known, declared)
	}
	slices.Sort(known)
	p.fault(n, where, "no secret is served under that name (list it under secrets)%s", didYouMean(near(name, known)))
}

// parseSharedTimeout is parseDuration for what a reader may lose to a server that does not answer.
func parseSharedTimeout(text string) (time.Duration, error) {
	d, err := parseDuration(text)
	if err == nil && (d < time.Millisecond || d > time.Second) {
		return 0, errors.New("is not from 1ms to 1s")
	}
	return d, err
}
