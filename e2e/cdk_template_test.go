package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// cdkStack is what cdk synth wrote.
type cdkStack struct {
	dir       string
	Resources map[string]cdkResource
}

type cdkResource struct {
	Type       string
	Properties map[string]any
}

func readCDKStack(t *testing.T, dir string) cdkStack {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "CacheExtensionExample.template.json"))
	if err != nil {
		t.Fatal(err)
	}
	s := cdkStack{dir: dir}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// one returns the resource of a type whose name begins with prefix.
func (s cdkStack) one(t *testing.T, kind, prefix string) cdkResource {
	t.Helper()
	var found []cdkResource
	for name, r := range s.Resources {
		if r.Type == kind && strings.HasPrefix(name, prefix) {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		t.Fatalf("the template has %d resources %s of type %s, want 1", len(found), prefix, kind)
	}
	return found[0]
}

// asset returns the folder of what a function or layer is made of.
func (s cdkStack) asset(t *testing.T, content any) string {
	t.Helper()
	key, _ := content.(map[string]any)["S3Key"].(string)
	return filepath.Join(s.dir, "asset."+strings.TrimSuffix(key, ".zip"))
}

// text does what CloudFormation does with a value of the template.
func (s cdkStack) text(t *testing.T, value any) string {
	t.Helper()
	if text, ok := value.(string); ok {
		return text
	}
	call, _ := value.(map[string]any)
	if ref, ok := call["Ref"].(string); ok {
		known := map[string]string{"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "123456789012"}
		switch s.Resources[ref].Type {
		case "AWS::SSM::Parameter":
			return "Greeting"
		case "AWS::SecretsManager::Secret":
			return passwordARN
		}
		if text, ok := known[ref]; ok {
			return text
		}
	}
	if join, ok := call["Fn::Join"].([]any); ok {
		var all []string
		for _, part := range join[1].([]any) {
			all = append(all, s.text(t, part))
		}
		return strings.Join(all, join[0].(string))
	}
	t.Fatalf("the template has %v where a text was expected", value)
	return ""
}

// checkPolicy holds the permissions of a function, but for writing logs, to what cachectl policy prints.
func checkPolicy(t *testing.T, checkout string, s cdkStack, f cdkResource) {
	t.Helper()
	type statement struct {
		Effect           string
		Action, Resource any
	}
	var got, want []statement
	role := f.Properties["Role"].(map[string]any)["Fn::GetAtt"].([]any)[0].(string)
	for _, r := range s.Resources {
		if r.Type != "AWS::IAM::Policy" || !reflect.DeepEqual(r.Properties["Roles"], []any{map[string]any{"Ref": role}}) {
			continue
		}
		for _, each := range r.Properties["PolicyDocument"].(map[string]any)["Statement"].([]any) {
			each := each.(map[string]any)
			got = append(got, statement{each["Effect"].(string), s.texts(t, each["Action"]), s.texts(t, each["Resource"])})
		}
	}
	if managed, _ := json.Marshal(s.Resources[role].Properties["ManagedPolicyArns"]); strings.Count(string(managed), ":policy/") != 1 ||
		!strings.Contains(string(managed), "service-role/AWSLambdaBasicExecutionRole") {
		t.Errorf("%s: has the managed policies %s, want only the one for logs", role, managed)
	}

	cmd := exec.CommandContext(t.Context(), filepath.Join(checkout, "bin", "cachectl"), "policy", "--account", "123456789012", "--region", "us-east-1",
		filepath.Join(checkout, "examples", "cdk", "config.yaml"))
	cmd.Env = []string{"GREETING_ARN=" + greetingARN, "PASSWORD_ARN=" + passwordARN}
	printed, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Statement []struct {
			Effect           string
			Action, Resource []string
		}
	}
	if err := json.Unmarshal(printed, &document); err != nil {
		t.Fatal(err)
	}
	for _, each := range document.Statement {
		want = append(want, statement{each.Effect, each.Action, each.Resource})
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: may %v, want what cachectl prints, %v", role, got, want)
	}
}

// texts is text for one value or a list of them.
func (s cdkStack) texts(t *testing.T, value any) []string {
	t.Helper()
	list, ok := value.([]any)
	if !ok {
		return []string{s.text(t, value)}
	}
	var all []string
	for _, each := range list {
		all = append(all, s.text(t, each))
	}
	return all
}
