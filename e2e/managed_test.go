package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cache-extension/e2e/cloud"
	"cache-extension/e2e/parts"
)

const managedConfig = `
timeout: 10s
secrets:
  - {name: secret_info, as: cold} # a name that the function does not read in its init code
`

// On Managed Instances an environment takes several invocations at a time and is never frozen, and the emulator fails the
// init of an extension that registers for INVOKE.
func TestManagedInstances(t *testing.T) {
	t.Parallel()
	// A sandbox makes anyone root in it, which is not enough: the emulator runs extension and function as another user.
	if os.Geteuid() != 0 {
		t.Skip("skipped: the emulator needs root for Managed Instances")
	}
	if err := anyoneRunsNode(); err != nil {
		missing(t, err)
	}
	if !sandboxed(t, parts.RIE, parts.Moto, parts.SAM) {
		return
	}
	proxy := aws(t)
	const parallel = 4
	f := deploy(t, proxy, managedConfig)
	// That other user may not look into the folders of this test.
	const open = "/opt/layer"
	if err := os.CopyFS(open, os.DirFS(f.Layer)); err != nil {
		t.Fatal(err)
	}
	f.Layer, f.Concurrency = reporting(t, open), parallel
	e := start(t, f)
	ask(t, e, event{}) // initialises the environment
	proxy.Calls()

	// A reader of each invocation waits for the same call of AWS, so all invocations are under way at the same time.
	proxy.SetFault(cloud.Hang)
	var invocations sync.WaitGroup
	t.Cleanup(invocations.Wait)
	for range parallel {
		invocations.Go(func() {
			const event = `{"read": ["/secrets?name=cold"]}`
			status, answer, err := e.Invoke(t.Context(), event)
			// The emulator queues nothing: what served the first invocation must have asked for the next one.
			for tries := 0; strings.Contains(answer, "Runtime.Unavailable") && tries < 1000; tries++ {
				<-time.After(5 * time.Millisecond)
				status, answer, err = e.Invoke(t.Context(), event)
			}
			if err != nil || status != http.StatusOK || !strings.Contains(answer, `"now":[{"status":200,"body":"MySecret"`) {
				t.Errorf("one of %d invocations: got %d %s, %v, want the secret", parallel, status, answer, err)
			}
		})
	}
	eventually(t, "a reader of each invocation in one flight", func() bool { return counted(t)["secrets"].Collapsed == parallel-1 })
	if calls := proxy.Calls(); calls["GetSecretValue"] != 1 || len(calls) != 1 {
		t.Errorf("calls of AWS: got %v, want one GetSecretValue", calls)
	}
	proxy.SetFault(cloud.None)
	invocations.Wait()

	if err := e.Stop(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{`"reason":"spindown"`, "\nthe extension exited 0\n"} {
		if log := e.Log(); !strings.Contains(log, want) {
			t.Errorf("%q is not in the log:\n%s", want, log)
		}
	}
}

// anyoneRunsNode says why a user without rights cannot run Node.js, as when it is installed in root's home.
func anyoneRunsNode() error {
	const nobody = 65534
	cmd := exec.Command("node", "--version")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("a node that all users may run: %w %s", err, out)
	}
	return nil
}
