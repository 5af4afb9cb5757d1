package main

import (
	"bytes"
	"fmt"
	"strings"
)

const (
	table   = "bench"
	hashKey = "id"
)

// fixture is what is declared: that many entries of each kind, as one writes them, and settings.
type fixture struct {
	parameters, secrets, items int
	settings                   string // lines of YAML
}

// sixty is the fixture of most rows, and lasting the same with values that stay fresh.
var (
	sixty   = fixture{parameters: 20, secrets: 20, items: 20}
	lasting = fixture{parameters: 20, secrets: 20, items: 20, settings: "ttl: 1h\n"}
)

func parameterName(i int) string { return fmt.Sprintf("/bench/parameter-%04d", i) }
func secretName(i int) string    { return fmt.Sprintf("bench/secret-%04d", i) }
func itemID(i int) string        { return fmt.Sprintf("item-%04d", i) }

// yaml is the config.yaml.
func (f fixture) yaml() []byte {
	var b bytes.Buffer
	b.WriteString("# made by the benchmark\n") // a file that is empty is refused
	b.WriteString(f.settings)
	section(&b, "parameters", f.parameters, func(i int) { fmt.Fprintf(&b, "  - name: %s\n", parameterName(i)) })
	section(&b, "secrets", f.secrets, func(i int) { fmt.Fprintf(&b, "  - name: %s\n", secretName(i)) })
	section(&b, "dynamodb", f.items, func(i int) { fmt.Fprintf(&b, "  - table: %s\n    key: {%s: %s}\n", table, hashKey, itemID(i)) })
	return b.Bytes()
}

func section(b *bytes.Buffer, name string, entries int, entry func(i int)) {
	if entries == 0 {
		return
	}
	fmt.Fprintf(b, "%s:\n", name)
	for i := range entries {
		entry(i)
	}
}

// targets are the requests that read each entry, as path and query.
func (f fixture) targets() []string {
	var all []string
	for i := range f.parameters {
		all = append(all, target("parameters", parameterName(i)))
	}
	for i := range f.secrets {
		all = append(all, target("secrets", secretName(i)))
	}
	for i := range f.items {
		all = append(all, target("dynamodb", table+"-"+itemID(i)))
	}
	return all
}

// target needs no escapes: the names have none of the characters that do.
func target(kind, name string) string { return "/" + kind + "?name=" + name }

// valueSize is that of a secret as the console makes them.
const valueSize = 200

// text makes values of that many bytes: a JSON object with a short and a long member. The short one differs by name.
func text(size int) func(name string) string {
	return func(name string) string {
		head := fmt.Sprintf(`{"name":%q,"long":"`, name)
		return head + strings.Repeat("x", max(0, size-len(head)-2)) + `"}`
	}
}
