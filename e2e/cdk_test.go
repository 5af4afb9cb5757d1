package e2e

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"cache-extension/e2e/cloud"
	"cache-extension/e2e/emulator"
	"cache-extension/e2e/parts"
	"cache-extension/e2e/sandbox"
)

// cdkDir is the variable by which the test in the sandbox finds its copy of the checkout.
const cdkDir = "E2E_CDK"

// The commands in the README of examples/cdk that are run, word for word.
const (
	cdkBuild = "make build"
	cdkTest  = "npm test"
	cdkSynth = "npx --yes aws-cdk@2.1148.1 synth --quiet"
)

// What the stack's parameter and secret are called here, and what they hold.
const (
	greetingARN = "arn:aws:ssm:us-east-1:123456789012:parameter/Greeting"
	passwordARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:Password-AbCdEf"
	greeting    = "Hello"
	password    = "open sesame"
)

// runProgram stands in for the runtime provided.al2023, which runs the program that the function is.
const runProgram = `import { spawn } from 'node:child_process'
spawn('/var/task/bootstrap', { stdio: 'inherit' }).on('exit', (code) => process.exit(code ?? 1))
`

// TestCDK tests and synthesises examples/cdk without a network, as its README says, and runs the assets that come out.
func TestCDK(t *testing.T) {
	if !sandbox.Inside() {
		t.Setenv(cdkDir, cdkCheckout(t))
	}
	if !sandboxed(t, parts.RIE, parts.Moto, parts.SAM, parts.CDK) {
		return
	}
	checkout := os.Getenv(cdkDir)
	example := filepath.Join(checkout, "examples", "cdk")
	runLine(t, example, cdkTest)
	runLine(t, example, cdkSynth+" -c architecture="+map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH])
	s := readCDKStack(t, filepath.Join(example, "cdk.out"))

	proxy := cdkAWS(t)
	putNodeWhereLambdaHasIt(t)
	bootstrap := filepath.Join(t.TempDir(), "bootstrap.mjs")
	write(t, bootstrap, runProgram, 0o644)
	for _, tt := range []struct {
		function  string
		bootstrap string
		opt, task map[string]fs.FileMode // what is deployed
		program   string                 // among it, built for this machine
		logged    string                 // at the end
	}{
		{
			"GoFunction",
			bootstrap,
			map[string]fs.FileMode{"config.yaml": 0o644, "extensions/cache-extension": 0o755},
			map[string]fs.FileMode{"bootstrap": 0o755},
			"task/bootstrap",
			"",
		},
		{
			"NodeFunction",
			filepath.Join(root, "e2e", "bootstrap.mjs"),
			map[string]fs.FileMode{
				"config.yaml": 0o644, "extensions/cache-extension": 0o755,
				"extensions/invocation-counter": 0o755, "invocation-counter/index.mjs": 0o644,
			},
			map[string]fs.FileMode{"index.js": 0o644},
			"opt/extensions/cache-extension",
			`{"message":"invocation-counter: shutdown","reason":"SandboxTerminated","invocations":3}`,
		},
	} {
		t.Run(tt.function, func(t *testing.T) {
			f := s.one(t, "AWS::Lambda::Function", tt.function)
			dir := t.TempDir()
			opt, task := filepath.Join(dir, "opt"), filepath.Join(dir, "task")
			layOver(t, task, s.asset(t, f.Properties["Code"]))
			for _, layer := range f.Properties["Layers"].([]any) {
				name, _ := layer.(map[string]any)["Ref"].(string)
				layOver(t, opt, s.asset(t, s.Resources[name].Properties["Content"]))
			}
			for folder, want := range map[string]map[string]fs.FileMode{opt: tt.opt, task: tt.task} {
				if got := fileModes(t, folder); !maps.Equal(got, want) {
					t.Errorf("%s: got %v, want %v", filepath.Base(folder), got, want)
				}
			}
			checkProgram(t, filepath.Join(dir, tt.program), map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH])
			checkPolicy(t, checkout, s, f)

			var variables []string
			for name, value := range f.Properties["Environment"].(map[string]any)["Variables"].(map[string]any) {
				variables = append(variables, name+"="+s.text(t, value))
			}
			original := t.TempDir()
			layOver(t, original, opt)
			layOver(t, opt, reporting(t, original))
			placeInOpt(t, opt)
			proxy.Calls()
			e, err := emulator.Start(context.WithoutCancel(t.Context()), part(t, parts.RIE), tt.bootstrap, emulator.Function{
				Layer: opt, Code: task, Env: slices.Concat(cloud.Env(proxy.URL), []string{"PATH=/var/lang/bin:/usr/local/bin:/usr/bin:/bin"}, variables),
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := e.Stop(); err != nil {
					t.Error(err)
				}
				if t.Failed() {
					t.Logf("the emulator, the extensions and the function said:\n%s", e.Log())
				}
			})
			for range 3 {
				if got, want := invoke(t, e, "{}"), fmt.Sprintf(`{"greeting":%q,"passwordLength":%d}`, greeting, len(password)); got != want {
					t.Errorf("the function: got %s, want %s", got, want)
				}
			}
			for url, want := range map[string]string{"/parameters?name=greeting": greeting, "/secrets?name=password": password} {
				if status, body := get(t, url); status != http.StatusOK || body != want {
					t.Errorf("GET %s: got %d %q, want 200 %q", url, status, body, want)
				}
			}
			if got, want := proxy.Calls(), map[string]int{"GetParameter": 1, "GetSecretValue": 1}; !maps.Equal(got, want) {
				t.Errorf("calls of AWS: got %v, want %v", got, want)
			}
			if err := e.Stop(); err != nil {
				t.Error(err)
			}
			for _, want := range []string{tt.logged, "\nthe extension exited 0\n"} {
				if !strings.Contains(e.Log(), want) {
					t.Errorf("%q is not in the log", want)
				}
			}
		})
	}
}

// cdkCheckout returns a copy of what examples/cdk needs of the checkout, with the programs built and the packages at hand, so
// that nothing more is to be fetched.
func cdkCheckout(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"make", "npx"} {
		if _, err := exec.LookPath(program); err != nil {
			missing(t, fmt.Errorf("%s is not installed", program))
		}
	}
	packages := part(t, parts.CDK)
	dir := filepath.Join(t.TempDir(), "checkout")
	example := filepath.Join(dir, "examples", "cdk")
	layOver(t, filepath.Join(dir, "extension"), filepath.Join(root, "extension"))
	layOver(t, example, filepath.Join(root, "examples", "cdk"), "node_modules", "build", "cdk.out")
	for _, name := range []string{"Makefile", "VERSION", "version.go", "go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(text), 0o644)
	}
	if err := os.Symlink(filepath.Join(packages, "node_modules"), filepath.Join(example, "node_modules")); err != nil {
		t.Fatal(err)
	}
	runLine(t, dir, cdkBuild)
	runLine(t, filepath.Join(example, "go-function"), "go vet . && test -z \"$(gofmt -l .)\"") // fetches the modules, too
	return dir
}

// TestCDKDocs holds what the pages show to what is run: commands by the test above, TypeScript as a part of the example.
func TestCDKDocs(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	lines := strings.Split(read("examples/cdk/README.md"), "\n")
	for _, command := range []string{cdkBuild, "cd examples/cdk", "npm install", cdkTest, cdkSynth} {
		if !slices.Contains(lines, command) {
			t.Errorf("examples/cdk/README.md: no line %q", command)
		}
	}
	page, app := read("docs/deploy-cdk.md"), unindented(read("examples/cdk/app.ts"))
	blocks := strings.Split(page, "```ts\n")[1:]
	if len(blocks) == 0 {
		t.Error("docs/deploy-cdk.md shows no TypeScript")
	}
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		if !strings.Contains(app, unindented(code)) {
			t.Errorf("docs/deploy-cdk.md: this is not in app.ts:\n%s", code)
		}
	}
}

// unindented returns a text without the white space at the beginning of its lines.
func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimLeft(line, " \t")
	}
	return strings.Join(lines, "\n")
}

// TestCDKPins holds the versions that a user of the example gets to those that are tested.
func TestCDKPins(t *testing.T) {
	text, err := os.ReadFile("../examples/cdk/package.json")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Dependencies, DevDependencies map[string]string }
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	got := []string{strings.Fields(cdkSynth)[2]}
	for _, dependencies := range []map[string]string{manifest.Dependencies, manifest.DevDependencies} {
		for name, version := range dependencies {
			got = append(got, name+"@"+version)
		}
	}
	for _, pin := range parts.Pins() {
		if pin.Name != parts.CDK {
			continue
		}
		want := slices.Sorted(slices.Values(pin.Specs))
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("the example takes %v, and pins.txt has %v", got, want)
		}
	}
}

// cdkAWS starts AWS's stand-in with the stack's parameter and secret.
func cdkAWS(t *testing.T) *cloud.Proxy {
	t.Helper()
	proxy := aws(t)
	client := cloud.NewClient(proxy.Target)
	defer client.Close()
	if err := errors.Join(
		client.Call(t.Context(), "AmazonSSM.PutParameter", map[string]string{"Name": "Greeting", "Type": "String", "Value": greeting}),
		client.Call(t.Context(), "secretsmanager.CreateSecret", map[string]string{"Name": "Password-AbCdEf", "SecretString": password}),
	); err != nil {
		t.Fatal(err)
	}
	return proxy
}

// layOver copies the files of a folder into another one, as Lambda unpacks layers: a later one wins. Folders called as one of
// skip are left out.
func layOver(t *testing.T, to, from string, skip ...string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, below)
		if d.IsDir() {
			if slices.Contains(skip, d.Name()) {
				return fs.SkipDir
			}
			return os.MkdirAll(target, 0o755)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return errors.Join(os.WriteFile(target, text, info.Mode().Perm()), os.Chmod(target, info.Mode().Perm()))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fileModes returns the files below a folder.
func fileModes(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	files := make(map[string]fs.FileMode)
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			files[path] = info.Mode()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// placeInOpt puts what layers have beside extensions, which the emulator knows, into /opt of the sandbox.
func placeInOpt(t *testing.T, opt string) {
	t.Helper()
	entries, err := os.ReadDir(opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		from, to := filepath.Join(opt, entry.Name()), filepath.Join("/opt", entry.Name())
		if entry.Name() == "extensions" {
			continue
		}
		layOver(t, to, from)
		t.Cleanup(func() { os.RemoveAll(to) })
	}
}

// putNodeWhereLambdaHasIt lets extensions find node, which is not on the short PATH of Lambda everywhere.
func putNodeWhereLambdaHasIt(t *testing.T) {
	t.Helper()
	path, err := exec.Command("node", "--print", "process.execPath").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll("/var/lang/bin", 0o755), os.Symlink(strings.TrimSpace(string(path)), "/var/lang/bin/node")); err != nil {
		t.Fatal(err)
	}
}

// runLine runs a command line in dir.
func runLine(t *testing.T, dir, line string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}
