package config

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestLoadFindsTheFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	asked := write("asked.yaml", "{}")
	named := write("named.yaml", "{}")
	task := write("task/config.yaml", "{}")
	write("config.yaml", "{}")
	t.Chdir(dir)

	for _, tt := range []struct {
		name  string
		input Options
		want  string
	}{
		{"argument", Options{Path: asked, Env: []string{"CACHE_EXTENSION_CONFIG=" + named}}, asked},
		{"variable", Options{Env: []string{"CACHE_EXTENSION_CONFIG=" + named, "LAMBDA_TASK_ROOT=" + filepath.Dir(task)}}, named},
		{"task root", Options{Env: []string{"CACHE_EXTENSION_CONFIG=", "LAMBDA_TASK_ROOT=" + filepath.Dir(task)}}, task},
		{"working directory", Options{Env: []string{"LAMBDA_TASK_ROOT=" + filepath.Join(dir, "none")}}, "config.yaml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Load(tt.input)
			if err != nil {
				t.Fatalf("Load(%+v) = %v", tt.input, err)
			}
			if c.File != tt.want {
				t.Errorf("Load(%+v) read %s, want %s", tt.input, c.File, tt.want)
			}
		})
	}
}

func TestUsualPlaces(t *testing.T) {
	for _, tt := range []struct {
		name  string
		input environment
		want  []string
	}{
		{"terminal", nil, []string{"/var/task/config.yaml", "config.yaml"}},
		{"Lambda", environment{"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"}, []string{"/var/task/config.yaml"}},
		{
			"emulator", environment{"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "LAMBDA_TASK_ROOT": "/elsewhere"},
			[]string{"/elsewhere/config.yaml", "/var/task/config.yaml"},
		},
		{"same place twice", environment{"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "LAMBDA_TASK_ROOT": "/var/task"}, []string{"/var/task/config.yaml"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := usualPlaces(tt.input); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("usualPlaces(%v) = %v, want %v", tt.input, got, tt.want)
			}
		})
	}
}

// TestUnreadableFiles also sees to it that the faults of the environment are reported with that of the file.
func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("folder", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("large.yaml", bytes.Repeat([]byte("# ballast\n"), 200_000), 0o644); err != nil {
		t.Fatal(err)
	}
	const rest = "\nCACHE_EXTENSION_TTL: \"60\" has no unit (write a unit, such as 60s)"
	for _, tt := range []struct {
		name  string
		input string
		want  string
	}{
		{"missing", "none.yaml", "none.yaml: no such file (create it, or name another one in CACHE_EXTENSION_CONFIG)"},
		{"directory", "folder", "folder: a directory, not a file (name the file in it)"},
		{"below a file", "large.yaml/config.yaml", "large.yaml/config.yaml: not a directory"},
		{"too large", "large.yaml", "large.yaml: larger than 1 MiB, the most that is read (is it the right file?)"},
		{"nowhere", "", "no config.yaml at /none/config.yaml or /var/task/config.yaml or config.yaml (put it there, or name it in CACHE_EXTENSION_CONFIG)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(Options{Path: tt.input, Env: []string{"CACHE_EXTENSION_TTL=60", "LAMBDA_TASK_ROOT=/none"}})
			if err == nil {
				t.Fatalf("Load(%q) = no error", tt.input)
			}
			if got := err.Error(); got != tt.want+rest {
				t.Errorf("Load(%q) =\n%s\nwant\n%s", tt.input, got, tt.want+rest)
			}
		})
	}
}

const (
	rootConfig = "../../../config.yaml"
	reference  = "../../../docs/config.md"
)

// TestDeployedSample reads the file at the root as it is deployed, with nothing in the environment but a Region.
func TestDeployedSample(t *testing.T) {
	c, err := Load(Options{Path: rootConfig, Env: []string{"AWS_REGION=us-west-2"}})
	if err != nil {
		t.Fatalf("Load(%s) = %v", rootConfig, err)
	}
	var got []string
	for _, p := range c.Parameters {
		got = append(got, "parameters "+p.Name)
	}
	for _, s := range c.Secrets {
		got = append(got, "secrets "+s.Name)
	}
	for _, i := range c.Items {
		got = append(got, "dynamodb "+i.Name+" of "+i.Table)
	}
	want := []string{
		"parameters CacheExtensions_Parameter1",
		"parameters /aws/reference/secretsmanager/secret_info",
		"secrets secret_info",
		"dynamodb DynamoDbTable-pKey1-sKey1 of DynamoDbTable",
	}
	if !reflect.DeepEqual(got, want) || len(c.Warnings) > 0 {
		t.Errorf("Load(%s) declares %q with warnings %q, want %q without", rootConfig, got, c.Warnings, want)
	}
	c, err = Load(Options{Path: rootConfig, Env: []string{"AWS_REGION=us-west-2", "TABLE_NAME=Table-1ABC"}})
	if err != nil || c.Items[0].Table != "Table-1ABC" || c.Items[0].Name != "DynamoDbTable-pKey1-sKey1" {
		t.Errorf("Load(%s) with TABLE_NAME = %+v, %v, want the same name for table Table-1ABC", rootConfig, c, err)
	}
}

func readAll(tb testing.TB, pattern string) [][]byte {
	tb.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		tb.Fatalf("Glob(%s) = %v, %v", pattern, files, err)
	}
	var all [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, data)
	}
	return all
}

// TestReferenceIsComplete holds docs/config.md to the keys and variables that the code knows.
func TestReferenceIsComplete(t *testing.T) {
	page := string(readTestFile(t, reference))
	for _, keys := range [][]string{topKeys, serverKeys, logKeys, memoryKeys, sharedKeys, entryKeys, parameterKeys, secretKeys, itemKeys} {
		for _, key := range keys {
			if !strings.Contains(page, "`"+key+"`") && !strings.Contains(page, "."+key+"`") && !strings.Contains(page, "`"+key+".") {
				t.Errorf("%s does not name the key %s", reference, key)
			}
		}
	}
	variables := 0
	for _, source := range readAll(t, "*.go") {
		for _, word := range strings.Split(string(source), `"`) {
			for _, prefix := range []string{"CACHE_EXTENSION_", "AWS_", "LAMBDA_"} {
				if name, ok := strings.CutPrefix(word, prefix); ok && isVariable(name) && name == strings.ToUpper(name) {
					variables++
					if !strings.Contains(page, "`"+word+"`") {
						t.Errorf("%s does not name the variable %s", reference, word)
					}
				}
			}
		}
	}
	if variables < 20 {
		t.Errorf("%d variables found in the code, want all of them", variables)
	}
}
