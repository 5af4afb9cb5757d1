package policy

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SAM returns the document as the property Policies of a function in a template of AWS SAM: a block of YAML that ends
// with a line break.
func (d Document) SAM() []byte {
	var b bytes.Buffer
	b.WriteString("Policies:\n")
	fmt.Fprintf(&b, "  - Version: %q\n    Statement:\n", d.Version)
	for _, s := range d.Statement {
		fmt.Fprintf(&b, "      - Effect: %s\n", s.Effect)
		list(&b, 8, "Action", s.Action)
		list(&b, 8, "Resource", s.Resource)
		if s.Condition == nil {
			continue
		}
		b.WriteString("        Condition:\n")
		for _, operator := range slices.Sorted(maps.Keys(s.Condition)) {
			fmt.Fprintf(&b, "          %s:\n", operator)
			for _, key := range slices.Sorted(maps.Keys(s.Condition[operator])) {
				list(&b, 12, key, s.Condition[operator][key])
			}
		}
	}
	return b.Bytes()
}

// list writes a key with its values. None of them needs quotes: they begin with a letter and are made of what names have.
func list(b *bytes.Buffer, indent int, key string, values []string) {
	margin := strings.Repeat(" ", indent)
	fmt.Fprintf(b, "%s%s:\n", margin, key)
	for _, v := range values {
		if strings.Contains(v, "${") {
			v = "!Sub " + v
		}
		fmt.Fprintf(b, "%s  - %s\n", margin, v)
	}
}
