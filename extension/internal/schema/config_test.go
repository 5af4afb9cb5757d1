package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/schema"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	goldenConfigs = "../config/testdata"
	sample        = "../../../config.yaml"
)

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob(%s) = %v, %v", pattern, files, err)
	}
	return files
}

// TestDocsHaveTheSchemas holds the copies in docs/, to which the sample's first line points. UPDATE_GOLDEN=1 writes them anew.
func TestDocsHaveTheSchemas(t *testing.T) {
	for name, want := range map[string][]byte{"config.schema.json": schema.Config(), "fixtures.schema.json": schema.Fixtures()} {
		file := filepath.Join("../../../docs", name)
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := readFile(t, file); string(got) != string(want) {
			t.Errorf("docs/%s is not the schema of this package (UPDATE_GOLDEN=1 copies it)", name)
		}
	}
	first, _, _ := strings.Cut(string(readFile(t, sample)), "\n")
	if want := "# yaml-language-server: $schema=docs/config.schema.json"; first != want {
		t.Errorf("config.yaml begins with %q, want %q", first, want)
	}
}

func TestGoodConfigsAreValid(t *testing.T) {
	s := compileConfig(t)
	for _, file := range append(glob(t, goldenConfigs+"/good/*.yaml"), sample) {
		doc, err := editor(readFile(t, file))
		if err == nil {
			err = s.Validate(doc)
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestBadConfigsAreRefused names the golden bad files that pass, for what is wrong with them is no matter of a schema.
func TestBadConfigsAreRefused(t *testing.T) {
	unseen := map[string]string{
		"ambiguous.yaml": "a schema does not compare the names of two entries",
		"no_token.yaml":  "a schema does not know the environment",
		"overlaps.yaml":  "a schema does not compare the names of two entries",

		"shared_database.yaml": "a schema knows a URL by its beginning",
		"shared_port.yaml":     "a schema knows a URL by its beginning",
		"shared_query.yaml":    "a schema knows a URL by its beginning",
	}
	s := compileConfig(t)
	for _, file := range glob(t, goldenConfigs+"/bad/*.yaml") {
		refused(t, s, file, unseen)
	}
}

// refused holds a file to fail, unless unseen has its name with the reason.
func refused(t *testing.T, s *jsonschema.Schema, file string, unseen map[string]string) {
	t.Helper()
	doc, err := editor(readFile(t, file))
	if errors.Is(err, errUnreadable) {
		return // an editor tells of it before it asks the schema
	}
	err = s.Validate(doc)
	switch reason := unseen[filepath.Base(file)]; {
	case err == nil && reason == "":
		t.Errorf("%s: valid, want an error", file)
	case err != nil && reason != "":
		t.Errorf("%s: %v, want it to pass: %s", file, err, reason)
	}
}

// parseOptions has the variables that the files of these tests name.
var parseOptions = config.Options{Env: []string{
	"AWS_REGION=us-west-2", "AWS_SESSION_TOKEN=token", "N=1", "D=1s", "B=1", "T=text", "P=/p", "LEVEL=info",
	"REST=secretsmanager:us-west-2:123456789012:secret:a",
}}

func TestSchemaTakesWhatTheProgramTakes(t *testing.T) {
	s := compileConfig(t)
	for _, tt := range []struct{ name, input string }{
		{"no unit for 0", "ttl: 0"},
		{"0 as text", `stale_if_error: "0"`},
		{"several units", "ttl: 1h30m"},
		{"a fraction", "ttl: 1.5h"},
		{"a plus sign", "ttl: +5m"},
		{"point first", "ttl: .5h"},
		{"micro", "ttl: 3µs"},
		{"duration from a variable", "timeout: ${D}"},
		{"duration with a default", "ttl: ${UNSET:-1m}"},
		{"duration of which a part is a variable", "ttl: ${N}m"},
		{"settings without content", "server:\nlog:\nparameters:\nsecrets:\ndynamodb:"},
		{"port 0", "server: {port: 0}"},
		{"port as text", `server: {port: "4001"}`},
		{"number from a variable", `server: {port: "${N}", max_waiting: "${N}"}`},
		{"level in capitals", "log: {level: WARN}"},
		{"level as written in prose", "log: {level: Error}"},
		{"level from a variable", `log: {level: "${LEVEL}"}`},
		{"a number as name", "secrets: [{name: 42}]"},
		{"a date as name", "secrets: [{name: 2024-01-01}]"},
		{"yes as name", "secrets: [{name: yes}]"},
		{"one of names renamed", "secrets: [{names: [a], as: b}]"},
		{"a literal ${", `secrets: [{name: "$${a"}]`},
		{"more dollars", `secrets: [{name: "a$b$$c$$${d$"}]`},
		{"an empty default", `secrets: [{name: "a${UNSET:-}"}]`},
		{"a dollar in a default", `secrets: [{name: "${UNSET:-a$b$}"}]`},
		{"ARN from a variable", `secrets: [{name: "arn:aws:${REST}"}, {name: "${T}:x"}]`},
		{"ARNs", "secrets: [{name: 'arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a/b:c-AbCdEf'}]\n" +
			"parameters: [{name: 'arn:aws:ssm:us-west-2:123456789012:parameter/a/b:live'}]"},
		{"ARN and version", "parameters: [{name: 'arn:aws:ssm:us-west-2:123456789012:parameter/a', version: 3}]"},
		{"names and label", "parameters: [{names: [a, /b], label: live}]"},
		{"version as text", `parameters: [{name: a, version: "03"}]`},
		{"path from a variable", `parameters: [{path: "${P}/x", label: "${T}"}]`},
		{"hash key alone", "dynamodb: [{table: T, hashkey: a, hashkeyvalue: b}]"},
		{"text that is neither number nor base64", "dynamodb: [{table: T, hashkey: a, hashkeyvalue: b!, sortkey: c, sortkeyvalue: d!}]"},
		{"the same, said to be text", "dynamodb: [{table: T, hashkey: a, hashkeytype: S, hashkeyvalue: b!, sortkey: c, sortkeytype: S, sortkeyvalue: d!}]"},
		{"key value that YAML takes for something else", "dynamodb: [{table: T, hashkey: a, hashkeyvalue: true, sortkey: b, sortkeyvalue: null}]"},
		{"number in any spelling", "dynamodb: [{table: T, hashkey: a, hashkeytype: N, hashkeyvalue: +1.5e3, sortkey: b, sortkeytype: N, sortkeyvalue: '.5'}]"},
		{"number from a variable", `dynamodb: [{table: T, hashkey: a, hashkeytype: N, hashkeyvalue: "${N}"}]`},
		{"bytes", `dynamodb: [{table: T, hashkey: a, hashkeytype: B, hashkeyvalue: "YWJj ZA==", sortkey: b, sortkeytype: B, sortkeyvalue: !!binary YQ==}]`},
		{"type from a variable", `dynamodb: [{table: T, hashkey: a, hashkeytype: "${UNSET:-S}", hashkeyvalue: b}]`},
		{"two parts of a key", `dynamodb: [{table: T, key: {a: "true", b: -1.5}, fields: [1, b.c]}]`},
		{"bytes as key", `dynamodb: [{table: T, key: {a: !!binary YQ==}}]`},
		{"placeholders", `{parameters: [{name: "/{a}/b"}, {names: ["/c/{a}/{b}"]}], secrets: [{name: "{a}", as: "x/{a}"}]}`},
		{"placeholders in keys", `dynamodb: [{table: T, key: {a: "{x}"}}, {table: U, hashkey: a, hashkeytype: N, hashkeyvalue: "-1{x}", allow: "[0-9]+"}]`},
		{"allow with a class in braces", `secrets: [{name: "{a}", allow: '\\p{Greek}{1,3}'}]`},
		{"braces of no placeholder", `dynamodb: [{table: "{1} {}", key: {"{ a}": b, c: d}, fields: ["{{a}}", "${UNSET:-{a}}"]}]`},
		{"memory", "memory: {max_entries: 1, max_bytes: 1}"},
		{"memory as text", `memory: {max_entries: "01", max_bytes: 100B}`},
		{"most memory", "memory: {max_bytes: 512MiB}"},
		{"memory from a variable", `memory: {max_entries: "${N}", max_bytes: "${N}MiB"}`},
		{"nothing about memory and no server", "memory:\nshared:"},
		{"server", "{secrets: [{name: a}], shared: {url: 'rediss://:p@host:1/0', prefix: '{a}:', kinds: [secrets], key_secret: a, timeout: 1s}}"},
		{"no server after expansion", `shared: {url: "${UNSET:-}"}`},
		{"merged", "secrets: [&a {name: a, ttl: 1s}, {<<: *a, name: b}, {<<: [*a, {as: c}]}]"},
		{"every entry key", "secrets: [{name: a, region: eu-central-1, as: b, ttl: 1s, stale_if_error: 0, required: true, stage: s, version_id: v}]"},
	} {
		if err := both(s.Validate, tt.input); err != nil {
			t.Errorf("%s: %s: %v", tt.name, tt.input, err)
		}
	}
	for _, text := range []string{"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False", `"true"`, `"1"`, "${B}"} {
		if err := both(s.Validate, "prefetch: "+text); err != nil {
			t.Errorf("prefetch: %s: %v", text, err)
		}
	}
}

// both returns what either reader has against input.
func both(validate func(any) error, input string) error {
	if _, err := config.Parse("config.yaml", []byte(input), parseOptions); err != nil {
		return fmt.Errorf("the program: %w", err)
	}
	doc, err := editor([]byte(input))
	if err != nil {
		return err
	}
	return validate(doc)
}

// TestSchemaRefuses holds each rule: want is where the validator says that it is broken, and how.
func TestSchemaRefuses(t *testing.T) {
	s := compileConfig(t)
	for _, tt := range []struct{ name, input, want string }{
		{"a list", "- ttl: 5m", "at '': got array, want object"},
		{"unknown setting", "tll: 5m", "at '': additional properties 'tll'"},
		{"unknown key of server", "server: {prot: 1}", "at '/server': additional properties 'prot'"},
		{"unknown key of log", "log: {format: text}", "at '/log': additional properties 'format'"},
		{"unknown key of a parameter", "parameters: [{name: a, stage: b}]", "at '/parameters/0': additional properties 'stage'"},
		{"unknown key of a secret", "secrets: [{name: a}, {nmae: b}]", "at '/secrets/1': additional properties 'nmae'"},
		{"unknown key of an item", "dynamodb: [{tabel: T, key: {a: 1}}]", "at '/dynamodb/0': additional properties 'tabel'"},

		{"duration without a unit", "ttl: 60", "at '/ttl': got number, want string"},
		{"quoted duration without a unit", `stale_wait: "60"`, "at '/stale_wait': '60' does not match pattern"},
		{"days", "negative_ttl: 1d", "at '/negative_ttl': '1d' does not match pattern"},
		{"negative duration", "stale_if_error: -5s", "at '/stale_if_error': '-5s' does not match pattern"},
		{"empty duration", `stale_while_revalidate: ""`, "at '/stale_while_revalidate': '' does not match pattern"},
		{"no duration", "ttl:", "at '/ttl': got null, want string"},
		{"no time for a fetch", "timeout: 0s", "at '/timeout': '0s' does not match pattern"},
		{"no time for prefetch", "prefetch_timeout: 0", "at '/prefetch_timeout': got number, want string"},
		{"duration of an entry", "secrets: [{name: a, ttl: 1}]", "at '/secrets/0/ttl': got number"},
		{"second duration of an entry", "parameters: [{name: a, stale_if_error: 1}]", "at '/parameters/0/stale_if_error': got number"},
		{"yes", "prefetch: yes", "at '/prefetch': 'yes' does not match pattern"},
		{"2 as boolean", "server: {token: 2}", "at '/server/token': maximum: got 2, want 1"},
		{"-1 as boolean", "server: {token: -1}", "at '/server/token': minimum: got -1, want 0"},
		{"boolean of an entry", "secrets: [{name: a, required: maybe}]", "at '/secrets/0/required': 'maybe' does not match pattern"},
		{"boolean of an item", "dynamodb: [{table: T, key: {a: 1}, consistent: maybe}]", "at '/dynamodb/0/consistent': 'maybe'"},
		{"port too large", "server: {port: 70000}", "at '/server/port': maximum"},
		{"port as a word", "server: {port: http}", "at '/server/port': 'http' does not match pattern"},
		{"port with a fraction", "server: {port: 1.5}", "at '/server/port': got number, want integer or string"},
		{"port below 0", "server: {port: -1}", "at '/server/port': minimum"},
		{"a fraction of a reader", "server: {max_waiting: 1.5}", "at '/server/max_waiting': got number, want integer or string"},
		{"fraction of a version", "parameters: [{name: a, version: 1.5}]", "at '/parameters/0/version': got number, want integer or string"},
		{"nobody may wait", "server: {max_waiting: 0}", "at '/server/max_waiting': minimum"},
		{"nobody may wait, as text", `server: {max_waiting: "0"}`, "at '/server/max_waiting': '0' does not match pattern"},
		{"too many may wait", "server: {max_waiting: 2147483648}", "at '/server/max_waiting': maximum"},
		{"level", "log: {level: loud}", "at '/log/level': value must be one of 'debug', 'info', 'warn', 'error'"},

		{"no entries", "memory: {max_entries: 0}", "at '/memory/max_entries': minimum"},
		{"no bytes", `memory: {max_bytes: "0"}`, "at '/memory/max_bytes': '0' does not match pattern"},
		{"decimal unit", "memory: {max_bytes: 16MB}", "at '/memory/max_bytes': '16MB' does not match pattern"},
		{"too many bytes", "memory: {max_bytes: 536870913}", "at '/memory/max_bytes': maximum"},
		{"unknown key of memory", "memory: {max: 1}", "at '/memory': additional properties 'max'"},
		{"server without a url", "shared: {prefix: a}", "at '/shared': missing property 'url'"},
		{"another protocol", "shared: {url: 'http://host'}", "at '/shared/url': 'http://host' does not match pattern"},
		{"section that is none", "shared: {url: 'redis://host', kinds: [items]}", "at '/shared/kinds/0': value must be one of"},
		{"no sections", "shared: {url: 'redis://host', kinds: []}", "at '/shared/kinds': minItems"},
		{"section twice", "shared: {url: 'redis://host', kinds: [dynamodb, dynamodb]}", "at '/shared/kinds': items at 0 and 1 are equal"},
		{"secrets without a key", "shared: {url: 'redis://host', kinds: [secrets]}", "at '/shared': missing property 'key_secret'"},
		{"key with placeholders", `shared: {url: "redis://host", key_secret: "{a}"}`, "at '/shared/key_secret': 'not' failed"},
		{"no time for the server", "shared: {url: 'redis://host', timeout: 0s}", "at '/shared/timeout': '0s' does not match pattern"},

		{"placeholder in a table", `dynamodb: [{table: "T-{a}", key: {a: "{a}"}}]`, "at '/dynamodb/0/table': 'not' failed"},
		{"placeholder in an attribute", `dynamodb: [{table: T, key: {"{{{a}": "{a}"}}]`, "at '/dynamodb/0/key/{{{a}': false schema"},
		{"placeholder in a hash key's name", `dynamodb: [{table: T, hashkey: "{a}", hashkeyvalue: "{a}"}]`, "at '/dynamodb/0/hashkey': 'not' failed"},
		{"placeholder in a sort key's name", `dynamodb: [{table: T, hashkey: a, hashkeyvalue: b, sortkey: "{a}", sortkeyvalue: "{a}"}]`, "at '/dynamodb/0/sortkey': 'not' failed"},
		{"placeholder in a field", `dynamodb: [{table: T, key: {a: "{a}"}, fields: ["{a}"]}]`, "at '/dynamodb/0/fields/0': 'not' failed"},
		{"placeholder in bytes", `dynamodb: [{table: T, hashkey: a, hashkeytype: B, hashkeyvalue: "{a}"}]`, "at '/dynamodb/0/hashkeyvalue': '{a}' does not match pattern"},
		{"placeholder in a text for a number", `dynamodb: [{table: T, hashkey: a, hashkeytype: N, hashkeyvalue: "a{a}"}]`, "at '/dynamodb/0/hashkeyvalue': 'a{a}' does not match pattern"},
		{"placeholder in a path", `parameters: [{path: "/a/{a}"}]`, "at '/parameters/0/path': 'not' failed"},
		{"placeholder in a label", `parameters: [{name: "/a/{a}", label: "{a}"}]`, "at '/parameters/0/label': 'not' failed"},
		{"placeholder in a stage", `secrets: [{name: "{a}", stage: "{a}"}]`, "at '/secrets/0/stage': 'not' failed"},
		{"placeholder in a version", `secrets: [{name: "{a}", version_id: "{a}"}]`, "at '/secrets/0/version_id': 'not' failed"},
		{"empty allow", `secrets: [{name: "{a}", allow: ""}]`, "at '/secrets/0/allow': minLength"},

		{"mapping for a list", "parameters: {name: a}", "at '/parameters': got object, want null or array"},
		{"text for a parameter", "parameters: [db]", "at '/parameters/0': got string, want object"},
		{"text for a secret", "secrets: [db]", "at '/secrets/0': got string, want object"},
		{"text for an item", "dynamodb: [db]", "at '/dynamodb/0': got string, want object"},
		{"entry without content", "dynamodb: [~]", "at '/dynamodb/0': got null, want object"},
		{"parameter without a name", "parameters: [{region: us-west-2}]", "at '/parameters/0': 'oneOf' failed, none matched"},
		{"name and names", "parameters: [{name: a, names: [b]}]", "at '/parameters/0': 'oneOf' failed, subschemas 0, 1 matched"},
		{"name and path", "parameters: [{name: a, path: /b}]", "at '/parameters/0': 'oneOf' failed, subschemas 0, 2 matched"},
		{"secret without a name", "secrets: [{stage: s}]", "at '/secrets/0': 'oneOf' failed, none matched"},
		{"secret with both", "secrets: [{name: a, names: [b]}]", "at '/secrets/0': 'oneOf' failed, subschemas 0, 1 matched"},
		{"empty name", `secrets: [{name: ""}]`, "at '/secrets/0/name': minLength"},
		{"boolean as name", "secrets: [{name: true}]", "at '/secrets/0/name': got boolean"},
		{"no names", "secrets: [{names: []}]", "at '/secrets/0/names': minItems"},
		{"no parameter names", "parameters: [{names: []}]", "at '/parameters/0/names': minItems"},
		{"name given twice", "parameters: [{names: [a, b, a]}]", "at '/parameters/0/names': items at 0 and 2 are equal"},
		{"secret given twice", "secrets: [{names: [a, a]}]", "at '/secrets/0/names': items at 0 and 1 are equal"},
		{"names renamed", "parameters: [{names: [a, b], as: c}]", "at '/parameters/0/names': maxItems"},
		{"secrets renamed", "secrets: [{names: [a, b], as: c}]", "at '/secrets/0/names': maxItems"},
		{"empty as", `secrets: [{name: a, as: ""}]`, "at '/secrets/0/as': minLength"},
		{"region", "secrets: [{name: a, region: US West}]", "at '/secrets/0/region': 'US West' does not match pattern"},
		{"two colons", "parameters: [{name: 'a:1:2'}]", "at '/parameters/0/name': 'a:1:2' does not match pattern"},
		{"two colons in a list", "parameters: [{names: [b, 'a:1:2']}]", "at '/parameters/0/names/1': 'a:1:2' does not match pattern"},
		{"nothing after the colon", "parameters: [{name: 'a:'}]", "at '/parameters/0/name': 'a:' does not match pattern"},
		{"parameter's ARN", "parameters: [{name: 'arn:aws:ssm:us-west-2:123456789012:document/a'}]", "at '/parameters/0/name': 'arn:aws:ssm"},
		{"secret's ARN", "secrets: [{names: ['arn:aws:ssm:us-west-2:123456789012:parameter/a']}]", "at '/secrets/0/names/0': 'arn:aws:ssm"},
		{"table's ARN", "dynamodb: [{table: 'arn:aws:dynamodb:us-west-2:123456789012:table/T/index/I', key: {a: 1}}]", "at '/dynamodb/0/table': 'arn:aws:dynamodb"},
		{"version 0", "parameters: [{name: a, version: 0}]", "at '/parameters/0/version': minimum"},
		{"version as a word", "parameters: [{name: a, version: live}]", "at '/parameters/0/version': 'live' does not match pattern"},
		{"label as a number", "parameters: [{name: a, label: 3}]", "at '/parameters/0/label': got number, want string"},
		{"label with a colon", "parameters: [{name: a, label: 'b:c'}]", "at '/parameters/0/label': 'b:c' does not match pattern"},
		{"version and label", "parameters: [{name: a, version: 1, label: b}]", "at '/parameters/0/label': false schema"},
		{"version of a path", "parameters: [{path: /a, version: 1}]", "at '/parameters/0/path': false schema"},
		{"two versions", "parameters: [{name: 'a:1', version: 1}]", "at '/parameters/0/name': 'a:1' does not match pattern"},
		{"version and label in one", "parameters: [{name: 'a:1', label: b}]", "at '/parameters/0/name': 'a:1' does not match pattern"},
		{"version and label in names", "parameters: [{names: ['a:1'], label: b}]", "at '/parameters/0/names/0': 'a:1' does not match pattern"},
		{"two versions in names", "parameters: [{names: [b, 'a:1'], version: 2}]", "at '/parameters/0/names/1': 'a:1' does not match pattern"},
		{"relative path", "parameters: [{path: a/}]", "at '/parameters/0/path': 'a/' does not match pattern"},
		{"empty stage", `secrets: [{name: a, stage: ""}]`, "at '/secrets/0/stage': minLength"},
		{"no version_id", "secrets: [{name: a, version_id: }]", "at '/secrets/0/version_id': got null"},

		{"no table", "dynamodb: [{key: {a: 1}}]", "at '/dynamodb/0': missing property 'table'"},
		{"no key", "dynamodb: [{table: T}]", "at '/dynamodb/0': 'oneOf' failed, none matched"},
		{"two forms of key", "dynamodb: [{table: T, key: {a: 1}, hashkey: a, hashkeyvalue: b}]", "at '/dynamodb/0': 'oneOf' failed, subschemas 0, 1 matched"},
		{"key and hashkeytype", "dynamodb: [{table: T, key: {a: 1}, hashkeytype: S}]", "properties 'hashkey' required, if 'hashkeytype' exists"},
		{"key and sortkey", "dynamodb: [{table: T, key: {a: 1}, sortkey: b, sortkeyvalue: c}]", "properties 'hashkey' required, if 'sortkey' exists"},
		{"no hashkeyvalue", "dynamodb: [{table: T, hashkey: a}]", "properties 'hashkeyvalue' required, if 'hashkey' exists"},
		{"no hashkey", "dynamodb: [{table: T, hashkeyvalue: a}]", "properties 'hashkey' required, if 'hashkeyvalue' exists"},
		{"no sortkeyvalue", "dynamodb: [{table: T, hashkey: a, hashkeyvalue: b, sortkey: c}]", "properties 'sortkeyvalue' required, if 'sortkey' exists"},
		{"no sortkey", "dynamodb: [{table: T, hashkey: a, hashkeyvalue: b, sortkeyvalue: c}]", "properties 'sortkey' required, if 'sortkeyvalue' exists"},
		{"type without sortkey", "dynamodb: [{table: T, hashkey: a, hashkeyvalue: b, sortkeytype: S}]", "properties 'sortkey' required, if 'sortkeytype' exists"},
		{"type", "dynamodb: [{table: T, hashkey: a, hashkeytype: n, hashkeyvalue: 1}]", "at '/dynamodb/0/hashkeytype': value must be one of 'S', 'N', 'B'"},
		{"sort type", "dynamodb: [{table: T, hashkey: a, hashkeyvalue: 1, sortkey: b, sortkeytype: X, sortkeyvalue: 1}]", "at '/dynamodb/0/sortkeytype': value must be one of"},
		{"no number", "dynamodb: [{table: T, hashkey: a, hashkeytype: N, hashkeyvalue: one}]", "at '/dynamodb/0/hashkeyvalue': 'one' does not match pattern"},
		{"no sort number", "dynamodb: [{table: T, hashkey: a, hashkeyvalue: 1, sortkey: b, sortkeytype: N, sortkeyvalue: true}]", "at '/dynamodb/0/sortkeyvalue': got boolean"},
		{"no base64", "dynamodb: [{table: T, hashkey: a, hashkeytype: B, hashkeyvalue: '***'}]", "at '/dynamodb/0/hashkeyvalue': '***' does not match pattern"},
		{"no sort base64", "dynamodb: [{table: T, hashkey: a, hashkeyvalue: b, sortkey: c, sortkeytype: B, sortkeyvalue: '***'}]", "at '/dynamodb/0/sortkeyvalue': '***'"},
		{"empty value", `dynamodb: [{table: T, hashkey: a, hashkeyvalue: ""}]`, "at '/dynamodb/0/hashkeyvalue': minLength"},
		{"no parts", "dynamodb: [{table: T, key: {}}]", "at '/dynamodb/0/key': minProperties"},
		{"three parts", "dynamodb: [{table: T, key: {a: 1, b: 2, c: 3}}]", "at '/dynamodb/0/key': maxProperties"},
		{"part without a name", `dynamodb: [{table: T, key: {"": a}}]`, "at '/dynamodb/0/key/': false schema"},
		{"part without a value", `dynamodb: [{table: T, key: {a: }}]`, "at '/dynamodb/0/key/a': got null"},
		{"boolean part", "dynamodb: [{table: T, key: {a: true}}]", "at '/dynamodb/0/key/a': got boolean"},
		{"no fields", "dynamodb: [{table: T, key: {a: 1}, fields: []}]", "at '/dynamodb/0/fields': minItems"},
		{"field given twice", "dynamodb: [{table: T, key: {a: 1}, fields: [b, b]}]", "at '/dynamodb/0/fields': items at 0 and 1 are equal"},

		{"variable left open", `secrets: [{name: "${A"}]`, "at '/secrets/0/name': '${A' does not match pattern"},
		{"variable without a name", `secrets: [{name: "${}"}]`, "at '/secrets/0/name': '${}' does not match pattern"},
		{"variable with another operator", `server: {port: "${N-1}"}`, "at '/server/port': '${N-1}' does not match pattern"},
		{"variable in a default", `ttl: ${D:-${T}}`, "at '/ttl': '${D:-${T}}' does not match pattern"},
		{"credential", "secrets: [{name: 'a${AWS_SESSION_TOKEN}'}]", "at '/secrets/0/name': 'not' failed"},
		{"credential with a default", "log: {level: '${AWS_SECRET_ACCESS_KEY:-info}'}", "at '/log/level': 'not' failed"},
	} {
		if _, err := config.Parse("config.yaml", []byte(tt.input), parseOptions); err == nil {
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

// TestSchemaRefusesOfEveryKey writes to each key what none can hold.
func TestSchemaRefusesOfEveryKey(t *testing.T) {
	s := compileConfig(t)
	root := readSchema(t)
	for _, tt := range []struct {
		name, input string // before what the key is written, and the closing brackets after it
		after       string
		place       string
		keys        map[string]node
	}{
		{"the top", "", "", "/", root.Properties},
		{"server", "server: {", "}", "/server/", root.Properties["server"].Properties},
		{"log", "log: {", "}", "/log/", root.Properties["log"].Properties},
		{"memory", "memory: {", "}", "/memory/", root.Properties["memory"].Properties},
		{"shared", "shared: {", "}", "/shared/", root.Properties["shared"].Properties},
		{"parameter", "parameters: [{", "}]", "/parameters/0/", root.Definitions["parameter"].Properties},
		{"secret", "secrets: [{", "}]", "/secrets/0/", root.Definitions["secret"].Properties},
		{"item", "dynamodb: [{", "}]", "/dynamodb/0/", root.Definitions["item"].Properties},
	} {
		if len(tt.keys) == 0 {
			t.Errorf("%s has no keys", tt.name)
		}
		for key := range tt.keys {
			for _, value := range []string{"[[]]", `{"": []}`, `"${AWS_SESSION_TOKEN}"`, `"${T"`} {
				input := tt.input + key + ": " + value + tt.after
				if _, err := config.Parse("config.yaml", []byte(input), parseOptions); err == nil {
					t.Errorf("%s: the program takes it", input)
				}
				doc, err := editor([]byte(input))
				if err != nil {
					t.Fatalf("%s: %v", input, err)
				}
				// In a list, it is the element that is wrong.
				want := "at '" + tt.place + key
				if err := s.Validate(doc); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, want %q", input, err, want)
				}
			}
		}
	}
}

// TestDefaults writes every default of the schema into a file, which must change nothing.
func TestDefaults(t *testing.T) {
	const sharedURL = "redis://localhost"
	root := readSchema(t)
	settings := map[string]any{}
	for name, n := range root.Properties {
		switch {
		case name == "parameters" || name == "secrets" || name == "dynamodb":
		case n.Properties == nil:
			settings[name] = n.theDefault(t, name)
		default:
			below := map[string]any{}
			for key, n := range n.Properties {
				if name+"."+key == "shared.url" {
					below[key] = sharedURL
				} else if name+"."+key != "shared.key_secret" {
					below[key] = n.theDefault(t, name+"."+key)
				}
			}
			settings[name] = below
		}
	}
	item := root.Definitions["item"].Properties
	entry := map[string]any{"table": "T", "hashkey": "a", "hashkeyvalue": "b", "sortkey": "c", "sortkeyvalue": "d"}
	bare := map[string]any{"dynamodb": []any{entry}, "shared": map[string]any{"url": sharedURL}}
	full := map[string]any{"required": root.Definitions["required"].theDefault(t, "required")}
	for _, key := range []string{"hashkeytype", "sortkeytype", "consistent"} {
		full[key] = item[key].theDefault(t, key)
	}
	for key, v := range entry {
		full[key] = v
	}
	settings["dynamodb"] = []any{full}

	got, want := parse(t, settings), parse(t, bare)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("with the schema's defaults written out:\n%+v\nwant as without:\n%+v", got, want)
	}
}

// node is what these tests read of a schema.
type node struct {
	Default     any
	Properties  map[string]node
	Definitions map[string]node
}

func readSchema(t *testing.T) (root node) {
	t.Helper()
	if err := json.Unmarshal(schema.Config(), &root); err != nil {
		t.Fatal(err)
	}
	return root
}

func (n node) theDefault(t *testing.T, name string) any {
	t.Helper()
	if n.Default == nil {
		t.Errorf("%s has no default in the schema", name)
	}
	return n.Default
}

// parse reads doc as JSON, which is YAML as well.
func parse(t *testing.T, doc any) *config.Config {
	t.Helper()
	data, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("config.yaml", data, parseOptions)
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return cfg
}
