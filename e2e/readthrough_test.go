package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"cache-extension/e2e/cloud"
	"cache-extension/e2e/emulator"
	"cache-extension/e2e/output"
	"cache-extension/e2e/parts"
	"cache-extension/e2e/sandbox"
)

// readThroughDir is the variable by which the test in the sandbox finds what examples/read-through deploys: layer and task.
const readThroughDir = "E2E_READ_THROUGH"

// The commands in the README of examples/read-through that are run, the first with another folder behind it.
const (
	readThroughLayer = "make build-CacheExtensionSharedLayerX86 ARTIFACTS_DIR="
	readThroughBuild = "CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -o bootstrap ."
	readThroughServe = "bin/cachectl serve examples/read-through/config.yaml --offline"
)

// sampleItem is the item of the walk-through as the extension gives it.
const sampleItem = `{"fieldOne":"abc","fieldTwo":"def","id":"1"}`

// What the function says of an item by where that was found, and of none.
var (
	fromDynamoDB = regexp.MustCompile(`^\{"status":200,"item":` + regexp.QuoteMeta(sampleItem) + `,"cache":"cache-extension; fwd=uri-miss; stored"\}$`)
	fromMemory   = regexp.MustCompile(`^\{"status":200,"item":` + regexp.QuoteMeta(sampleItem) + `,"cache":"cache-extension; hit; ttl=\d+"\}$`)
	fromShared   = regexp.MustCompile(`^\{"status":200,"item":` + regexp.QuoteMeta(sampleItem) + `,"cache":"shared; hit, cache-extension; fwd=uri-miss; stored"\}$`)
	noItem       = regexp.MustCompile(`^\{"status":404,"cache":""\}$`)
)

// TestReadThrough reads one item from DynamoDB, from memory, and after a restart of extension and function from the shared
// tier, by the function of examples/read-through.
func TestReadThrough(t *testing.T) {
	if !sandbox.Inside() {
		t.Setenv(readThroughDir, buildReadThrough(t))
	}
	if !sandboxed(t, parts.RIE, parts.Moto, parts.SAM) {
		return
	}
	deployed := os.Getenv(readThroughDir)
	proxy := cacheSample(t)
	bootstrap := filepath.Join(t.TempDir(), "bootstrap.mjs")
	write(t, bootstrap, runProgram, 0o644)
	server := startRedis(t)

	type read struct {
		name, id string
		want     *regexp.Regexp
		calls    int // of DynamoDB
	}
	for _, environment := range []struct {
		name   string
		server string
		reads  []read
	}{
		{"the first", server, []read{
			{"first read", "1", fromDynamoDB, 1},
			{"second read", "1", fromMemory, 0},
			{"no such item", "2", noItem, 1},
			{"again", "2", noItem, 0},
			{"no such name", "1/2", noItem, 0},
		}},
		{"after a restart", server, []read{
			{"first read", "1", fromShared, 0},
			{"second read", "1", fromMemory, 0},
			{"no such item, which is not shared", "2", noItem, 1},
		}},
		{"without a server", "", []read{
			{"first read", "1", fromDynamoDB, 1},
			{"second read", "1", fromMemory, 0},
		}},
	} {
		t.Run(environment.name, func(t *testing.T) {
			e, err := emulator.Start(context.WithoutCancel(t.Context()), part(t, parts.RIE), bootstrap, emulator.Function{
				Layer: filepath.Join(deployed, "layer"), Code: filepath.Join(deployed, "task"),
				Env: append(cloud.Env(proxy.URL), "SHARED_CACHE_URL="+environment.server),
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := e.Stop(); err != nil {
					t.Error(err)
				}
				if t.Failed() {
					t.Logf("the emulator, the extension and the function said:\n%s", e.Log())
				}
			})
			proxy.Calls()
			for _, r := range environment.reads {
				if got := invoke(t, e, fmt.Sprintf(`{"id":%q}`, r.id)); !r.want.MatchString(got) {
					t.Errorf("%s: got %s, want %v", r.name, got, r.want)
				}
				want := map[string]int{}
				if r.calls > 0 {
					want["GetItem"] = r.calls
				}
				if got := proxy.Calls(); !maps.Equal(got, want) {
					t.Errorf("%s: got the calls of AWS %v, want %v", r.name, got, want)
				}
			}
			for _, url := range []string{"/dynamodb/1", "/dynamodb?name=1"} {
				if status, body := get(t, url); status != http.StatusOK || body != sampleItem {
					t.Errorf("GET %s: got %d %q, want 200 %q", url, status, body, sampleItem)
				}
			}
		})
	}
}

// TestReadThroughDocs runs what the README shows for a laptop, and holds its commands to those that are run above.
func TestReadThroughDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "examples", "read-through", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, command := range []string{readThroughLayer + `"$PWD/bin/layer"`, "cd examples/read-through", readThroughBuild, readThroughServe} {
		if !slices.Contains(lines, command) {
			t.Errorf("examples/read-through/README.md: no line %q", command)
		}
	}
	port := serveNames(t, nil, strings.Fields(strings.TrimPrefix(readThroughServe, "bin/cachectl serve "))...)
	for i, line := range lines {
		path, ok := strings.CutPrefix(line, "$ curl -s http://localhost:4000")
		if !ok {
			continue
		}
		response, err := http.Get("http://localhost:" + port + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var got, want any
		if err := errors.Join(json.NewDecoder(response.Body).Decode(&got), json.Unmarshal([]byte(lines[i+1]), &want)); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if got, want := fmt.Sprint(got), fmt.Sprint(want); got != want {
			t.Errorf("%s: got %s, want %s", line, got, want)
		}
	}
}

// buildReadThrough makes what is deployed, in the folders layer and task of the folder that it returns.
func buildReadThrough(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("make"); err != nil {
		missing(t, errors.New("make is not installed"))
	}
	if _, err := parts.Redis(t.Context(), filepath.Join(root, ".tools"), os.Stderr); err != nil {
		missing(t, err)
	}
	layer, build := readThroughLayer, readThroughBuild
	if runtime.GOARCH == "arm64" {
		layer, build = strings.Replace(layer, "X86", "Arm", 1), strings.Replace(build, "amd64", "arm64", 1)
	}
	dir := t.TempDir()
	task := filepath.Join(dir, "task")
	runLine(t, root, layer+filepath.Join(dir, "layer"))
	layOver(t, task, filepath.Join(root, "examples", "read-through"))
	runLine(t, task, "go vet . && test -z \"$(gofmt -l .)\"")
	runLine(t, task, build)
	return dir
}

// cacheSample starts AWS's stand-in with the table CacheSample and its one item.
func cacheSample(t *testing.T) *cloud.Proxy {
	t.Helper()
	proxy := aws(t)
	client := cloud.NewClient(proxy.Target)
	defer client.Close()
	attribute := func(name, value string) []map[string]string {
		return []map[string]string{{"AttributeName": "id", name: value}}
	}
	text := func(value string) map[string]string { return map[string]string{"S": value} }
	if err := errors.Join(
		client.Call(t.Context(), "DynamoDB_20120810.CreateTable", map[string]any{
			"TableName": "CacheSample", "BillingMode": "PAY_PER_REQUEST",
			"AttributeDefinitions": attribute("AttributeType", "S"), "KeySchema": attribute("KeyType", "HASH"),
		}),
		client.Call(t.Context(), "DynamoDB_20120810.PutItem", map[string]any{
			"TableName": "CacheSample", "Item": map[string]any{"id": text("1"), "fieldOne": text("abc"), "fieldTwo": text("def")},
		}),
	); err != nil {
		t.Fatal(err)
	}
	return proxy
}

// startRedis starts the server of the shared tier, in the sandbox, and returns its URL. It ends with the test.
func startRedis(t *testing.T) string {
	t.Helper()
	program, err := parts.Redis(t.Context(), filepath.Join(root, ".tools"), os.Stderr)
	if err != nil {
		missing(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var said output.Log
	cmd := exec.Command(program, "--bind", "127.0.0.1", "--port", "6379", "--save", "", "--dir", t.TempDir())
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // what it ended with is that it was killed
	})
	if _, err := said.Wait(ctx, regexp.MustCompile("Ready to accept connections")); err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return "redis://127.0.0.1:6379"
}
