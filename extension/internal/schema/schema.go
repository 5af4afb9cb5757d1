// Package schema decides what an editor or a validator can tell of config.yaml and fixtures.yaml before a program reads them.
package schema

import _ "embed"

// The schemas are of draft 07: newer drafts are read by the newest editors only. They refuse nothing that the programs take,
// but for a file of comments alone and values in a spelling that nobody means, such as label: true or ttl: -0s; what they
// cannot see, such as two entries of one name, is left to the programs. docs/ has copies, for an editor to find.
var (
	//go:embed config.schema.json
	config string
	//go:embed fixtures.schema.json
	fixtures string
)

// Config returns the JSON Schema of config.yaml: indented JSON with a newline at its end.
func Config() []byte { return []byte(config) }

// Fixtures returns the JSON Schema of fixtures.yaml in the same form.
func Fixtures() []byte { return []byte(fixtures) }
