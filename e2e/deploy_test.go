package e2e

import (
	"debug/elf"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"cache-extension/e2e/parts"
)

func TestTemplatesAreValid(t *testing.T) {
	bin := filepath.Join(part(t, parts.SAM), "bin")
	if out, err := command(bin, "sam", "validate", "--lint", "--template", "SAM/template.yaml", "--region", "us-east-1"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := command(bin, "cfn-lint", "SAM/template.yaml", "SAM/layer.yaml", "SAM/function-url.yaml"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestArtifacts(t *testing.T) {
	dir := built(t)
	for _, tt := range []struct {
		resource string
		files    map[string]fs.FileMode
	}{
		{"CacheExtensionLayerX86", map[string]fs.FileMode{"extensions/cache-extension": 0o755}},
		{"CacheExtensionLayerArm", map[string]fs.FileMode{"extensions/cache-extension": 0o755}},
		{"CacheExtensionSharedLayerX86", map[string]fs.FileMode{"extensions/cache-extension": 0o755}},
		{"CacheExtensionSharedLayerArm", map[string]fs.FileMode{"extensions/cache-extension": 0o755}},
		{"ExampleFunction", map[string]fs.FileMode{"config.yaml": 0o644, "index.js": 0o644, "package.json": 0o644}},
	} {
		files := fileModes(t, filepath.Join(dir, tt.resource))
		if !maps.Equal(files, tt.files) {
			t.Errorf("%s: got %v, want %v", tt.resource, files, tt.files)
		}
	}
	for resource, want := range map[string]elf.Machine{
		"CacheExtensionLayerX86": elf.EM_X86_64, "CacheExtensionLayerArm": elf.EM_AARCH64,
		"CacheExtensionSharedLayerX86": elf.EM_X86_64, "CacheExtensionSharedLayerArm": elf.EM_AARCH64,
	} {
		checkProgram(t, filepath.Join(dir, resource, "extensions", "cache-extension"), want)
	}
}

// checkProgram holds a program to a processor, and to needing no libraries.
func checkProgram(t *testing.T, file string, want elf.Machine) {
	t.Helper()
	program, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if program.Machine != want {
		t.Errorf("%s: got %v, want %v", file, program.Machine, want)
	}
	if libraries, err := program.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("%s: needs the libraries %v, %v, want a static binary", file, libraries, err)
	}
}

// TestDatabaseEntryAlwaysAnswers runs the code that the template holds for putting the sample item.
func TestDatabaseEntryAlwaysAnswers(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		missing(t, err)
	}
	text, err := os.ReadFile("../SAM/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct {
			Properties struct {
				InlineCode string `yaml:"InlineCode"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sdk := filepath.Join(dir, "node_modules", "@aws-sdk", "client-dynamodb")
	if err := os.MkdirAll(sdk, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "index.js"), template.Resources["DatabaseEntryFunction"].Properties.InlineCode, 0o644)
	write(t, filepath.Join(sdk, "index.js"), `
exports.PutItemCommand = class { constructor (input) { this.input = input } }
exports.DynamoDBClient = class {
  async send ({ input }) {
    console.log(JSON.stringify(input))
    if (input.TableName === 'broken') throw new Error('no such table')
  }
}`, 0o644)
	properties := func(table string) map[string]any {
		return map[string]any{"Table": table, "Item": `{"pKey": {"S": "pKey1"}}`}
	}
	for _, tt := range []struct {
		name       string
		event      map[string]any
		rejections int // answers that CloudFormation's side refuses at first
		put        string
		status     string
		reason     string
	}{
		{"create", map[string]any{"RequestType": "Create", "ResourceProperties": properties("T")}, 0, `{"TableName":"T","Item":{"pKey":{"S":"pKey1"}}}`, "SUCCESS", ""},
		{"update", map[string]any{"RequestType": "Update", "ResourceProperties": properties("T"), "PhysicalResourceId": "sample-item"}, 0, `{"TableName":"T","Item":{"pKey":{"S":"pKey1"}}}`, "SUCCESS", ""},
		{"delete", map[string]any{"RequestType": "Delete", "ResourceProperties": properties("broken"), "PhysicalResourceId": "sample-item"}, 0, "", "SUCCESS", ""},
		{"failed put", map[string]any{"RequestType": "Create", "ResourceProperties": properties("broken")}, 0, "broken", "FAILED", "Error: no such table"},
		{"no properties", map[string]any{"RequestType": "Create"}, 0, "", "FAILED", "SyntaxError: "},
		{"answer refused twice", map[string]any{"RequestType": "Delete"}, 2, "", "SUCCESS", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var answers []map[string]string
			rejections := tt.rejections
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if rejections > 0 {
					rejections--
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				body, err := io.ReadAll(r.Body)
				var answer map[string]string
				if err != nil || r.Method != http.MethodPut || r.Header.Get("Content-Type") != "" || json.Unmarshal(body, &answer) != nil {
					t.Errorf("answer: got %s with content type %q and %s, want PUT, none and JSON", r.Method, r.Header.Get("Content-Type"), body)
				}
				answers = append(answers, answer)
			}))
			defer server.Close()
			event := map[string]any{"StackId": "stack", "RequestId": "request", "LogicalResourceId": "Item", "ResponseURL": server.URL + "/?signed"}
			maps.Copy(event, tt.event)
			input, err := json.Marshal(event)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), node, "--eval", `require('./index.js').handler(JSON.parse(process.argv[1]))`, string(input))
			cmd.Dir = dir
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("the handler failed: %v\n%s", err, out)
			}
			if got := strings.TrimSpace(string(out)); !strings.Contains(got, tt.put) || tt.put == "" && got != "" {
				t.Errorf("put: got %s, want %s", got, tt.put)
			}
			if len(answers) != 1 {
				t.Fatalf("got %d answers, want 1", len(answers))
			}
			answer := answers[0]
			if answer["Status"] != tt.status || !strings.HasPrefix(answer["Reason"], tt.reason) {
				t.Errorf("got status %s, reason %q, want %s, %q…", answer["Status"], answer["Reason"], tt.status, tt.reason)
			}
			for field, want := range map[string]string{"StackId": "stack", "RequestId": "request", "LogicalResourceId": "Item", "PhysicalResourceId": "sample-item"} {
				if answer[field] != want {
					t.Errorf("%s: got %q, want %q", field, answer[field], want)
				}
			}
		})
	}
}

// TestPoliciesNameWhatIsUsed holds the roles to the actions that are called, on single resources.
func TestPoliciesNameWhatIsUsed(t *testing.T) {
	text, err := os.ReadFile("../SAM/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct {
			Type       string `yaml:"Type"`
			Properties struct {
				Policies []struct {
					PolicyDocument struct {
						Statement []struct {
							Action   any `yaml:"Action"`
							Resource any `yaml:"Resource"`
						} `yaml:"Statement"`
					} `yaml:"PolicyDocument"`
				} `yaml:"Policies"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"ExampleRole": {"dynamodb:BatchGetItem", "dynamodb:GetItem", "logs:CreateLogStream", "logs:PutLogEvents",
			"secretsmanager:GetSecretValue", "ssm:GetParameter", "ssm:GetParameters"},
		"DatabaseEntryRole": {"dynamodb:PutItem", "logs:CreateLogStream", "logs:PutLogEvents"},
	}
	for name, resource := range template.Resources {
		if resource.Type != "AWS::IAM::Role" {
			continue
		}
		var actions []string
		for _, policy := range resource.Properties.Policies {
			for _, statement := range policy.PolicyDocument.Statement {
				actions = append(actions, texts(statement.Action)...)
				for _, resource := range texts(statement.Resource) {
					if strings.Contains(resource, "*") {
						t.Errorf("%s: %v is allowed on %s", name, statement.Action, resource)
					}
				}
			}
		}
		slices.Sort(actions)
		if !slices.Equal(actions, want[name]) {
			t.Errorf("%s: got %v, want %v", name, actions, want[name])
		}
	}
}

// texts returns what YAML gives as one text or a list of them.
func texts(value any) []string {
	var all []string
	switch v := value.(type) {
	case string:
		all = append(all, v)
	case []any:
		for _, each := range v {
			all = append(all, texts(each)...)
		}
	}
	return all
}
