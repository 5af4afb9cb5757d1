package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// cpuTime is what the program has used of the processor so far, with the threads that have ended.
func (p *process) cpuTime() (time.Duration, error) {
	// A negative clock is that of a process: its number inverted, three bits further left, and 2 for the scheduler's own
	// count. /proc/PID/stat has ticks of 10 ms, longer than a start takes.
	clock := ^int32(p.cmd.Process.Pid)<<3 | 2
	var t syscall.Timespec
	if _, _, err := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&t)), 0); err != 0 {
		return 0, fmt.Errorf("clock of process %d: %w", p.cmd.Process.Pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// resident is how much memory the program holds, in bytes. It walks the page tables: VmRSS of /proc/PID/status is an
// estimate that may be wrong by a quarter of a MiB.
func (p *process) resident() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		var kib int64
		if n, _ := fmt.Sscanf(string(line), "Rss: %d kB", &kib); n == 1 {
			return kib << 10, nil
		}
	}
	return 0, errors.New("smaps_rollup: no Rss")
}

// cpus is a set of processors, as the kernel takes it.
type cpus [16]uint64

func (c *cpus) call(number uintptr, thread int) error {
	if _, _, err := syscall.RawSyscall(number, uintptr(thread), unsafe.Sizeof(*c), uintptr(unsafe.Pointer(c))); err != 0 {
		return fmt.Errorf("affinity of thread %d: %w", thread, err)
	}
	return nil
}

// lastCPU is the last processor that this program may use, counted from 1: the first one is where interrupts go.
func lastCPU() (int, error) {
	var set cpus
	if err := set.call(syscall.SYS_SCHED_GETAFFINITY, 0); err != nil {
		return 0, err
	}
	for cpu := 64 * len(set); cpu > 0; cpu-- {
		if set[(cpu-1)/64]>>((cpu-1)%64)&1 == 1 {
			return cpu, nil
		}
	}
	return 0, errors.New("no processor")
}

func one(cpu int) *cpus {
	var set cpus
	set[(cpu-1)/64] = 1 << ((cpu - 1) % 64)
	return &set
}

// pin restricts the running program to one processor. Pinned from its start, a Go program would see a machine of one
// processor and run as on one, which no function does.
func (p *process) pin(cpu int) error {
	for range 2 { // a thread may have been made while the first pass looked
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.cmd.Process.Pid))
		if err != nil {
			return err
		}
		for _, task := range tasks {
			thread, err := strconv.Atoi(filepath.Base(task))
			if err != nil {
				return err
			}
			if err := one(cpu).call(syscall.SYS_SCHED_SETAFFINITY, thread); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
	}
	return nil
}

// inPlace has start start a program in a place: the thread that starts it goes there first, since children stay where they
// are born.
func inPlace(at place, cmd *exec.Cmd, start func() error) (err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if at == (place{}) {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if at.cpu > 0 {
		var before cpus
		if err := before.call(syscall.SYS_SCHED_GETAFFINITY, 0); err != nil {
			return err
		}
		if err := one(at.cpu).call(syscall.SYS_SCHED_SETAFFINITY, 0); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, before.call(syscall.SYS_SCHED_SETAFFINITY, 0)) }()
	}
	if at.quota != nil {
		if err := at.quota.enter(cmd); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, at.quota.leave()) }()
	}
	return start()
}

// quota is a control group in which programs get a part of one processor and of the memory.
type quota struct {
	folders []string // one a controller (cgroup v1), or the only one (v2)
	unified *os.File // the folder of v2; nil in v1
}

const (
	groups   = "/sys/fs/cgroup"
	period   = 20_000 // µs; with the kernel's usual 100 ms most of a start would fit into one
	smallRAM = 128 << 20
)

// newQuota makes a control group with a part of one processor and 128 MiB. Where that may not be done the error is a skip.
func newQuota(part float64) (*quota, error) {
	q := &quota{}
	name := fmt.Sprintf("cache-extension-bench-%d", os.Getpid())
	runtimeQuota := strconv.Itoa(int(part * period))
	settings := map[string][][2]string{ // folder: file, text
		"cpu/" + name:    {{"cpu.cfs_period_us", strconv.Itoa(period)}, {"cpu.cfs_quota_us", runtimeQuota}},
		"memory/" + name: {{"memory.limit_in_bytes", strconv.Itoa(smallRAM)}},
	}
	if _, err := os.Stat(groups + "/cgroup.controllers"); err == nil {
		settings = map[string][][2]string{
			name: {{"cpu.max", runtimeQuota + " " + strconv.Itoa(period)}, {"memory.max", strconv.Itoa(smallRAM)}},
		}
	}
	for folder, files := range settings {
		folder = filepath.Join(groups, folder)
		if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			q.remove()
			return nil, skip{fmt.Sprintf("no control group can be made: %v", err)}
		}
		q.folders = append(q.folders, folder)
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(folder, f[0]), []byte(f[1]), 0o644); err != nil {
				q.remove()
				return nil, skip{fmt.Sprintf("no limit can be set: %v", err)}
			}
		}
	}
	if len(settings) == 1 {
		unified, err := os.Open(q.folders[0])
		if err != nil {
			q.remove()
			return nil, err
		}
		q.unified = unified
	}
	return q, nil
}

// settle waits until what ran in the group before has had its throttling.
func (q *quota) settle(ctx context.Context) error {
	return pause(ctx, 3*period*time.Microsecond)
}

// enter makes the thread start its next child in the group.
func (q *quota) enter(cmd *exec.Cmd) error {
	if q.unified != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(q.unified.Fd())
		return nil
	}
	return q.move(func(folder string) string { return folder })
}

// leave takes the thread out again.
func (q *quota) leave() error {
	if q.unified != nil {
		return nil
	}
	return q.move(filepath.Dir)
}

func (q *quota) move(to func(folder string) string) error {
	for _, folder := range q.folders {
		if err := os.WriteFile(filepath.Join(to(folder), "tasks"), []byte(strconv.Itoa(syscall.Gettid())), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// remove removes the group, whose programs must have ended.
func (q *quota) remove() {
	if q.unified != nil {
		q.unified.Close()
	}
	for _, folder := range q.folders {
		_ = os.Remove(folder) // an empty group that stays behind costs nothing and is taken up again
	}
}
