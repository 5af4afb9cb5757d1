//go:build linux

package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// What config.yaml sets for all entries. The windows are short, so that values leave them all the time.
const (
	staleWhileRevalidate = 200 * time.Millisecond
	staleIfError         = 1500 * time.Millisecond
	negativeTTL          = 500 * time.Millisecond
	timeout              = 500 * time.Millisecond
)

const (
	tree        = "/soak/tree" // a path of several pages
	treeMembers = 25
	table       = "soak-table"
	perGroup    = 25
)

// group is entries with settings of their own.
type group struct{ ttl, staleIfError time.Duration }

// groups are declared once for each kind. One goes to AWS at every read, one serves nothing that has expired.
func groups() []group {
	return []group{
		{0, staleIfError},
		{50 * time.Millisecond, staleIfError},
		{500 * time.Millisecond, 0},
		{2 * time.Second, staleIfError},
		{6 * time.Second, 4 * time.Second},
	}
}

// target is one name that readers ask for.
type target struct {
	path      string        // of its URL, with the query
	name      string        // in the value that AWS gives; empty for a whole tree
	asked     string        // what AWS is asked for: the name, or the path it is below
	limit     time.Duration // no value is served when it is older than this
	remembers time.Duration // how long AWS's word that there is none may be repeated
}

func newTarget(kind, name string, g group) *target {
	return &target{
		path:      "/" + kind + "?name=" + url.QueryEscape(name),
		name:      name,
		asked:     name,
		limit:     g.ttl + max(g.staleIfError, staleWhileRevalidate),
		remembers: negativeTTL,
	}
}

// declare returns the names that configFile declares.
func declare() []*target {
	var all []*target
	for n, g := range groups() {
		for _, kind := range []string{"parameters", "secrets", "dynamodb"} {
			for i := range perGroup {
				all = append(all, newTarget(kind, served(kind, n, i), g))
			}
		}
	}
	whole := newTarget("parameters", tree, treeGroup())
	whole.name = ""
	all = append(all, whole)
	for i := range treeMembers {
		below := newTarget("parameters", memberName(i), treeGroup())
		below.asked, below.remembers = tree, below.limit // it is missing for as long as the listing without it is held
		all = append(all, below)
	}
	return all
}

func treeGroup() group { return group{time.Second, staleIfError} }

func memberName(i int) string { return fmt.Sprintf("%s/branch%d/leaf%02d", tree, i%3, i) }

// served is the name of an entry. Every kind has names like the others', so that a mix-up would show.
func served(kind string, group, i int) string {
	key := fmt.Sprintf("name-%d-%02d", group, i)
	if kind == "dynamodb" {
		return table + "-" + key
	}
	return kind + "-" + key
}

// configFile is a config.yaml.
func configFile() string {
	var b strings.Builder
	fmt.Fprintf(&b, "stale_while_revalidate: %v\nstale_if_error: %v\nstale_wait: 100ms\nnegative_ttl: %v\ntimeout: %v\nprefetch: true\n",
		staleWhileRevalidate, staleIfError, negativeTTL, timeout)
	b.WriteString("server: {max_waiting: 200}\n")
	for _, kind := range []string{"parameters", "secrets", "dynamodb"} {
		fmt.Fprintf(&b, "%s:\n", kind)
		for n, g := range groups() {
			settings := fmt.Sprintf("ttl: %v, stale_if_error: %v", g.ttl, g.staleIfError)
			var names []string
			for i := range perGroup {
				name := served(kind, n, i)
				if kind == "dynamodb" {
					fmt.Fprintf(&b, "  - {table: %s, key: {pk: %s}, %s}\n", table, strings.TrimPrefix(name, table+"-"), settings)
				}
				names = append(names, name)
			}
			if kind != "dynamodb" {
				fmt.Fprintf(&b, "  - {names: [%s], %s}\n", strings.Join(names, ", "), settings)
			}
		}
		if kind == "parameters" {
			fmt.Fprintf(&b, "  - {path: %s, ttl: %v, stale_if_error: %v}\n", tree, treeGroup().ttl, treeGroup().staleIfError)
		}
	}
	return b.String()
}
