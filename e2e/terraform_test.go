package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cache-extension/e2e/cloud"
	"cache-extension/e2e/emulator"
	"cache-extension/e2e/parts"
)

// TestTerraformModule runs the tests of examples/terraform, which are in a module of their own.
func TestTerraformModule(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "./...")
	cmd.Dir = filepath.Join(root, "e2e", "terraform")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// TestTerraformValidates has Terraform or OpenTofu look at the example. Their providers come from a registry that the tests
// do not reach: it takes a machine that has them in a folder for that. TestTerraformModule is for all others.
func TestTerraformValidates(t *testing.T) {
	program, err := exec.LookPath("terraform")
	if err != nil {
		program, err = exec.LookPath("tofu")
	}
	if err != nil {
		t.Skip("skipped: neither terraform nor tofu is on PATH")
	}
	dir := filepath.Join(terraformExample(t), "examples", "terraform")
	terraform := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir = dir
		// An empty configuration keeps that of the user out of it.
		cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+os.DevNull, "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := terraform("fmt", "-check", "-diff", "-recursive"); err != nil {
		t.Errorf("fmt: %v\n%s", err, out)
	}
	mirror := ""
	home, _ := os.UserHomeDir()
	for _, folder := range []string{filepath.Join(home, ".terraform.d", "plugins"), "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins"} {
		if found, _ := filepath.Glob(filepath.Join(folder, "*", "hashicorp", "aws")); len(found) > 0 {
			mirror = folder
		}
	}
	if mirror == "" {
		t.Skip("skipped after fmt: no provider hashicorp/aws in a plugins folder of this machine")
	}
	write(t, filepath.Join(dir, "policy.json"), `{"Statement": []}`, 0o644)
	for _, args := range [][]string{{"init", "-backend=false", "-input=false", "-plugin-dir=" + mirror}, {"validate"}} {
		if out, err := terraform(args...); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
}

// terraformExample returns a folder with a copy of examples/terraform at its place in a checkout.
func terraformExample(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "examples", "terraform"), os.DirFS(filepath.Join(root, "examples", "terraform"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestTerraformPolicy runs the commands of the example's README and of docs/deploy-terraform.md that print the policy, word
// for word, in an account that a stand-in for the AWS CLI tells.
func TestTerraformPolicy(t *testing.T) {
	checkout := terraformExample(t)
	bin := filepath.Join(checkout, "bin")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "cachectl"), "./extension/cachectl")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	write(t, filepath.Join(bin, "aws"), "#!/bin/sh\n[ \"$1 $2\" = 'sts get-caller-identity' ] && echo 123456789012\n", 0o755)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("AWS_REGION", "eu-west-1")
	dir := filepath.Join(checkout, "examples", "terraform")
	for _, page := range []string{"examples/terraform/README.md", "docs/deploy-terraform.md"} {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		line := regexp.MustCompile(`(?m)^(\.\./\.\./bin/)?cachectl policy .*$`).FindString(string(text))
		if line == "" {
			t.Fatalf("%s prints no policy", page)
		}
		runLine(t, dir, line)

		var policy struct {
			Statement []struct{ Action, Resource []string }
		}
		if text, err = os.ReadFile(filepath.Join(dir, "policy.json")); err == nil {
			err = json.Unmarshal(text, &policy)
		}
		if err != nil {
			t.Fatalf("%s: %v", page, err)
		}
		const want = "[{[ssm:GetParameter ssm:GetParameters] [arn:aws:ssm:eu-west-1:123456789012:parameter/cache-extension/greeting]}]"
		if got := fmt.Sprint(policy.Statement); got != want {
			t.Errorf("%s: got %s, want %s", page, got, want)
		}
	}
}

// TestTerraformFunction runs what the example puts into the function's zip, with the variables that the module gives it.
func TestTerraformFunction(t *testing.T) {
	if !sandboxed(t, parts.RIE, parts.Moto, parts.SAM) {
		return
	}
	proxy := aws(t)
	client := cloud.NewClient(proxy.Target)
	defer client.Close()
	parameter := map[string]string{"Name": "/cache-extension/greeting", "Type": "String", "Value": "Hello"}
	if err := client.Call(t.Context(), "AmazonSSM.PutParameter", parameter); err != nil {
		t.Fatal(err)
	}
	code := t.TempDir()
	for _, name := range []string{"index.js", "config.yaml"} {
		text, err := os.ReadFile(filepath.Join(root, "examples", "terraform", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(code, name), string(text), 0o644)
	}
	env := append(cloud.Env(proxy.URL), "CACHE_EXTENSION_TTL=5m", "CACHE_EXTENSION_INIT_STARTUP=true")
	e := start(t, emulator.Function{Layer: layer(t), Code: code, Env: env})
	if got, want := invoke(t, e, "{}"), `{"greeting":"Hello"}`; got != want {
		t.Errorf("the function: got %s, want %s", got, want)
	}
	if status, body := get(t, "/parameters?name=greeting"); status != http.StatusOK || !strings.Contains(body, "Hello") {
		t.Errorf("greeting: got %d %q, want 200 and Hello", status, body)
	}
}
