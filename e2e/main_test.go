// Package e2e tests what is deployed on real parts: the artifacts that sam build makes, run by AWS's own emulator against
// AWS stand-ins, each test in a sandbox. A part that a machine lacks skips the tests that need it; with CI=true it fails them.
package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"cache-extension/e2e/cloud"
	"cache-extension/e2e/emulator"
	"cache-extension/e2e/parts"
	"cache-extension/e2e/sandbox"
)

// buildDir is the variable by which the tests in a sandbox find what was built outside.
const buildDir = "E2E_BUILD"

var (
	root string // of the checkout
	temp string // of this run
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	if err := sandbox.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var err error
	if root, err = filepath.Abs(".."); err == nil {
		temp, err = os.MkdirTemp("", "e2e")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(temp)
	return m.Run()
}

// missing ends the test because something that it needs is not there.
func missing(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing here: %v", err)
	}
	reason, _, _ := strings.Cut(err.Error(), "\n")
	t.Skipf("skipped, missing here: %s", reason)
}

// part returns the folder of a part, which is installed if it is not.
func part(t *testing.T, name string) string {
	t.Helper()
	folders, err := parts.Install(t.Context(), filepath.Join(root, ".tools"), os.Stderr, name)
	if err != nil {
		missing(t, err)
	}
	return folders[name]
}

// build is what sam build left, made once in a run.
var build struct {
	once sync.Once
	dir  string
	err  error
}

// built returns the output folder of sam build.
func built(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv(buildDir); dir != "" {
		return dir
	}
	bin := filepath.Join(part(t, parts.SAM), "bin")
	build.once.Do(func() {
		build.dir = filepath.Join(temp, ".aws-sam", "build")
		_, build.err = command(bin, "sam", "build", "--template", "SAM/template.yaml", "--build-dir", build.dir)
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.dir
}

// command runs a program of the folder bin in the root of the checkout.
func command(bin, name string, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(bin, name), args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "SAM_CLI_TELEMETRY=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// namespaces says once in a run why this system gives no sandbox.
var namespaces = sync.OnceValue(func() error { return sandbox.Check(context.Background()) })

// sandboxed runs the calling test again in a sandbox, with the named parts and the build at hand, and returns false. In
// the sandbox it returns true, and the test does what it is there for.
func sandboxed(t *testing.T, names ...string) bool {
	t.Helper()
	if sandbox.Inside() {
		return true
	}
	for _, name := range names {
		part(t, name)
	}
	if _, err := exec.LookPath("node"); err != nil {
		missing(t, fmt.Errorf("node is not installed"))
	}
	if err := namespaces(); err != nil {
		missing(t, err)
	}
	cmd, err := sandbox.Command(t.Context(), "-test.run=^"+t.Name()+"$", "-test.v")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, buildDir+"="+built(t))
	out, err := cmd.CombinedOutput()
	t.Logf("in a sandbox:\n%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}

// aws starts moto, seeded with what the template declares, behind a proxy.
func aws(t *testing.T) *cloud.Proxy {
	t.Helper()
	// Servers outlive the test's context, which ends before the cleanups that stop them.
	moto, err := cloud.StartMoto(context.WithoutCancel(t.Context()), part(t, parts.Moto))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		moto.Close()
		if t.Failed() {
			t.Logf("moto said:\n%s", moto.Log())
		}
	})
	if err := cloud.Seed(t.Context(), moto.URL, filepath.Join(root, "SAM", "template.yaml")); err != nil {
		t.Fatal(err)
	}
	proxy, err := cloud.StartProxy(moto.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	return proxy
}

// layer returns the folder of the layer for this machine.
func layer(t *testing.T) string {
	t.Helper()
	name := map[string]string{"amd64": "CacheExtensionLayerX86", "arm64": "CacheExtensionLayerArm"}[runtime.GOARCH]
	return filepath.Join(built(t), name)
}

// start deploys a function; the emulator is stopped with the test.
func start(t *testing.T, f emulator.Function) *emulator.Emulator {
	t.Helper()
	bootstrap := filepath.Join(root, "e2e", "bootstrap.mjs")
	e, err := emulator.Start(context.WithoutCancel(t.Context()), part(t, parts.RIE), bootstrap, f)
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
	return e
}

// invoke invokes the function and returns its answer.
func invoke(t *testing.T, e *emulator.Emulator, event string) string {
	t.Helper()
	status, answer, err := e.Invoke(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	if status != http.StatusOK {
		t.Fatalf("invoke with %s: got status %d and %s, want 200", event, status, answer)
	}
	return answer
}
