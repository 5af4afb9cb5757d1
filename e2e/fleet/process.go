package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"time"

	"cache-extension/e2e/output"
)

// patience bounds whatever a program is waited for: far more than a fleet takes on two cores.
const patience = time.Minute

// process is a program that was started. It ends with the context it was started with, with stop, or with this program.
type process struct {
	cmd  *exec.Cmd
	said *output.Log
	done chan struct{} // closed when it has ended
}

func start(ctx context.Context, env []string, program string, args ...string) (*process, error) {
	p := &process{said: &output.Log{}, done: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, program, args...)
	p.cmd.Env = env
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	p.cmd.WaitDelay = time.Second
	bind(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // it is killed
		close(p.done)
	}()
	return p, nil
}

// stop ends the program and returns when it has ended.
func (p *process) stop() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// saw waits until the program has said something, and returns what matched.
func (p *process) saw(ctx context.Context, what *regexp.Regexp) ([]string, error) {
	ctx, cancel := p.alive(ctx)
	defer cancel()
	return p.said.Wait(ctx, what)
}

// await waits for a call of the program.
func (p *process) await(ctx context.Context, call <-chan struct{}) error {
	ctx, cancel := p.alive(ctx)
	defer cancel()
	select {
	case <-call:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w; it said:\n%s", context.Cause(ctx), p.said)
	}
}

// alive bounds ctx by patience and by the life of the program.
func (p *process) alive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("nothing came within %v", patience))
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-p.done:
			end(errors.New("the program has ended"))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { end(nil); cancel() }
}
