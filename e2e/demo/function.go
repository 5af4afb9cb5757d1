package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"cache-extension/e2e/emulator"
	"cache-extension/e2e/output"
	"cache-extension/e2e/parts"
)

// answer is what the sample function returns, by cachetype.
type answer struct {
	Values       map[string]string
	Milliseconds map[string]float64
}

// function is a running sample function.
type function interface {
	invoke(ctx context.Context) (answer, error)
	stop() error
}

// deployer starts the sample function, beside the extension, with environment variables.
type deployer func(ctx context.Context, env []string) (function, error)

// emulated runs the function in AWS's emulator.
type emulated struct{ *emulator.Emulator }

func inEmulator(folders map[string]string, artifacts string) deployer {
	return func(ctx context.Context, env []string) (function, error) {
		bootstrap, err := filepath.Abs(filepath.Join("e2e", "bootstrap.mjs"))
		if err != nil {
			return nil, err
		}
		e, err := emulator.Start(ctx, folders[parts.RIE], bootstrap, emulator.Function{
			Layer: filepath.Join(artifacts, layer),
			Code:  filepath.Join(artifacts, code),
			Env:   env,
		})
		if err != nil {
			return nil, err
		}
		return emulated{e}, nil
	}
}

func (f emulated) invoke(ctx context.Context) (answer, error) {
	status, body, err := f.Invoke(ctx, "{}")
	if err != nil {
		return answer{}, err
	}
	var a answer
	if err := json.Unmarshal([]byte(body), &a); status != 200 || err != nil || a.Values == nil {
		return a, fmt.Errorf("the function failed: %s\n%s", body, f.Log())
	}
	return a, nil
}

func (f emulated) stop() error { return f.Stop() }

// served runs the function in plain Node.js beside `cache-extension serve`.
type served struct {
	extension, node *exec.Cmd
	in              io.WriteCloser
	out             *bufio.Scanner
	log             *output.Log
}

// loop calls the handler once for each line of its input; the function's own log is on the other stream.
const loop = `const { handler } = require(process.argv[1])
require('node:readline').createInterface({ input: process.stdin }).on('line', async () => {
  process.stderr.write(JSON.stringify(await handler({})) + '\n')
})`

const startTimeout = 20 * time.Second

func inPlainNode(artifacts string) deployer {
	return func(ctx context.Context, env []string) (function, error) {
		f := &served{log: &output.Log{}}
		config := filepath.Join(artifacts, code, "config.yaml")
		f.extension = exec.CommandContext(ctx, filepath.Join("bin", "cache-extension"), "serve", config)
		f.extension.Env = append(env, "CACHE_EXTENSION_PORT=0")
		f.extension.Stderr = f.log
		if err := f.extension.Start(); err != nil {
			return nil, err
		}
		starting, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		port, err := f.log.Wait(starting, regexp.MustCompile(`\bport=(\d+)`))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cache-extension serve: %w", err), f.stop())
		}
		f.node = exec.CommandContext(ctx, "node", "--eval", loop, filepath.Join(artifacts, code, "index.js"))
		f.node.Env = append(os.Environ(), "CACHE_EXTENSION_PORT="+port[1])
		in, inErr := f.node.StdinPipe()
		out, outErr := f.node.StderrPipe()
		f.in, f.out = in, bufio.NewScanner(out)
		if err := errors.Join(inErr, outErr, f.node.Start()); err != nil {
			return nil, errors.Join(err, f.stop())
		}
		return f, nil
	}
}

func (f *served) invoke(context.Context) (answer, error) {
	if _, err := io.WriteString(f.in, "\n"); err != nil {
		return answer{}, fmt.Errorf("the function failed: %w\n%s", err, f.log)
	}
	var said []string
	for f.out.Scan() {
		var a answer
		if json.Unmarshal(f.out.Bytes(), &a) == nil && a.Values != nil {
			return a, nil
		}
		said = append(said, f.out.Text())
	}
	return answer{}, fmt.Errorf("the function failed: %s\n%s", strings.Join(said, "\n"), f.log)
}

func (f *served) stop() error {
	if f.node != nil && f.node.Process != nil {
		f.in.Close() // ends the loop
		_ = f.node.Wait()
	}
	if err := f.extension.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("stop cache-extension serve: %w", err)
	}
	return f.extension.Wait()
}
