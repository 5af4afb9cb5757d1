// Package browser decides how the tests drive a real Chromium: headless, over the DevTools protocol on two pipes, so that
// no port is open and nothing else is needed.
package browser

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
	"sync"
	"syscall"
	"testing"
	"time"

	"cache-extension/e2e/parts"
)

// Browser is a running Chromium.
type Browser struct {
	cmd *exec.Cmd
	to  io.WriteCloser

	mu      sync.Mutex // guards what follows, and writing to the browser
	last    int        // id of the last call
	waiting map[int]chan<- answer
	pages   map[string]*Page // by session
	ended   error            // why nothing comes any more
}

// message is what the protocol sends both ways.
type message struct {
	ID      int             `json:"id,omitzero"`
	Session string          `json:"sessionId,omitzero"`
	Method  string          `json:"method,omitzero"`
	Params  json.RawMessage `json:"params,omitzero"`
	Result  json.RawMessage `json:"result,omitzero"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitzero"`
}

type answer struct {
	result json.RawMessage
	err    error
}

// Start starts a browser that ends with the test; flags are Chromium's. Where there is no browser the test is skipped, or
// fails if it should have been installed: with CI=true as root.
func Start(t testing.TB, root string, flags ...string) *Browser {
	t.Helper()
	path, err := parts.Chromium(t.Context(), root, os.Stderr)
	if err != nil {
		if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
			t.Fatal(err)
		}
		t.Skipf("skipped, missing here: %v", err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := start(path, log, append(flags, "--user-data-dir="+t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer log.Close()
		b.mu.Lock()
		ended := b.ended
		b.mu.Unlock()
		b.close()
		if ended != nil {
			said, err := os.ReadFile(log.Name())
			t.Errorf("%v; it said (%v):\n%s", ended, err, said)
		}
	})
	return b
}

func start(path string, log *os.File, flags []string) (*Browser, error) {
	in, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	from, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, to.Close())
	}
	defer out.Close()
	cmd := exec.Command(path, append([]string{
		"--headless", "--remote-debugging-pipe",
		"--no-sandbox", // root gets none, and the pages are ours
		"--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage", "--no-proxy-server", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-quic",
	}, flags...)...)
	cmd.ExtraFiles = []*os.File{in, out} // 3 and 4, as the protocol wants them
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, to.Close(), from.Close())
	}
	b := &Browser{cmd: cmd, to: to, waiting: make(map[int]chan<- answer), pages: make(map[string]*Page)}
	go b.read(from)
	return b, nil
}

// close ends the browser with all of its processes, and by that the goroutine that reads from it.
func (b *Browser) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	b.call(ctx, "", "Browser.close", nil, nil) // lets it take its files along
	b.to.Close()
	syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
	b.cmd.Wait()
}

// read hands on what comes until the browser ends.
func (b *Browser) read(from io.ReadCloser) {
	defer from.Close()
	r := bufio.NewReader(from)
	for {
		text, err := r.ReadBytes(0)
		if err != nil {
			b.end(fmt.Errorf("the browser ended: %w", err))
			return
		}
		var m message
		if err := json.Unmarshal(text[:len(text)-1], &m); err != nil {
			b.end(fmt.Errorf("the browser said what is no message: %w", err))
			return
		}
		b.hand(m)
	}
}

func (b *Browser) hand(m message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.ID == 0 {
		if p := b.pages[m.Session]; p != nil {
			p.told(m)
		}
		return
	}
	a := answer{result: m.Result}
	if m.Error != nil {
		a.err = errors.New(m.Error.Message)
	}
	if w := b.waiting[m.ID]; w != nil {
		delete(b.waiting, m.ID)
		w <- a
	}
}

func (b *Browser) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = err
	for id, w := range b.waiting {
		delete(b.waiting, id)
		w <- answer{err: err}
	}
}

// call calls a method of the protocol and reads what it returns into result, unless that is nil.
func (b *Browser) call(ctx context.Context, session, method string, params map[string]any, result any) error {
	landed := make(chan answer, 1)
	if err := b.send(session, method, params, landed); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	case a := <-landed:
		if a.err != nil {
			return fmt.Errorf("%s: %w", method, a.err)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(a.result, result)
	}
}

func (b *Browser) send(session, method string, params map[string]any, landed chan<- answer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended != nil {
		return b.ended
	}
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	b.last++
	text, err := json.Marshal(message{ID: b.last, Session: session, Method: method, Params: raw})
	if err != nil {
		return err
	}
	b.waiting[b.last] = landed
	_, err = b.to.Write(append(text, 0))
	return err
}
