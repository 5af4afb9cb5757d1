package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "cache-extension/extension/internal/"

// floors says which of our packages, and which of the libraries that have one home, each package may import.
// Data flows one way: config -> source -> cache -> server; the programs wire them.
var floors = map[string][]string{
	"cache-extension/extension": {"cache-extension", module + "config", module + "source", module + "cache", module + "caches", module + "server", module + "lambda", module + "metrics", module + "early"},
	"cache-extension/extension/cachectl": {
		"cache-extension", module + "config", module + "cache", module + "caches", module + "source", module + "server",
		module + "fixture", module + "policy", module + "schema", module + "page", "github.com/aws/", "github.com/spf13/",
	},
	module + "config":            {"gopkg.in/yaml.v3"},
	module + "cache":             {module + "stack", "github.com/patrickmn/go-cache", "github.com/hashicorp/golang-lru/v2/simplelru"},
	module + "caches":            {module + "config", module + "source", module + "cache"},
	module + "lambda":            {},
	module + "lambda/lambdatest": {},
	module + "early":             {module + "stack"},
	module + "stack":             {},
	module + "policy":            {module + "config"},
	module + "metrics":           {module + "cache"},
	module + "fixture":           {module + "config", module + "cache", module + "source"},
	module + "schema":            {},
	module + "page":              {module + "cache", module + "caches"},
	module + "source":            {module + "config", module + "cache", "github.com/aws/"},
	module + "shared":            {module + "cache", "github.com/valkey-io/"},
	module + "shared/redistest":  {},
	module + "source/awstest":    {"github.com/aws/"},
	module + "source/caller":     {module + "config", module + "cache", module + "source"},
	module + "server":            {module + "cache"},
}

func TestPackagesKeepToTheirFloors(t *testing.T) {
	for _, p := range list(t, "./...") {
		allowed, ok := floors[p.ImportPath]
		if !ok {
			t.Errorf("%s has no floor in floors_test.go: say what it may import", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			ours := strings.HasPrefix(imported, "cache-extension")
			if !ours && !strings.Contains(imported, ".") {
				continue // the standard library
			}
			if !allowedBy(allowed, imported) {
				t.Errorf("%s imports %s, which is not on its floor", p.ImportPath, imported)
			}
		}
	}
}

func allowedBy(floor []string, imported string) bool {
	for _, f := range floor {
		if imported == f || strings.HasSuffix(f, "/") && strings.HasPrefix(imported, f) {
			return true
		}
	}
	return false
}

// Start-up is what an extension costs everyone, and these would pay it in package variables or in size.
func TestProgramDoesNotLink(t *testing.T) {
	for _, p := range list(t, "-deps", "-tags", "shared", ".") {
		if slices.Contains(p.Imports, "encoding/gob") && p.ImportPath != "github.com/patrickmn/go-cache" {
			t.Errorf("%s imports encoding/gob, and the Makefile leaves it out: give up extension/overlay", p.ImportPath)
		}
		for _, heavy := range []string{
			"github.com/aws/aws-sdk-go-v2/config/",
			"github.com/aws/aws-sdk-go-v2/credentials/",
			"github.com/aws/aws-sdk-go-v2/service/",
			"net/http/pprof/",
			"testing/",
		} {
			if strings.HasPrefix(p.ImportPath+"/", heavy) {
				t.Errorf("the program links %s", heavy)
			}
		}
	}
}

// listed is a package as go list tells of it.
type listed struct {
	ImportPath string
	Imports    []string
}

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Imports"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, &stderr)
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		t.Fatalf("go list %v: no packages", args)
	}
	return all
}
