package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/format"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestNewKind makes the steps of CONTRIBUTING.md in a copy of the checkout, and reads a document of the kind that they add.
func TestNewKind(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("skipped: the layer that is built here is for Linux")
	}
	work := t.TempDir()
	copyModule(t, work)
	var config string
	edits, files := 0, 0
	for _, b := range blocksOf(t, "CONTRIBUTING.md") {
		switch b.language {
		case "diff":
			patch(t, work, b)
			edits++
		case "go":
			name, ok := strings.CutPrefix(strings.SplitN(b.text, "\n", 2)[0], "// ")
			if !ok {
				t.Fatalf("%s: the block does not begin with the name of its file", b)
			}
			_, text, _ := strings.Cut(b.text, "\n")
			write(t, filepath.Join(work, name), text, 0o644)
			checkFormat(t, work, name)
			files++
		case "yaml":
			config = b.text
		}
	}
	if edits < 5 || files != 2 || config == "" {
		t.Fatalf("CONTRIBUTING.md has %d edits, %d files and the configuration %q; want the steps of a kind", edits, files, config)
	}

	// Built as for the layer, with whose flags most is compiled already.
	target := map[string]string{"amd64": "build-CacheExtensionLayerX86", "arm64": "build-CacheExtensionLayerArm"}[runtime.GOARCH]
	build := exec.CommandContext(t.Context(), "make", target, "ARTIFACTS_DIR="+work)
	build.Dir = work
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make %s with the steps of CONTRIBUTING.md: %v\n%s", target, err, out)
	}
	program := filepath.Join(work, "extensions", "cache-extension")

	const content = "schemaVersion: '2.2'\n"
	systemsManager := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Name string }
		err := json.NewDecoder(r.Body).Decode(&in)
		if target := r.Header.Get("X-Amz-Target"); err != nil || target != "AmazonSSM.GetDocument" {
			t.Errorf("Systems Manager was asked for %s with %v, want GetDocument", target, err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if in.Name == "Runbook" {
			fmt.Fprintf(w, `{"Name":"Runbook","Content":%q}`, content)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"__type":"InvalidDocument"}`)
	}))
	t.Cleanup(systemsManager.Close)
	url := serveNewKind(t, program, config+"  - name: Gone\n  - name: team-{team}\n    as: of/{team}\n", systemsManager.URL)
	for _, tt := range []struct {
		name   string // read
		status int
		want   string // part of the body
	}{
		{"Runbook", http.StatusOK, content},
		{"Gone", http.StatusNotFound, `"detail":"AWS has no document behind \"Gone\"`},
		{"of/blue", http.StatusNotFound, `"code":"missing"`},
		{"Other", http.StatusNotFound, `"code":"undeclared"`},
	} {
		status, body := answer(t, url+"/documents?name="+tt.name)
		if status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("GET /documents?name=%s: got %d %s, want %d with %s", tt.name, status, body, tt.status, tt.want)
		}
	}
}

// TestContributingNamesTests looks for the tests that CONTRIBUTING.md names.
func TestContributingNamesTests(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, dir := range []string{"extension", "extension/internal/*"} {
		for _, text := range testsIn(t, dir) {
			all.WriteString(text)
		}
	}
	for _, m := range found(t, "(`)(Test\\w+)`", "CONTRIBUTING.md") {
		if !strings.Contains(all.String(), "\nfunc "+m[2]+"(") {
			t.Errorf("CONTRIBUTING.md names %s, and there is no such test", m[2])
		}
	}
}

// answer reads a URL of any port.
func answer(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := http.Client{Timeout: time.Minute}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// serveNewKind runs the program with a configuration until the end of the test.
func serveNewKind(t *testing.T, program, config, endpoint string) (url string) {
	t.Helper()
	file := filepath.Join(filepath.Dir(program), "documents.yaml")
	write(t, file, config, 0o644)
	env := []string{"CACHE_EXTENSION_PORT=0", "AWS_REGION=eu-west-1", "AWS_ENDPOINT_URL=" + endpoint, "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret"}
	return "http://localhost:" + serveFrom(t, filepath.Dir(file), env, `\bport=(\d+)`, program, "serve", file)
}

// copyModule copies what the program is built of, without tests.
func copyModule(t *testing.T, to string) {
	t.Helper()
	for _, name := range []string{"go.mod", "go.sum", "version.go", "VERSION", "Makefile"} {
		write(t, filepath.Join(to, name), readText(t, name), 0o644)
	}
	if err := os.CopyFS(filepath.Join(to, "extension"), os.DirFS(filepath.Join(root, "extension"))); err != nil {
		t.Fatal(err)
	}
}

// patch makes the edits of a block of CONTRIBUTING.md: in the file of its first line, the lines that begin with a space or -
// give way to those that begin with a space or +.
func patch(t *testing.T, dir string, b block) {
	t.Helper()
	first, hunks, _ := strings.Cut(b.text, "\n")
	name, ok := strings.CutPrefix(first, "--- ")
	if !ok {
		t.Fatalf("%s: the block does not begin with the name of its file", b)
	}
	file := filepath.Join(dir, name)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for hunk := range strings.SplitSeq(hunks, "@@\n") {
		var before, after strings.Builder
		for line := range strings.Lines(hunk) {
			if line[0] != '+' {
				before.WriteString(line[1:])
			}
			if line[0] != '-' {
				after.WriteString(line[1:])
			}
		}
		if n := strings.Count(text, "\n"+before.String()); n != 1 {
			t.Fatalf("%s: %s has these lines %d times, want once: correct CONTRIBUTING.md\n%s", b, name, n, &before)
		}
		text = strings.Replace(text, "\n"+before.String(), "\n"+after.String(), 1)
	}
	write(t, file, text, 0o644)
	checkFormat(t, dir, name)
}

// checkFormat holds a file that CONTRIBUTING.md changes to gofmt.
func checkFormat(t *testing.T, dir, name string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if want, err := format.Source(text); err != nil || !bytes.Equal(text, want) {
		t.Errorf("%s with the steps of CONTRIBUTING.md is not as gofmt has it (%v)", name, err)
	}
}
