// Package emulator decides how a function and its extension are run as on Lambda: by AWS's own runtime interface emulator,
// with the extension in /opt/extensions, the function in /var/task and nothing in the environment but what Lambda gives
// and the function asks for.
package emulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cache-extension/e2e/output"
)

// Extension is the URL at which the extension answers.
const Extension = "http://localhost:4000"

const (
	extension    = "/opt/extensions/cache-extension"
	runtimeAPI   = "127.0.0.1:9001"
	invocations  = "127.0.0.1:8080"
	startTimeout = 20 * time.Second
	stopTimeout  = 20 * time.Second
)

// Function is what is deployed.
type Function struct {
	Layer   string        // folder with extensions/, as sam build leaves it
	Code    string        // folder with index.js and config.yaml, as sam build leaves it
	Env     []string      // its own variables
	Timeout time.Duration // of one invocation, whole seconds; 0 means 10
	// Concurrency is how many invocations one environment takes at a time: any but 0 is Lambda Managed Instances, for
	// which the emulator needs root, and not only in a sandbox.
	Concurrency int
}

// Emulator is a running emulator. Its methods must not be called concurrently, but for Log and, where the function has a
// Concurrency, Invoke.
type Emulator struct {
	cmd  *exec.Cmd
	node string // the program that runs the function
	log  *output.Log
	done chan struct{} // closed when the emulator has ended
	err  error         // what it ended with, to be read after done
}

// Start deploys f and starts the emulator of dir, the folder that parts.Install gave, with the runtime in the file
// bootstrap. It needs a sandbox, in which one emulator runs at a time. The environment is initialised by the first Invoke.
func Start(ctx context.Context, dir, bootstrap string, f Function) (*Emulator, error) {
	if err := errors.Join(replace("/opt/extensions", filepath.Join(f.Layer, "extensions")), replace("/var/task", f.Code)); err != nil {
		return nil, fmt.Errorf("deploy: %w", err)
	}
	// What is found as node may be a version manager's script, which needs more than the function's environment.
	path, err := exec.CommandContext(ctx, "node", "--print", "process.execPath").Output()
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	node := strings.TrimSpace(string(path))
	const runtime = "/var/runtime/bootstrap"
	if err := install(runtime, node, bootstrap); err != nil {
		return nil, fmt.Errorf("install the runtime: %w", err)
	}
	if f.Timeout == 0 {
		f.Timeout = 10 * time.Second
	}
	e := &Emulator{node: node, log: &output.Log{}, done: make(chan struct{})}
	e.cmd = exec.CommandContext(ctx, filepath.Join(dir, "aws-lambda-rie"),
		"--runtime-api-address", runtimeAPI, "--runtime-interface-emulator-address", invocations, runtime)
	e.cmd.Dir = "/var/task"
	// LAMBDA_TASK_ROOT is left out: Lambda gives it to the function but not to extensions, and the emulator makes no difference.
	e.cmd.Env = append([]string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=en_US.UTF-8", "TZ=:UTC", "_HANDLER=index.handler",
		"AWS_LAMBDA_FUNCTION_NAME=ExtensionsCache-SampleFunction", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_FUNCTION_TIMEOUT=" + strconv.Itoa(int(f.Timeout/time.Second)),
	}, f.Env...)
	if f.Concurrency > 0 {
		e.cmd.Env = append(e.cmd.Env, "AWS_LAMBDA_MAX_CONCURRENCY="+strconv.Itoa(f.Concurrency))
	}
	e.cmd.Stdout, e.cmd.Stderr = e.log, e.log
	e.cmd.WaitDelay = time.Second
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		e.err = e.cmd.Wait()
		close(e.done)
	}()
	if err := e.listening(ctx); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return e, nil
}

// Invoke invokes the function with an event in JSON and returns what the invoker gets: its answer in JSON, or what the
// emulator says of a failure. The status is 200 for an answer and for a function that timed out.
func (e *Emulator) Invoke(ctx context.Context, event string) (status int, answer string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+invocations+"/2015-03-31/functions/function/invocations", strings.NewReader(event))
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", fmt.Errorf("invoke: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// Stop has the emulator shut the environment down, which tells the extension so, and returns when it has ended. It may
// be called again.
func (e *Emulator) Stop() error {
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the emulator: %w", err)
	}
	select {
	case <-e.done:
		if e.err != nil {
			return fmt.Errorf("the emulator ended: %w", e.err)
		}
		return nil
	case <-time.After(stopTimeout):
		err := e.cmd.Process.Kill()
		<-e.done
		return errors.Join(fmt.Errorf("the emulator did not end within %v", stopTimeout), err)
	}
}

// Log returns what the emulator, the extension and the function have written so far.
func (e *Emulator) Log() string { return e.log.String() }

// listening returns when the emulator takes invocations.
func (e *Emulator) listening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var dialer net.Dialer
	for {
		if conn, err := dialer.DialContext(ctx, "tcp", invocations); err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the emulator did not start within %v; it said:\n%s", startTimeout, e.Log())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// install makes file a program that runs a copy of bootstrap by node. It is a copy because the function may be run as a user
// who cannot read the checkout.
func install(file, node, bootstrap string) error {
	code, err := os.ReadFile(bootstrap)
	if err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' '%s.mjs'\n", node, file)
	return errors.Join(
		os.MkdirAll(filepath.Dir(file), 0o755),
		os.WriteFile(file+".mjs", code, 0o644),
		os.WriteFile(file, []byte(script), 0o755),
	)
}

// replace makes dir a copy of from.
func replace(dir, from string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.CopyFS(dir, os.DirFS(from))
}
