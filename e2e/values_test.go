package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"testing"
	"time"

	"cache-extension/e2e/cloud"
	"cache-extension/e2e/output"
	"cache-extension/e2e/parts"
	"cache-extension/e2e/sandbox"
)

// everything is an item with every type of attribute, as DynamoDB's API takes it.
const everything = `{
	"id": {"S": "1"},
	"string": {"S": "grüße \"<&>\" \u0000 \u2028 🙂"},
	"empty": {"S": ""},
	"digits": {"N": "12345678901234567890123456789012345678"},
	"fraction": {"N": "-0.12345678901234567890123456789012345678"},
	"largest": {"N": "9.9999999999999999999999999999999999999E+125"},
	"smallest": {"N": "1E-130"},
	"true": {"BOOL": true},
	"null": {"NULL": true},
	"binary": {"B": "AAEC/w=="},
	"list": {"L": [{"S": "a"}, {"N": "1"}, {"BOOL": false}, {"L": []}, {"M": {}}]},
	"map": {"M": {"b": {"M": {"c": {"M": {"d": {"NULL": true}}}}}, "a": {"N": "42"}}},
	"strings": {"SS": ["b", "a", "Z"]},
	"numbers": {"NS": ["10", "9", "-1", "0.5", "12345678901234567890123456789012345678"]},
	"binaries": {"BS": ["Ag==", "AQ=="]}
}`

// served is the same item as the extension gives it.
const served = `{
	"id": "1",
	"string": "grüße \"<&>\" \u0000 \u2028 🙂",
	"empty": "",
	"digits": 12345678901234567890123456789012345678,
	"fraction": -0.12345678901234567890123456789012345678,
	"largest": 9.9999999999999999999999999999999999999e125,
	"smallest": 1e-130,
	"true": true,
	"null": null,
	"binary": "AAEC/w==",
	"list": ["a", 1, false, [], {}],
	"map": {"a": 42, "b": {"c": {"d": null}}},
	"strings": ["Z", "a", "b"],
	"numbers": [-1, 0.5, 9, 10, 12345678901234567890123456789012345678],
	"binaries": ["AQ==", "Ag=="]
}`

const valuesConfig = `
ttl: 0s # every read goes to the stand-in
server: {port: 0}
dynamodb:
  - {table: Values, key: {id: "1"}, as: everything}
  - {table: Values, key: {id: "1"}, as: some, fields: [digits, strings]}
  - {table: Numbers, key: {id: 42}, as: number}
  - {table: Binaries, key: {id: !!binary AQI=}, as: binary}
`

func TestItemsOfMoto(t *testing.T) {
	if sandboxed(t, parts.Moto, parts.SAM) {
		checkItems(t, aws(t).URL)
	}
}

func TestItemsOfDynamoDB(t *testing.T) {
	if !sandbox.Inside() {
		for _, program := range []string{"java", "mvn"} {
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("skipped, missing here: %s", program)
			}
		}
	}
	if !sandboxed(t, parts.DynamoDB, parts.SAM) {
		return
	}
	server, err := cloud.StartDynamoDB(context.WithoutCancel(t.Context()), part(t, parts.DynamoDB))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	checkItems(t, server.URL)
}

// checkItems puts items into the DynamoDB at url and reads them through `cache-extension serve`.
func checkItems(t *testing.T, url string) {
	client := cloud.NewClient(url)
	defer client.Close()
	for _, table := range []struct{ name, keyType, item string }{
		{"Values", "S", everything},
		{"Numbers", "N", `{"id": {"N": "42"}, "is": {"S": "a number"}}`},
		{"Binaries", "B", `{"id": {"B": "AQI="}, "is": {"S": "binary"}}`},
	} {
		create := map[string]any{
			"TableName": table.name, "BillingMode": "PAY_PER_REQUEST",
			"AttributeDefinitions": []any{map[string]any{"AttributeName": "id", "AttributeType": table.keyType}},
			"KeySchema":            []any{map[string]any{"AttributeName": "id", "KeyType": "HASH"}},
		}
		if err := client.Call(t.Context(), "DynamoDB_20120810.CreateTable", create); err != nil {
			t.Fatal(err)
		}
		put := map[string]any{"TableName": table.name, "Item": json.RawMessage(table.item)}
		if err := client.Call(t.Context(), "DynamoDB_20120810.PutItem", put); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	write(t, file, valuesConfig, 0o644)
	base := serve(t, file, cloud.Env(url))
	for _, tt := range []struct{ name, want string }{
		{"some", `{"digits": 12345678901234567890123456789012345678, "strings": ["Z", "a", "b"]}`},
		{"number", `{"id": 42, "is": "a number"}`},
		{"binary", `{"id": "AQI=", "is": "binary"}`},
		{"everything", served},
	} {
		got := read(t, base+"/dynamodb?name="+tt.name)
		if !reflect.DeepEqual(decode(t, got), decode(t, []byte(tt.want))) {
			t.Errorf("item %s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
	}
	first := read(t, base+"/dynamodb?name=everything")
	for i := range 1000 {
		if again := read(t, base+"/dynamodb?name=everything"); !bytes.Equal(again, first) {
			t.Fatalf("read %d differs from the first:\ngot  %s\nwant %s", i, again, first)
		}
	}
}

// serve runs `cache-extension serve file` and returns the URL at which it serves.
func serve(t *testing.T, file string, env []string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(layer(t), "extensions", "cache-extension"), "serve", file)
	cmd.Env = env
	var log output.Log
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("cache-extension said:\n%s", &log)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	port, err := log.Wait(ctx, regexp.MustCompile(`\bport=(\d+)`))
	if err != nil {
		t.Fatal(err)
	}
	return "http://localhost:" + port[1]
}

func read(t *testing.T, url string) []byte {
	t.Helper()
	client := http.Client{Timeout: time.Minute}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: got %d %s, want 200", url, response.StatusCode, body)
	}
	return body
}

// decode decodes JSON with numbers as exact fractions.
func decode(t *testing.T, text []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return exact(value)
}

func exact(value any) any {
	switch v := value.(type) {
	case json.Number:
		number, _ := new(big.Rat).SetString(v.String())
		return number.RatString()
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = exact(v[name])
		}
	}
	return value
}
