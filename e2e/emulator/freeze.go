package emulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// ErrNoProc says that /proc does not show the processes of the sandbox, so that they cannot be found.
var ErrNoProc = errors.New("/proc shows other processes than those of the sandbox")

// Freeze stops the extension and the function where they are, as Lambda does with an environment that has nothing to do,
// and returns when they stand still. Unlike in Lambda, whose monotonic clock stands still with them, both clocks go on.
func (e *Emulator) Freeze(ctx context.Context) error { return e.signal(ctx, syscall.SIGSTOP) }

// Thaw lets them go on.
func (e *Emulator) Thaw(ctx context.Context) error { return e.signal(ctx, syscall.SIGCONT) }

func (e *Emulator) signal(ctx context.Context, signal syscall.Signal) error {
	pids, err := e.environment()
	if err != nil {
		return fmt.Errorf("%v: %w", signal, err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, signal); err != nil {
			return fmt.Errorf("%v to process %d: %w", signal, pid, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, pid := range pids {
		for stopped(pid) != (signal == syscall.SIGSTOP) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("%v to process %d had no effect: %w", signal, pid, ctx.Err())
			case <-time.After(time.Millisecond):
			}
		}
	}
	return nil
}

// environment returns the processes of the execution environment: the extension and the function, one of each.
func (e *Emulator) environment() ([]int, error) {
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return nil, ErrNoProc
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, process := range processes {
		exe, _ := os.Readlink(filepath.Join(process, "exe")) // a process that has ended meanwhile has none
		if exe != extension && exe != e.node {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	if len(pids) != 2 {
		return nil, fmt.Errorf("%d processes look like the extension or the function, want 2", len(pids))
	}
	return pids, nil
}

// stopped says whether a process stands still because of SIGSTOP.
func stopped(pid int) bool {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// The state comes after the program's name, which is in parentheses and may hold some.
	return bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" T"))
}
