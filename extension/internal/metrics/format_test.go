package metrics_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"cache-extension/extension/internal/metrics"
	"cache-extension/extension/internal/source/awstest"
)

// units are those that CloudWatch knows, without the rates.
var units = []string{
	"Seconds", "Microseconds", "Milliseconds", "Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes",
	"Bits", "Kilobits", "Megabits", "Gigabits", "Terabits", "Percent", "Count", "None",
}

// checkFormat holds a line of the log to the specification of the Embedded Metric Format: the JSON schema in it and the rules
// around it. A document that breaks one makes no metric, and CloudWatch tells nobody.
func checkFormat(t *testing.T, line string) {
	t.Helper()
	fault := func(format string, args ...any) {
		t.Helper()
		t.Errorf("not in the Embedded Metric Format: "+format+"\n%s", append(args, line)...)
	}
	if !strings.HasSuffix(line, "}\n") || strings.Count(line, "\n") != 1 || line[0] != '{' {
		fault("an event is one JSON object with nothing before or behind it")
	}
	if len(line) > 256<<10 {
		fault("%d bytes, more than an event may have", len(line))
	}
	if !utf8.ValidString(line) {
		fault("not UTF-8")
	}
	root := object(t, []byte(line))

	meta := object(t, root["_aws"])
	if got := slices.Sorted(maps.Keys(meta)); !slices.Equal(got, []string{"CloudWatchMetrics", "Timestamp"}) {
		fault("members of _aws = %q", got)
	}
	var timestamp int64
	if err := json.Unmarshal(meta["Timestamp"], &timestamp); err != nil {
		fault("Timestamp is not a whole number: %v", err)
	}
	// CloudWatch drops what is older than two weeks or more than two hours ahead. This catches seconds and microseconds.
	if at := time.UnixMilli(timestamp); time.Since(at).Abs() > time.Minute {
		fault("Timestamp is %v, not now in milliseconds", at)
	}

	var directives []json.RawMessage
	if err := json.Unmarshal(meta["CloudWatchMetrics"], &directives); err != nil || len(directives) == 0 {
		fault("CloudWatchMetrics: %v", err)
	}
	for _, d := range directives {
		checkDirective(t, fault, object(t, d), root)
	}
}

// checkDirective checks what one element of CloudWatchMetrics makes of the members of root.
func checkDirective(t *testing.T, fault func(string, ...any), directive, root map[string]json.RawMessage) {
	t.Helper()
	if got := slices.Sorted(maps.Keys(directive)); !slices.Equal(got, []string{"Dimensions", "Metrics", "Namespace"}) {
		fault("members of a directive = %q", got)
	}
	var namespace string
	if err := json.Unmarshal(directive["Namespace"], &namespace); err != nil || !between(namespace, 1, 1024) || strings.HasPrefix(namespace, "AWS/") {
		fault("Namespace %q, %v", namespace, err)
	}

	var sets [][]string
	if err := json.Unmarshal(directive["Dimensions"], &sets); err != nil || len(sets) == 0 {
		fault("Dimensions: %v", err)
	}
	for _, set := range sets {
		if len(set) > 30 {
			fault("%d dimensions in a set", len(set))
		}
		for _, name := range set {
			var value string
			if err := json.Unmarshal(root[name], &value); err != nil || !between(name, 1, 250) || !between(value, 1, 1024) {
				fault("dimension %q = %s, %v", name, root[name], err)
			}
		}
	}

	var definitions []map[string]any
	if err := json.Unmarshal(directive["Metrics"], &definitions); err != nil || len(definitions) == 0 || len(definitions) > 100 {
		fault("%d metrics: %v", len(definitions), err)
	}
	seen := map[string]bool{}
	for _, d := range definitions {
		name, _ := d["Name"].(string)
		unit, _ := d["Unit"].(string)
		if len(d) != 2 || !between(name, 1, 1024) || seen[name] || !slices.Contains(units, unit) {
			fault("definition %v", d)
		}
		seen[name] = true
		// The target is a member of the root, and CloudWatch's values are doubles.
		var value float64
		if err := json.Unmarshal(root[name], &value); err != nil || value < 0 || value > math.Pow(2, 53) {
			fault("metric %q = %s, %v", name, root[name], err)
		}
	}
}

// object returns the members of a JSON object, none of them twice.
func object(t *testing.T, text []byte) map[string]json.RawMessage {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		t.Fatalf("%v, %v: not an object: %s", start, err, text)
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if _, twice := members[name.(string)]; twice {
			t.Errorf("%q twice in %s", name, text)
		}
		members[name.(string)] = value
	}
	return members
}

// between counts characters.
func between(s string, least, most int) bool {
	n := utf8.RuneCountInString(s)
	return least <= n && n <= most
}

func TestLineAsItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		aws := awstest.New(t)
		aws.PutSecret(region, "name-not-for-logs", awstest.Secret{Text: "value-not-for-logs"})
		set := newCaches(t, aws, "secrets: [{name: name-not-for-logs}]\n")
		var out bytes.Buffer
		w := metrics.New(&out, "Checkout", set.ByKind())
		read(t, set, "secrets", "name-not-for-logs")
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		checkFormat(t, out.String())
		// Time begins in 2000 in the bubble.
		const want = `{"_aws":{"Timestamp":946684800000,"CloudWatchMetrics":[{"Namespace":"CacheExtension",` +
			`"Dimensions":[["FunctionName","CacheType"]],"Metrics":[{"Name":"Hits","Unit":"Count"},{"Name":"Stale","Unit":"Count"},` +
			`{"Name":"Misses","Unit":"Count"},{"Name":"Errors","Unit":"Count"},{"Name":"Entries","Unit":"Count"},{"Name":"Bytes","Unit":"Bytes"}]}]},` +
			`"FunctionName":"Checkout","CacheType":"secrets","Hits":0,"Stale":0,"Misses":1,"Errors":0,"Entries":1,"Bytes":18,` +
			`"Collapsed":0,"Fetches":1,"ErrorsMissing":0,"ErrorsDenied":0,"ErrorsThrottled":0,"ErrorsTimeout":0,"ErrorsUpstream":0}` + "\n"
		if got := out.String(); got != want {
			t.Errorf("Flush wrote\n%swant\n%s", got, want)
		}
	})
}

func TestDimensionsAlwaysHaveAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, function := range []string{"", `a"b\c`} {
			aws := awstest.New(t)
			set := newCaches(t, aws, "secrets: [{name: s}]\n")
			var out bytes.Buffer
			w := metrics.New(&out, function, set.ByKind())
			read(t, set, "secrets", "s")
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			want := function
			if want == "" {
				want = "unknown"
			}
			if got := take(t, &out); len(got) != 1 || got[0].FunctionName != want {
				t.Errorf("New with function %q wrote %+v, want %q", function, got, want)
			}
		}
	})
}
