package config

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestFullConfig reads a file that uses every key and compares all that came of it.
func TestFullConfig(t *testing.T) {
	got := parseFile(t, "testdata/good/full.yaml")
	entry := func(line int, name, region string) Entry {
		return Entry{Line: line, Name: name, Region: region, TTL: time.Minute, StaleIfError: 2 * time.Hour}
	}
	with := func(e Entry, change func(*Entry)) Entry { change(&e); return e }
	required := func(e *Entry) { e.Required = true }
	short := func(e *Entry) { e.TTL = 10 * time.Second }
	want := &Config{
		File:                 "config.yaml",
		TTL:                  time.Minute,
		StaleWhileRevalidate: 10 * time.Second,
		StaleIfError:         2 * time.Hour,
		StaleWait:            250 * time.Millisecond,
		NegativeTTL:          5 * time.Second,
		Timeout:              time.Second,
		Prefetch:             true,
		PrefetchTimeout:      4 * time.Second,
		Server:               Server{Port: 4001, Token: "token", MaxWaiting: 16},
		Log:                  Log{Level: slog.LevelDebug},
		Metrics:              true,
		Memory:               Memory{MaxEntries: 10_000, MaxBytes: 16 << 20},
		AWS:                  AWS{Region: "us-west-2", MaxAttempts: 3},
		Parameters: []Parameter{
			{Entry: with(entry(21, "/app/a", "eu-central-1"), short), ID: "/app/a"},
			{Entry: with(entry(22, "/app/b:7", "eu-central-1"), short), ID: "/app/b", Selector: "7"},
			{Entry: with(entry(23, "db-url", "us-west-2"), func(e *Entry) { e.TTL, e.StaleIfError = 0, 0 }), ID: "/app/prod/db-url", Selector: "live"},
			{Entry: entry(28, "arn:aws:ssm:eu-west-1:123456789012:parameter/shared/p:3", "eu-west-1"), ID: "arn:aws:ssm:eu-west-1:123456789012:parameter/shared/p", Selector: "3"},
			{Entry: entry(29, "/app/v", "us-west-2"), ID: "/app/v", Selector: "12"},
			{Entry: with(entry(31, "/app/prod/flags/", "us-west-2"), required), Path: "/app/prod/flags/", Label: "live"},
		},
		Secrets: []Secret{
			{Entry: entry(35, "secret_info", "us-west-2"), ID: "secret_info"},
			{
				Entry: with(entry(36, "db", "us-gov-west-1"), required), ID: "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:db-AbCdEf",
				Stage: "AWSCURRENT", VersionID: "01234567-89ab-cdef-0123-456789abcdef",
			},
		},
		Items: []Item{
			{
				Entry: entry(42, "acme-42", "us-west-2"), Table: "Users-1ABC", Hash: KeyPart{"tenant", "S", "acme"}, Sort: KeyPart{"id", "N", "42"},
				Fields: []string{"name", "a.b"}, Consistent: true,
			},
			{
				Entry: entry(47, "arn:aws:dynamodb:ap-south-1:123456789012:table/Things-3q2+7w==", "ap-south-1"),
				Table: "arn:aws:dynamodb:ap-south-1:123456789012:table/Things", Hash: KeyPart{"id", "B", "\xde\xad\xbe\xef"},
			},
			{Entry: entry(49, "Users-042", "us-west-2"), Table: "Users", Hash: KeyPart{"id", "N", "042"}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Parse(full.yaml) =\n%+v\nwant\n%+v", got, want)
	}
}

// TestSampleOfAWS reads the file that comes with AWS's own demo of a caching extension, and the defaults with it.
func TestSampleOfAWS(t *testing.T) {
	got := parseFile(t, "testdata/good/sample.yaml")
	entry := func(line int, name string) Entry {
		return Entry{Line: line, Name: name, Region: "us-west-2", TTL: 5 * time.Minute, StaleIfError: time.Hour}
	}
	want := &Config{
		File:            "config.yaml",
		TTL:             5 * time.Minute,
		StaleIfError:    time.Hour,
		StaleWait:       500 * time.Millisecond,
		NegativeTTL:     10 * time.Second,
		Timeout:         2 * time.Second,
		PrefetchTimeout: 5 * time.Second,
		Server:          Server{Port: 4000, MaxWaiting: 256},
		Memory:          Memory{MaxEntries: 10_000, MaxBytes: 16 << 20},
		AWS:             AWS{Region: "us-west-2", MaxAttempts: 3},
		Parameters: []Parameter{
			{Entry: entry(4, "CacheExtensions_Parameter1"), ID: "CacheExtensions_Parameter1"},
			{Entry: entry(5, "/aws/reference/secretsmanager/secret_info"), ID: "/aws/reference/secretsmanager/secret_info"},
		},
		Items: []Item{{
			Entry: entry(7, "DynamoDbTable-pKey1-sKey1"), Table: "DynamoDbTable",
			Hash: KeyPart{"pKey", "S", "pKey1"}, Sort: KeyPart{"sKey", "S", "sKey1"},
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Parse(sample.yaml) =\n%+v\nwant\n%+v", got, want)
	}
}

func TestKeyForms(t *testing.T) {
	const head = "dynamodb:\n  - table: T\n    "
	for _, tt := range []struct {
		name, input string
		hash, sort  KeyPart
		served      string
	}{
		{"text", `key: {id: a}`, KeyPart{"id", "S", "a"}, KeyPart{}, "T-a"},
		{"quoted number is text", `key: {id: "42"}`, KeyPart{"id", "S", "42"}, KeyPart{}, "T-42"},
		{"tagged text", `key: {id: !!str 42}`, KeyPart{"id", "S", "42"}, KeyPart{}, "T-42"},
		{"order as written", `key: {z: 1, a: 2}`, KeyPart{"z", "N", "1"}, KeyPart{"a", "N", "2"}, "T-1-2"},
		{"negative and fraction", `key: {a: -1.50, b: 0}`, KeyPart{"a", "N", "-1.50"}, KeyPart{"b", "N", "0"}, "T--1.50-0"},
		{
			"38 digits", `key: {id: 12345678901234567890123456789012345678}`,
			KeyPart{"id", "N", "12345678901234567890123456789012345678"}, KeyPart{}, "T-12345678901234567890123456789012345678",
		},
		{"expansion is text", `key: {id: "${NUMBER}"}`, KeyPart{"id", "S", "42"}, KeyPart{}, "T-42"},
		{"plain expansion is text", "key:\n      id: ${NUMBER}", KeyPart{"id", "S", "42"}, KeyPart{}, "T-42"},
		{"words of YAML 1.1, quoted", `key: {no: "yes", on: 'off'}`, KeyPart{"no", "S", "yes"}, KeyPart{"on", "S", "off"}, "T-yes-off"},
		{"words of YAML 1.1, tagged", `key: {id: !!str yes, at: !!str 12:30}`, KeyPart{"id", "S", "yes"}, KeyPart{"at", "S", "12:30"}, "T-yes-12:30"},
		{"single letters", `key: {id: y, at: N}`, KeyPart{"id", "S", "y"}, KeyPart{"at", "S", "N"}, "T-y-N"},
		{"no numbers to the base of sixty", `key: {id: 12:75, at: a:1}`, KeyPart{"id", "S", "12:75"}, KeyPart{"at", "S", "a:1"}, "T-12:75-a:1"},
		{"key is not expanded", `key: {"${NUMBER}": a}`, KeyPart{"${NUMBER}", "S", "a"}, KeyPart{}, "T-a"},
		{"block text", "key:\n      id: |-\n        042", KeyPart{"id", "S", "042"}, KeyPart{}, "T-042"},
		{"binary in lines", "key:\n      id: !!binary |\n        3q2+\n        7w==", KeyPart{"id", "B", "\xde\xad\xbe\xef"}, KeyPart{}, "T-3q2+7w=="},
		{"long form, type left out", `{hashkey: id, hashkeyvalue: 1e3}`, KeyPart{"id", "S", "1e3"}, KeyPart{}, "T-1e3"},
		{"long form, literal text", `{hashkey: id, hashkeyvalue: 2024-01-01, sortkey: on, sortkeyvalue: null}`, KeyPart{"id", "S", "2024-01-01"}, KeyPart{"on", "S", "null"}, "T-2024-01-01-null"},
		{"long form, number", `{hashkey: id, hashkeytype: N, hashkeyvalue: 1e3}`, KeyPart{"id", "N", "1e3"}, KeyPart{}, "T-1e3"},
		{"long form, words of YAML 1.1", `{hashkey: id, hashkeyvalue: yes, sortkey: at, sortkeyvalue: 12:30:45}`, KeyPart{"id", "S", "yes"}, KeyPart{"at", "S", "12:30:45"}, "T-yes-12:30:45"},
		{"long form, binary", `{hashkey: id, hashkeytype: B, hashkeyvalue: 3q2+7w==}`, KeyPart{"id", "B", "\xde\xad\xbe\xef"}, KeyPart{}, "T-3q2+7w=="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			input := head + tt.input + "\n"
			if flow, ok := strings.CutPrefix(tt.input, "{"); ok {
				input = "dynamodb:\n  - {table: T, " + flow + "\n"
			}
			c, err := Parse("config.yaml", []byte(input), Options{Env: []string{"AWS_REGION=us-west-2", "NUMBER=42"}})
			if err != nil {
				t.Fatalf("Parse(%s) = %v", input, err)
			}
			got := c.Items[0]
			if got.Hash != tt.hash || got.Sort != tt.sort || got.Name != tt.served {
				t.Errorf("Parse(%s) = %+v, %+v served as %q, want %+v, %+v served as %q", input, got.Hash, got.Sort, got.Name, tt.hash, tt.sort, tt.served)
			}
		})
	}
}

// TestKeyLengths holds each part of a key to the most bytes that DynamoDB takes.
func TestKeyLengths(t *testing.T) {
	const hashFault = "is longer than 2048 bytes, the most that a hash key can be"
	const sortFault = "is longer than 1024 bytes, the most that a sort key can be"
	text := func(n int) string { return strings.Repeat("é", n/2) } // n counts bytes, of which é has two
	binary := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, tt := range []struct{ name, input, want string }{
		{"longest", "key: {id: " + text(2048) + ", at: " + text(1024) + "}", ""},
		{"hash", "key: {id: " + text(2050) + ", at: " + text(1024) + "}", "config.yaml:3: dynamodb: key: id: " + quote(text(2050)) + " " + hashFault},
		{"sort", "key: {id: " + text(2048) + ", at: " + text(1026) + "}", "config.yaml:3: dynamodb: key: at: " + quote(text(1026)) + " " + sortFault},
		{"longest binary", "key: {id: !!binary " + binary(2048) + ", at: !!binary " + binary(1024) + "}", ""},
		{"binary hash", "key: {id: !!binary " + binary(2049) + "}", "config.yaml:3: dynamodb: key: id: " + quote(binary(2049)) + " " + hashFault},
		{"variable", "key: {id: \"${LONG}\"}", "config.yaml:3: dynamodb: key: id: \"${LONG}\" " + hashFault},
		{"zeros of a number", "{hashkey: id, hashkeytype: N, hashkeyvalue: 1" + strings.Repeat("0", 100) + "}", ""},
		{"long form, longest", "{hashkey: id, hashkeyvalue: " + text(2048) + ", sortkey: at, sortkeyvalue: " + text(1024) + "}", ""},
		{"long form, hash", "{hashkey: id, hashkeyvalue: " + text(2050) + "}", "config.yaml:2: dynamodb: hashkeyvalue: " + quote(text(2050)) + " " + hashFault},
		{
			"long form, sort", "{hashkey: id, hashkeyvalue: a, sortkey: at, sortkeytype: B, sortkeyvalue: " + binary(1025) + "}",
			"config.yaml:2: dynamodb: sortkeyvalue: " + quote(binary(1025)) + " " + sortFault,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			input := "dynamodb:\n  - table: T\n    " + tt.input + "\n"
			if flow, ok := strings.CutPrefix(tt.input, "{"); ok {
				input = "dynamodb:\n  - {table: T, " + flow + "\n"
			}
			_, err := Parse("config.yaml", []byte(input), Options{Env: []string{"AWS_REGION=us-west-2", "LONG=" + text(2050)}})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("Parse(%s) = %q, want %q", input, got, tt.want)
			}
		})
	}
}

func TestAliasesAndMerges(t *testing.T) {
	const input = `
parameters:
  - &base
    name: a
    ttl: &ttl 1s
    required: true
  - <<: *base
    name: b
    required: false
  - <<: [{ttl: 2s}, *base]
    as: c
  - {name: d, ttl: *ttl}
`
	c := parse(t, input)
	type row struct {
		Line     int
		Name, ID string
		TTL      time.Duration
		Required bool
	}
	var got []row
	for _, p := range c.Parameters {
		got = append(got, row{p.Line, p.Name, p.ID, p.TTL, p.Required})
	}
	want := []row{
		{3, "a", "a", time.Second, true},
		{7, "b", "b", time.Second, false},
		{10, "c", "a", 2 * time.Second, true},
		{12, "d", "d", time.Second, false},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Parse(%s) = %v, want %v", input, got, want)
	}
}

// TestPrecedence sets the same thing in ever more places.
func TestPrecedence(t *testing.T) {
	for _, tt := range []struct {
		name, input string
		env         []string
		want        time.Duration
	}{
		{"default", "secrets: [{name: a}]", nil, 5 * time.Minute},
		{"file", "ttl: 1m\nsecrets: [{name: a}]", nil, time.Minute},
		{"environment", "ttl: 1m\nsecrets: [{name: a}]", []string{"CACHE_EXTENSION_TTL=2m"}, 2 * time.Minute},
		{"empty variable", "ttl: 1m\nsecrets: [{name: a}]", []string{"CACHE_EXTENSION_TTL="}, time.Minute},
		{"first of two variables", "secrets: [{name: a}]", []string{"CACHE_EXTENSION_TTL=2m", "CACHE_EXTENSION_TTL=3m"}, 2 * time.Minute},
		{"entry", "ttl: 1m\nsecrets: [{name: a, ttl: 3m}]", []string{"CACHE_EXTENSION_TTL=2m"}, 3 * time.Minute},
		{"zero counts", "ttl: 1m\nsecrets: [{name: a, ttl: 0s}]", []string{"CACHE_EXTENSION_TTL=2m"}, 0},
		{"zero in the environment", "ttl: 1m\nsecrets: [{name: a}]", []string{"CACHE_EXTENSION_TTL=0"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := parse(t, tt.input, tt.env...)
			if got := c.Secrets[0].TTL; got != tt.want {
				t.Errorf("Parse(%q) with %v: ttl = %v, want %v", tt.input, tt.env, got, tt.want)
			}
		})
	}
	c := parse(t, "prefetch: false\nserver: {port: 1}\nlog: {level: warn}", "CACHE_EXTENSION_INIT_STARTUP=True", "CACHE_EXTENSION_PORT=0", "CACHE_EXTENSION_LOG_LEVEL=ERROR")
	if !c.Prefetch || c.Server.Port != 0 || c.Log.Level != slog.LevelError {
		t.Errorf("Parse with all variables = prefetch %v, port %d, level %v, want true, 0, ERROR", c.Prefetch, c.Server.Port, c.Log.Level)
	}
}

func TestBooleans(t *testing.T) {
	for _, tt := range []struct {
		name, input string
		want        bool
	}{
		{"plain", "prefetch: true", true},
		{"quoted", `prefetch: "true"`, true},
		{"number", "prefetch: 1", true},
		{"letter", "prefetch: F", false},
		{"variable", "prefetch: ${ON}", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := parse(t, tt.input, "ON=TRUE").Prefetch; got != tt.want {
				t.Errorf("Parse(%q): prefetch = %v, want %v", tt.input, got, tt.want)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		name, input string
		options     Options
		want        string
	}{
		{"empty mapping", "{}", Options{}, "config.yaml: nothing to cache (list it under parameters, secrets or dynamodb)"},
		{"only a comment", "# nothing\n", Options{}, "config.yaml: nothing to cache (list it under parameters, secrets or dynamodb)"},
		{"only a mark", "---\n", Options{}, "config.yaml: nothing to cache (list it under parameters, secrets or dynamodb)"},
		{"empty sections", "parameters:\nsecrets: []\n", Options{}, "config.yaml: nothing to cache (list it under parameters, secrets or dynamodb)"},
		{
			"unknown variables", "secrets: [{name: a, region: us-west-2}]", Options{Env: []string{"CACHE_EXTENSION_COLOUR=1", "CACHE_EXTENSION_TLL=1s", "CACHE_EXTENSION_FOO=1", "CACHE_EXTENSION_BAR=", "CACHE_EXTENSION_PORT=1"}},
			"CACHE_EXTENSION_COLOUR: unknown variable\nCACHE_EXTENSION_FOO: unknown variable\nCACHE_EXTENSION_TLL: unknown variable (did you mean \"CACHE_EXTENSION_TTL\"?)",
		},
		{
			"check without a region and a token", "server:\n  token: true\nsecrets:\n  - name: a\n", Options{Check: true},
			"config.yaml:2: server: token: neither AWS_SESSION_TOKEN nor AWS_CONTAINER_AUTHORIZATION_TOKEN is set, from which the token is taken (set server.token to false, or one of them)\n" +
				"config.yaml:4: secrets: no region (give the entry a region, or set AWS_REGION)",
		},
		{
			"half a key", "secrets: [{name: a, region: us-west-2}]", Options{Env: []string{"AWS_ACCESS_KEY_ID=AKIA"}},
			"AWS_ACCESS_KEY_ID: not used, because AWS_SECRET_ACCESS_KEY is not set",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("config.yaml", []byte(tt.input), tt.options)
			if err != nil {
				t.Fatalf("Parse(%q) = %v", tt.input, err)
			}
			if got := c.Warnings.Error(); got != tt.want {
				t.Errorf("Parse(%q): warnings\n%s\nwant\n%s", tt.input, got, tt.want)
			}
		})
	}
}

func TestByteOrderMarkIsSkipped(t *testing.T) {
	if got := parse(t, "\ufeffttl: 7s\n").TTL; got != 7*time.Second {
		t.Errorf("ttl = %v, want 7s", got)
	}
}

// FuzzParse checks that no file brings Parse down, that its faults are in order and point into the file, and that a
// second reading says the same as the first.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml", rootConfig} {
		for _, data := range readAll(f, pattern) {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o := Options{Env: []string{"AWS_REGION=us-west-2", "NAME=value", "EMPTY="}}
		c, err := Parse("config.yaml", data, o)
		again, errAgain := Parse("config.yaml", data, o)
		if !reflect.DeepEqual(c, again) || !reflect.DeepEqual(err, errAgain) {
			t.Fatalf("Parse = %+v, %v and then %+v, %v", c, err, again, errAgain)
		}
		if err == nil {
			return
		}
		var faults Faults
		if !errors.As(err, &faults) || len(faults) == 0 {
			t.Fatalf("Parse = %v, which holds no Faults", err)
		}
		last := 0
		for _, fault := range faults {
			if fault.Line < last || fault.Line > strings.Count(breaks.Replace(string(data)), "\n")+1 {
				t.Errorf("fault %q at line %d, after one at line %d", fault.Text, fault.Line, last)
			}
			if strings.ContainsAny(fault.Text, "\n\r") {
				t.Errorf("fault %q has more than one line", fault.Text)
			}
			last = fault.Line
		}
	})
}

// breaks makes a line feed of all else that ends a line in YAML.
var breaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

// parse returns the configuration in input, which must have no fault.
func parse(t *testing.T, input string, env ...string) *Config {
	t.Helper()
	c, err := Parse("config.yaml", []byte(input), Options{Env: append([]string{"AWS_REGION=us-west-2"}, env...)})
	if err != nil {
		t.Fatalf("Parse(%q) = %v", input, err)
	}
	return c
}

func parseFile(t *testing.T, file string) *Config {
	t.Helper()
	data := readTestFile(t, file)
	c, err := Parse("config.yaml", data, Options{Env: envOf(string(data))})
	if err != nil {
		t.Fatalf("Parse(%s) = %v", file, err)
	}
	return c
}
