package schema_test

import (
	"strings"
	"testing"

	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/fixture"
)

// served is a configuration with the names of these tests.
const served = `
parameters: [{names: [a, b, c, d]}, {path: /flags/}]
secrets: [{names: [a, b, c]}]
dynamodb:
  - {table: T, key: {id: 1}}
  - {table: T, key: {id: 2}, as: a}
  - {table: T, key: {id: 3}, as: b}
  - {table: T, key: {id: 4}, as: c}
  - {table: T, key: {id: 5}, as: d}
  - {table: T, key: {id: 6}, as: e}
`

// program returns what the program says of fixtures.
func program(t *testing.T) func(input string) error {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(served), parseOptions)
	if err != nil {
		t.Fatal(err)
	}
	return func(input string) error {
		_, err := fixture.Parse("fixtures.yaml", []byte(input), cfg)
		return err
	}
}

func TestFixturesSchemaTakes(t *testing.T) {
	s, read := compileFixtures(t), program(t)
	for _, tt := range []struct{ name, input string }{
		{"sections without content", "parameters:\nsecrets:\ndynamodb:"},
		{"text", "parameters: {a: text}\nsecrets: {b: text}"},
		{"a number, a boolean, a date, nothing in quotes", `parameters: {a: 42, b: true, c: 2024-01-01, d: ""}`},
		{"the same under value", `parameters: {a: {value: 42}, b: {value: true}, c: {value: 2024-01-01}, d: {value: ""}}`},
		{"bytes", "secrets: {a: !!binary YQ==, b: {value: !!binary YQ==}}"},
		{"JSON", "secrets: {a: {value: {user: me, ports: [1, 2.50], none: null}}, b: {value: [1, 2]}}"},
		{"an item", "dynamodb: {T-1: {value: {id: 1, tags: [a], more: {b: null}}}}"},
		{"every failure", "dynamodb: {a: {fail: missing}, b: {fail: denied}, c: {fail: throttled}, d: {fail: timeout}, e: {fail: upstream}}"},
		{"delays", "secrets: {a: {value: b, delay: 300ms}, b: {fail: missing, delay: 0}, c: {value: d, delay: 1m30s}}"},
		{"a path", "parameters: {/flags/: {value: {a: b, c/d: e}}, /flags/f: g}"},
	} {
		if err := read(tt.input); err != nil {
			t.Errorf("%s: %s: the program: %v", tt.name, tt.input, err)
		}
		doc, err := editor([]byte(tt.input))
		if err == nil {
			err = s.Validate(doc)
		}
		if err != nil {
			t.Errorf("%s: %s: %v", tt.name, tt.input, err)
		}
	}
}

func TestFixturesSchemaRefuses(t *testing.T) {
	s, read := compileFixtures(t), program(t)
	for _, tt := range []struct{ name, input, want string }{
		{"a list", "- secrets", "at '': got array, want object"},
		{"unknown section", "secret: {a: b}", "at '': additional properties 'secret'"},
		{"list of fixtures", "secrets: [a]", "at '/secrets': got array, want null or object"},
		{"list of items", "dynamodb: [a]", "at '/dynamodb': got array, want null or object"},
		{"no name", `secrets: {"": a}`, "at '/secrets/': false schema"},
		{"item without a name", `dynamodb: {"": {value: {id: 1}}}`, "at '/dynamodb/': false schema"},
		{"no value", "parameters: {a: }", "at '/parameters/a': got null"},
		{"list for a fixture", "parameters: {a: [b]}", "at '/parameters/a': got array"},
		{"JSON without value", "secrets: {a: {user: me}}", "at '/secrets/a': additional properties 'user'"},
		{"neither value nor fail", "secrets: {a: {delay: 1s}}", "at '/secrets/a': 'anyOf' failed"},
		{"value and fail", "secrets: {a: {value: b, fail: missing}}", "at '/secrets/a/fail': false schema"},
		{"null as value", "secrets: {a: {value: ~}}", "at '/secrets/a/value': got null"},
		{"unknown failure", "parameters: {a: {fail: forbidden}}", "at '/parameters/a/fail': value must be one of 'missing', 'denied', 'throttled', 'timeout', 'upstream'"},
		{"delay without a unit", "parameters: {a: {value: b, delay: 300}}", "at '/parameters/a/delay': got number, want string"},
		{"negative delay", "parameters: {a: {value: b, delay: -1s}}", "at '/parameters/a/delay': '-1s' does not match pattern"},
		{"delay from a variable", "parameters: {a: {value: b, delay: '${D}'}}", "at '/parameters/a/delay': '${D}' does not match pattern"},
		{"text for an item", "dynamodb: {a: b}", "at '/dynamodb/a': got string, want object"},
		{"item's attributes without value", "dynamodb: {a: {id: 1}}", "at '/dynamodb/a': additional properties 'id'"},
		{"text as an item's value", "dynamodb: {a: {value: b}}", "at '/dynamodb/a/value': got string, want object"},
		{"neither value nor fail of an item", "dynamodb: {a: {}}", "at '/dynamodb/a': 'anyOf' failed"},
		{"value and fail of an item", "dynamodb: {a: {value: {id: 1}, fail: missing}}", "at '/dynamodb/a/fail': false schema"},
		{"unknown failure of an item", "dynamodb: {a: {fail: no}}", "at '/dynamodb/a/fail': value must be one of"},
		{"timeout and delay", "secrets: {a: {fail: timeout, delay: 1s}}", "at '/secrets/a/fail': 'not' failed"},
		{"timeout and delay of an item", "dynamodb: {a: {fail: timeout, delay: 1s}}", "at '/dynamodb/a/fail': 'not' failed"},
		{"unknown key", "parameters: {a: {valeu: b}}", "at '/parameters/a': additional properties 'valeu'"},
		{"unknown key of an item", "dynamodb: {a: {fial: denied}}", "at '/dynamodb/a': additional properties 'fial'"},
		{"failures in a list", "secrets: {a: {fail: [denied]}}", "at '/secrets/a/fail': value must be one of"},
		{"delay of an item", "dynamodb: {a: {fail: missing, delay: 1}}", "at '/dynamodb/a/delay': got number"},
	} {
		if read(tt.input) == nil {
			t.Errorf("%s: %s: the program takes it", tt.name, tt.input)
		}
		doc, err := editor([]byte(tt.input))
		if err != nil {
			t.Errorf("%s: %s: %v", tt.name, tt.input, err)
			continue
		}
		if err := s.Validate(doc); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %s: %v, want %q", tt.name, tt.input, err, tt.want)
		}
	}
}

// TestBadFixturesAreRefused names the golden bad files that pass, as TestBadConfigsAreRefused does.
func TestBadFixturesAreRefused(t *testing.T) {
	unseen := map[string]string{
		"binary.yaml": "a schema sees no bytes behind !!binary, nor which names are paths",
		"json.yaml":   "a schema sees neither tags nor how a number is spelt",
		"trees.yaml":  "a schema does not know which names are paths",
		"twice.yaml":  "an editor tells of keys given twice, and a schema does not know which names are one resource",
	}
	s := compileFixtures(t)
	for _, file := range glob(t, "../fixture/testdata/bad/*.yaml") {
		refused(t, s, file, unseen)
	}
}

// TestExamplesOfTheDocsAreValid holds the YAML in the pages to the schema of one file or the other.
func TestExamplesOfTheDocsAreValid(t *testing.T) {
	settings, fixtures := compileConfig(t), compileFixtures(t)
	for _, page := range []string{"config.md", "fixtures.md"} {
		blocks := strings.Split(string(readFile(t, "../../../docs/"+page)), "```yaml\n")[1:]
		if len(blocks) == 0 {
			t.Errorf("docs/%s has no example", page)
		}
		for _, block := range blocks {
			example, _, _ := strings.Cut(block, "```")
			doc, err := editor([]byte(example))
			if err != nil {
				t.Errorf("docs/%s: %s%v", page, example, err)
				continue
			}
			if as, af := settings.Validate(doc), fixtures.Validate(doc); as != nil && af != nil {
				t.Errorf("docs/%s: %sas config.yaml: %v\nas fixtures.yaml: %v", page, example, as, af)
			}
		}
	}
}
