//go:build linux

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
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startWithin = 20 * time.Second
	stopWithin  = 5 * time.Second // the program takes 2 s; the machine may be busy
)

// child is the program in a process of its own.
type child struct {
	url  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	err  error         // what it ended with, to be read after done

	mu     sync.Mutex // guards faults
	faults []string   // lines of the log that must not be; the first few
}

// start builds the program into dir and runs it as an extension. It returns when the program serves.
func start(ctx context.Context, dir, config, awsURL, runtimeAPI string) (*child, error) {
	binary, file := filepath.Join(dir, "cache-extension"), filepath.Join(dir, "config.yaml")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "nethttpomithttp2", "-o", binary, "cache-extension/extension")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(binary), done: make(chan struct{})}
	c.cmd.Env = []string{
		"AWS_LAMBDA_RUNTIME_API=" + runtimeAPI, "AWS_REGION=eu-west-1", "AWS_ENDPOINT_URL=" + awsURL,
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=" + marker, "AWS_SESSION_TOKEN=" + marker,
		"CACHE_EXTENSION_CONFIG=" + file, "CACHE_EXTENSION_PORT=0",
	}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL, // a soak that is killed leaves nothing running, not even a frozen process
		Setpgid:   true,            // Ctrl-C is for the soak, which ends the program itself
	}
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	serves := make(chan int, 1)
	go func() {
		c.follow(stderr, serves)
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	select {
	case port := <-serves:
		c.url = "http://127.0.0.1:" + strconv.Itoa(port)
		return c, nil
	case <-c.done:
		return nil, errors.Join(fmt.Errorf("the program ended while it started: %v", c.err), c.verdict())
	case <-time.After(startWithin):
		err = errors.New("the program did not start in time")
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.kill()
	return nil, err
}

// follow reads the program's log: it tells the port, once, and notes what must not be in a log.
func (c *child) follow(stderr io.Reader, serves chan<- int) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var record struct {
			Level, Message string
			Port           int
		}
		line := lines.Text()
		err := json.Unmarshal([]byte(line), &record)
		switch {
		case err != nil || record.Level == "ERROR":
			c.note(line)
		case strings.Contains(line, marker):
			c.note("a value or a credential is in the log: " + line)
		case record.Message == "cache-extension serves":
			serves <- record.Port
		}
	}
	if err := lines.Err(); err != nil {
		c.note(err.Error())
		_, _ = io.Copy(io.Discard, stderr) // the program must not wait for us
	}
}

func (c *child) note(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.faults) < 20 {
		c.faults = append(c.faults, line)
	}
}

// verdict is an error when the program logged what it must not.
func (c *child) verdict() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.faults) > 0 {
		return fmt.Errorf("the log has:\n%s", strings.Join(c.faults, "\n"))
	}
	return nil
}

func (c *child) signal(s os.Signal) error {
	if err := c.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("%v to the program: %w", s, err)
	}
	return nil
}

// stop ends the program as Lambda does without SHUTDOWN, and says whether it ended well.
func (c *child) stop() error {
	if err := c.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-c.done:
	case <-time.After(stopWithin):
		return fmt.Errorf("the program did not end within %v of SIGTERM", stopWithin)
	}
	if c.err != nil {
		return fmt.Errorf("the program after SIGTERM: %w", c.err)
	}
	fmt.Println("ended by SIGTERM with exit code 0")
	return nil
}

// kill ends the program if it is still there.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.done
}

// sample is what the process uses at one moment.
type sample struct {
	rss                  int // KiB
	threads, descriptors int
}

func (c *child) sample() (sample, error) {
	dir := fmt.Sprintf("/proc/%d", c.cmd.Process.Pid)
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return sample{}, fmt.Errorf("the program is gone: %w", err)
	}
	descriptors, err := os.ReadDir(dir + "/fd")
	if err != nil {
		return sample{}, err
	}
	s := sample{descriptors: len(descriptors)}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "VmRSS:":
			s.rss, err = strconv.Atoi(f[1])
		case "Threads:":
			s.threads, err = strconv.Atoi(f[1])
		}
		if err != nil {
			return s, fmt.Errorf("%s/status: %w", dir, err)
		}
	}
	return s, nil
}
