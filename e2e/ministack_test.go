package e2e

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cache-extension/e2e/cloud"
	"cache-extension/e2e/parts"
)

// ministackAccount is the account that ministack is.
const ministackAccount = "000000000000"

// deployer deploys to ministack from a clean copy of the checkout, and reads what came of it.
type deployer struct {
	url     string // of ministack
	dir     string // the folder SAM of the copy
	env     []string
	ran     []string      // command lines
	calls   io.Writer     // to the process of the SDK
	answers *json.Decoder // from it
}

// makeCalls makes the calls of AWS that come in as lines.
const makeCalls = `
import boto3, json, sys
for line in sys.stdin:
    service, method, arguments = json.loads(line)
    print(json.dumps(getattr(boto3.client(service), method)(**arguments), default=str), flush=True)
`

// newDeployer starts ministack, in the sandbox.
func newDeployer(t *testing.T) *deployer {
	t.Helper()
	server, err := cloud.StartMinistack(context.WithoutCancel(t.Context()), part(t, parts.Ministack), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Close()
		if t.Failed() {
			t.Logf("ministack said:\n%s", server.Log())
		}
	})
	d := &deployer{url: server.URL, dir: filepath.Join(checkedOut(t), "SAM")}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "AWS_") && !strings.HasPrefix(variable, "PATH=") {
			d.env = append(d.env, variable)
		}
	}
	d.env = append(d.env, cloud.Env(server.URL)...)
	d.env = append(d.env, "AWS_DEFAULT_REGION=us-east-1", "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
		"PATH="+filepath.Join(part(t, parts.SAM), "bin")+":"+os.Getenv("PATH"), "SAM_CLI_TELEMETRY=0", "SAM_CLI_POLL_DELAY=0.1")
	d.connect(t)
	return d
}

// connect starts the SDK's process.
func (d *deployer) connect(t *testing.T) {
	t.Helper()
	cmd := exec.Command(filepath.Join(part(t, parts.Ministack), "bin", "python"), "-c", makeCalls)
	cmd.Env = d.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the AWS SDK: %v\n%s", err, &stderr)
		}
	})
	d.calls, d.answers = stdin, json.NewDecoder(bufio.NewReader(stdout))
}

// call makes a call of an AWS service as the SDK for Python names them; the answer is put into out.
func (d *deployer) call(t *testing.T, service, method string, arguments map[string]any, out any) {
	t.Helper()
	line, err := json.Marshal([]any{service, method, arguments})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(d.calls, "%s\n", line); err != nil {
		t.Fatalf("%s %s: %v", service, method, err)
	}
	if err := d.answers.Decode(out); err != nil {
		t.Fatalf("%s %s: %v", service, method, err)
	}
}

// run runs a command line in the folder SAM, with more arguments that only this test needs, and returns what it said.
func (d *deployer) run(t *testing.T, stdin, line string, more ...string) string {
	t.Helper()
	d.ran = append(d.ran, line)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.Join(append([]string{line}, more...), " "))
	cmd.Dir, cmd.Env, cmd.Stdin = d.dir, d.env, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// outputs returns the outputs of a stack.
func (d *deployer) outputs(t *testing.T, stack string) map[string]string {
	t.Helper()
	var described struct {
		Stacks []struct {
			Outputs []struct{ OutputKey, OutputValue string }
		}
	}
	d.call(t, "cloudformation", "describe_stacks", map[string]any{"StackName": stack}, &described)
	all := make(map[string]string)
	for _, output := range described.Stacks[0].Outputs {
		all[output.OutputKey] = output.OutputValue
	}
	return all
}

// function is a function as Lambda describes it.
type function struct {
	Configuration struct {
		Role          string
		Architectures []string
		Layers        []struct{ Arn string }
		Environment   struct{ Variables map[string]string }
	}
	Code struct{ Location string }
}

// function returns the function of a name.
func (d *deployer) function(t *testing.T, name string) function {
	t.Helper()
	var f function
	d.call(t, "lambda", "get_function", map[string]any{"FunctionName": name}, &f)
	return f
}

// layer returns where the content of a layer's version is.
func (d *deployer) layer(t *testing.T, arn string) (location string) {
	t.Helper()
	var version struct{ Content struct{ Location string } }
	d.call(t, "lambda", "get_layer_version_by_arn", map[string]any{"Arn": arn}, &version)
	return version.Content.Location
}

// statement is one of a policy.
type statement struct{ Effect, Action, Resource any }

// allowed returns the statements of a role's own policies, by the policies' names.
func (d *deployer) allowed(t *testing.T, arn string) map[string][]statement {
	t.Helper()
	name := arn[strings.LastIndex(arn, "/")+1:]
	var list struct{ PolicyNames []string }
	d.call(t, "iam", "list_role_policies", map[string]any{"RoleName": name}, &list)
	all := make(map[string][]statement)
	for _, policy := range list.PolicyNames {
		var got struct {
			PolicyDocument struct{ Statement []statement }
		}
		d.call(t, "iam", "get_role_policy", map[string]any{"RoleName": name, "PolicyName": policy}, &got)
		all[policy] = got.PolicyDocument.Statement
	}
	return all
}

// checkedOut returns a copy of the checkout with what a clone of it has: nothing that git ignores.
func checkedOut(t *testing.T) string {
	t.Helper()
	// The checkout may belong to another user than the tests are run by.
	cmd := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	list, err := cmd.Output()
	if err != nil {
		missing(t, fmt.Errorf("the list of files: git ls-files: %w", err))
	}
	dir := filepath.Join(t.TempDir(), "cache-extension")
	for _, name := range strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // removed, but not yet from git
		}
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, to, string(text), info.Mode())
	}
	return dir
}

// downloaded unpacks the zip at a URL, as Lambda does, and returns the folder and the files' modes.
func downloaded(t *testing.T, url string) (dir string, modes map[string]fs.FileMode) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, response.Status, err)
	}
	archive, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	dir, modes = t.TempDir(), make(map[string]fs.FileMode)
	for _, file := range archive.File {
		if file.FileInfo().IsDir() {
			continue
		}
		modes[file.Name] = file.Mode()
		to := filepath.Join(dir, file.Name)
		text, err := fs.ReadFile(archive, file.Name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, to, string(text), file.Mode())
	}
	return dir, modes
}
