package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"cache-extension/e2e/output"
)

// patience bounds whatever a program is waited for: far more than any of it takes under the smallest quota.
const patience = 30 * time.Second

// process is a program that was started.
type process struct {
	cmd     *exec.Cmd
	said    *output.Log
	started time.Time     // just before
	done    chan struct{} // closed when it has ended
}

// place is where on the machine a program runs. The zero place is anywhere.
type place struct {
	cpu   int    // the one core it may use, counted from 1; 0 is all
	quota *quota // nil is all there is
}

// start starts a program, which ends with ctx, with stop, or when this program does.
func start(ctx context.Context, at place, env []string, name string, args ...string) (*process, error) {
	p := &process{said: &output.Log{}, done: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, name, args...)
	p.cmd.Env = env
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	p.cmd.WaitDelay = time.Second
	err := inPlace(at, p.cmd, func() error {
		p.started = time.Now()
		return p.cmd.Start()
	})
	if err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // most are killed; who waits for a good end reads what it said
		close(p.done)
	}()
	return p, nil
}

// stop ends the program and returns when it has ended.
func (p *process) stop() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

var portSaid = regexp.MustCompile(`\bport"?[=:](\d+)\D`)

// port waits for the port that the program listens on: all log it.
func (p *process) port(ctx context.Context) (int, error) {
	ctx, cancel := p.alive(ctx)
	defer cancel()
	said, err := p.said.Wait(ctx, portSaid)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(said[1])
}

// output waits until the program has ended and returns what it said.
func (p *process) output(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*patience)
	defer cancel()
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case <-p.done:
	}
	if !p.cmd.ProcessState.Success() {
		return "", fmt.Errorf("%v: %s", p.cmd.ProcessState, p.said)
	}
	return p.said.String(), nil
}

var errEnded = errors.New("the program has ended")

// alive bounds ctx by patience and by the life of the program.
func (p *process) alive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("nothing came within %v", patience))
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-p.done:
			end(errEnded)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { end(nil); cancel() }
}

// pause waits for d.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
