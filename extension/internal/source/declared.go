package source

import (
	"strconv"
	"strings"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
)

// declared is what config.yaml declares of one kind: the names that callers may read. R stands for one resource in AWS
// and is the same for all names of that resource. It is not changed once made.
type declared[R comparable] struct {
	kind      string // section of config.yaml
	names     map[string]held[R]
	trees     []tree[R] // the longest path first
	keys      []*cache.Key
	patterns  []pattern[R]
	resources map[string]R // by identity, those of names; nil without patterns
}

// held is a resource and the key under which a name of it is cached.
type held[R comparable] struct {
	key      *cache.Key
	resource R
}

// tree is everything below a path.
type tree[R comparable] struct {
	base string // the path, with a slash at its end
	held[R]
}

// pattern is an open entry. What it says of a name is made anew each time: names are as many as callers come up with.
type pattern[R comparable] struct {
	*config.Pattern
	fill func(config.Captures) (entry[R], bool) // ok is false for what AWS would not take for a name of the resource
}

// entry is what a kind says about one of its entries.
type entry[R comparable] struct {
	config.Entry
	timeout  time.Duration
	identity string // equal for equal resources
	resource R      // of entries with one identity, the first one's is used
}

func (e *entry[R]) newKey() *cache.Key {
	return &cache.Key{
		Name: e.Name, Line: e.Line, TTL: e.TTL, StaleIfError: e.StaleIfError, Timeout: e.timeout, Identity: e.identity,
	}
}

// quoted joins parts so that what is not the same never looks the same.
func quoted(parts ...string) string {
	var b []byte
	for _, part := range parts {
		b = strconv.AppendQuote(b, part)
	}
	return string(b)
}

func declare[R comparable](kind string, entries []entry[R], patterns []pattern[R]) declared[R] {
	type settings struct {
		resource          R
		ttl, staleIfError time.Duration
	}
	d := declared[R]{kind: kind, names: make(map[string]held[R], len(entries)), patterns: patterns}
	resources := make(map[string]R, len(entries))
	if len(patterns) > 0 {
		d.resources = resources
	}
	keys := make(map[settings]*cache.Key, len(entries))
	for _, e := range entries {
		resource, ok := resources[e.identity]
		if !ok {
			resource = e.resource
			resources[e.identity] = resource
		}
		s := settings{resource, e.TTL, e.StaleIfError}
		key := keys[s]
		if key == nil {
			key = e.newKey()
			keys[s] = key
			d.keys = append(d.keys, key)
		}
		key.Required = key.Required || e.Required
		d.names[e.Name] = held[R]{key, resource}
	}
	return d
}

// addTree makes the names below the path that is served as name readable, each answered from the object of all of them.
func (d *declared[R]) addTree(path, name string) {
	d.trees = append(d.trees, tree[R]{below(path), d.names[name]})
	for i := len(d.trees) - 1; i > 0 && len(d.trees[i-1].base) < len(d.trees[i].base); i-- {
		d.trees[i-1], d.trees[i] = d.trees[i], d.trees[i-1]
	}
}

// below returns what every name below path begins with.
func below(path string) string { return strings.TrimSuffix(path, "/") + "/" }

func (d *declared[R]) find(name string) (h held[R], member string, ok bool) {
	if h, ok := d.names[name]; ok {
		return h, "", true
	}
	for _, t := range d.trees {
		if member, ok := strings.CutPrefix(name, t.base); ok && member != "" {
			return t.held, member, true
		}
	}
	return held[R]{}, "", false
}

// Find implements cache.Source. An entry of its own wins over a path, and of paths the longest.
func (d *declared[R]) Find(name string) (key *cache.Key, member string, ok bool) {
	h, member, ok := d.find(name)
	return h.key, member, ok
}

// open returns what config.yaml says of a name that find does not know. No two patterns stand for one name.
func (d *declared[R]) open(name string) (e entry[R], ok bool) {
	for _, p := range d.patterns {
		if captures, ok := p.Match(name); ok {
			return p.fill(captures)
		}
	}
	return entry[R]{}, false
}

// Open implements cache.Source.
func (d *declared[R]) Open(name string) (*cache.Key, bool) {
	e, ok := d.open(name)
	if !ok {
		return nil, false
	}
	return e.newKey(), true
}

// Keys implements cache.Source.
func (d *declared[R]) Keys() []*cache.Key { return d.keys }
