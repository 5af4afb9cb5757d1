package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	table     = "fleet"
	hashKey   = "id"
	ofAKind   = 20          // names, as the fleet declares them
	keySecret = "cache-key" // one of the secrets where values are sealed
)

// entries are all that is declared. Where values are sealed, the key is the last of the secrets.
func entries(sealed bool) []entry {
	var all []entry
	for i := range ofAKind {
		name := fmt.Sprintf("/fleet/parameter-%02d", i)
		all = append(all, entry{"parameters", name, text(name)})
	}
	for i := range ofAKind {
		name := fmt.Sprintf("fleet/secret-%02d", i)
		if sealed && i == ofAKind-1 {
			all = append(all, entry{"secrets", keySecret, ""})
			continue
		}
		all = append(all, entry{"secrets", name, text(name)})
	}
	for i := range ofAKind {
		id := fmt.Sprintf("item-%02d", i)
		all = append(all, entry{"dynamodb", table + "-" + id, fmt.Sprintf(`{"id":%q,"text":%q}`, id, text(id))})
	}
	return all
}

// configuration is the config.yaml that declares entries and prefetches them, with a section shared or without.
func configuration(shared string, all []entry) string {
	var b strings.Builder
	b.WriteString("ttl: 5m\nprefetch: true\n" + shared)
	section := ""
	for _, e := range all {
		if e.kind != section {
			section = e.kind
			fmt.Fprintf(&b, "%s:\n", section)
		}
		if e.kind == "dynamodb" {
			fmt.Fprintf(&b, "  - table: %s\n    key: {%s: %s}\n", table, hashKey, strings.TrimPrefix(e.name, table+"-"))
			continue
		}
		fmt.Fprintf(&b, "  - name: %s\n", e.name)
	}
	return b.String()
}

// write keeps a configuration and returns its file.
func (s *sim) write(name, text string) (string, error) {
	file := filepath.Join(s.dir, name)
	return file, os.WriteFile(file, []byte(text), 0o644)
}
