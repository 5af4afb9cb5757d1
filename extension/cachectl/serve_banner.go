package main

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"

	version "cache-extension"
	"cache-extension/extension/internal/caches"
	"cache-extension/extension/internal/config"
)

// maxURLs bounds the list of names; a terminal that they scroll out of shows none of the rest.
const maxURLs = 20

// banner says what is served, where to read it and where it comes from.
func (s *serving) banner() {
	l := s.now.Load()
	fmt.Fprintf(s.stdout, "cachectl %s serves %s at %s (Ctrl-C stops it)\n\n", version.Number(), l.cfg.File, s.url)
	s.printURLs(names(l.cfg))
	fmt.Fprintf(s.stdout, "\nAWS       %s\n", s.upstream(l.cfg))
	fmt.Fprintf(s.stdout, "Fixtures  %s\n", s.fixtures(l))
	switch {
	case l.cfg.Server.Token != "":
		from := "AWS_SESSION_TOKEN"
		if s.getenv(from) == "" {
			from = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
		}
		fmt.Fprintf(s.stdout, "Token     callers must send one (server.token): -H \"X-Aws-Parameters-Secrets-Token: $%s\"\n", from)
	case len(l.cfg.Secrets) > 0 && !s.flags.offline:
		fmt.Fprintln(s.stdout, "Token     none: every process of this machine can read the secrets (server.token: true asks for one)")
	}
	fmt.Fprintf(s.stdout, "Page      %s/ shows what is held, how old it is and what fails\n", s.url)
	fmt.Fprintf(s.stdout, "Changes   of %s are taken up when they are saved\n\n", s.followed())
}

// printURLs writes the first of names as URLs.
func (s *serving) printURLs(names []served) {
	var b bytes.Buffer
	ttls, width := make([]string, min(len(names), maxURLs)), 0
	for i := range ttls {
		ttls[i] = "ttl " + short(names[i].TTL)
		width = max(width, len(ttls[i]))
	}
	for i, ttl := range ttls {
		n, name := names[i], escape(names[i].Name)
		if n.OnDemand { // the braces are to be filled in by who reads this
			name = strings.NewReplacer("%7B", "{", "%7D", "}").Replace(name)
		}
		fmt.Fprintf(&b, "  %-*s  %s/%s?name=%s\n", width, ttl, s.url, n.Cachetype, name)
	}
	if more := len(names) - len(ttls); more > 0 {
		fmt.Fprintf(&b, "  … and %d more: cachectl check lists them, GET /stats counts their reads\n", more)
	}
	s.stdout.Write(b.Bytes())
}

// escape returns a name as the value of a parameter in a URL. Slashes and colons need no escape there.
func escape(name string) string {
	return strings.NewReplacer("%2F", "/", "%3A", ":", "%40", "@").Replace(url.QueryEscape(name))
}

// upstream says where calls go that no fixture takes.
func (s *serving) upstream(cfg *config.Config) string {
	if s.flags.offline {
		return "nowhere: --offline"
	}
	var regions, places []string
	to := func(endpoint string, region string) {
		place := "AWS"
		if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
			place = u.Scheme + "://" + u.Host // what else is in it may be a password
		}
		regions, places = append(regions, region), append(places, place)
	}
	for _, e := range cfg.Parameters {
		to(cfg.AWS.EndpointSSM, e.Region)
	}
	for _, e := range cfg.Secrets {
		to(cfg.AWS.EndpointSecretsManager, e.Region)
	}
	for _, e := range cfg.Items {
		to(cfg.AWS.EndpointDynamoDB, e.Region)
	}
	if len(places) == 0 {
		return "not asked: there are no names"
	}
	text := list(regions) + ", " + s.identity()
	if p := list(places); p != "AWS" {
		text = p + ", " + text
	}
	return text
}

// list returns the different ones of texts in their order.
func list(texts []string) string {
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), ", ")
}

// identity says whose credentials are used, as far as that is known without asking for them.
func (s *serving) identity() string {
	e, ok := s.aws.Credentials.(explained)
	switch {
	case !ok:
		return "keys of the environment"
	case e.profile.Profile != "":
		return fmt.Sprintf("profile %q", e.profile.Profile)
	}
	return "without a profile"
}

// fixtures says which fixtures there are.
func (s *serving) fixtures(l *loaded) string {
	switch {
	case s.flags.fixtures == "":
		return "none (--fixtures FILE)"
	case l.fixtures == nil:
		return fmt.Sprintf("none: there is no %s, so every name is missing", s.flags.fixtures)
	case s.flags.offline:
		return fmt.Sprintf("%s, %s; all others are missing", s.flags.fixtures, plural(l.fixtures.Len(), "name"))
	}
	return fmt.Sprintf("%s, %s; all others are read from AWS", s.flags.fixtures, plural(l.fixtures.Len(), "name"))
}

// followed names the files that are looked at for changes.
func (s *serving) followed() string {
	if s.flags.fixtures == "" {
		return s.flags.file
	}
	return s.flags.file + " and " + s.flags.fixtures
}

// summary says how much is served.
func (s *serving) summary(l *loaded) string {
	text := plural(len(names(l.cfg)), "name")
	switch {
	case l.fixtures != nil:
		text += ", " + plural(l.fixtures.Len(), "fixture")
	case s.flags.fixtures != "":
		text += ", no fixtures"
	}
	return text
}

// tally is what caches did, for the last line.
type tally struct{ reads, memory, fetches, failed uint64 }

// add adds what the caches of set have done. Those who still wait for them are not in it.
func (t *tally) add(set *caches.Set) {
	for _, k := range set.Kinds() {
		n := k.Cache.Stats()
		t.memory += n.Hits + n.Stale
		t.reads += n.Hits + n.Stale + n.Misses + n.Collapsed
		t.fetches += n.Fetches
		t.failed += n.Errors.Sum()
	}
}

func (t tally) String() string {
	return fmt.Sprintf("%s, %d from memory; %d fetched, %d failed", plural(int(t.reads), "read"), t.memory, t.fetches, t.failed)
}
