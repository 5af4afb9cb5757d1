package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cache-extension/extension/internal/lambda/lambdatest"
	"cache-extension/extension/internal/source/awstest"
)

// patience bounds every wait of these tests; it is reached only when something is broken.
const patience = 20 * time.Second

// world is what surrounds the program: AWS, Lambda, a config.yaml and an environment.
type world struct {
	t      *testing.T
	aws    *awstest.Fake
	lambda *lambdatest.API
	env    map[string]string
	file   string
}

// newWorld makes a world with the given config.yaml, in which Lambda stands ready and AWS holds nothing.
func newWorld(t *testing.T, config string) *world {
	t.Helper()
	w := &world{t: t, aws: awstest.New(t), lambda: lambdatest.New(t), file: filepath.Join(t.TempDir(), "config.yaml")}
	if err := os.WriteFile(w.file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	endpoint := httptest.NewServer(w.aws)
	t.Cleanup(func() {
		endpoint.CloseClientConnections() // ends the calls that hang
		endpoint.Close()
	})
	w.env = map[string]string{
		"AWS_LAMBDA_RUNTIME_API": w.lambda.Addr(),
		"AWS_REGION":             "eu-west-1",
		"AWS_ACCESS_KEY_ID":      "AKIDEXAMPLE",
		"AWS_SECRET_ACCESS_KEY":  "not-for-logs",
		"AWS_SESSION_TOKEN":      "session-not-for-logs",
		"AWS_ENDPOINT_URL":       endpoint.URL,
		"CACHE_EXTENSION_CONFIG": w.file,
		"CACHE_EXTENSION_PORT":   "0",
	}
	return w
}

// process is one run of the program inside the test.
type process struct {
	t      *testing.T
	stdout *lines
	stderr *lines
	stop   context.CancelFunc // as SIGTERM does
	ended  chan struct{}
	code   int // once ended
}

// start runs the program with args, as Lambda would with none. It is stopped with the test.
func (w *world) start(args ...string) *process {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{t: w.t, stdout: newLines(), stderr: newLines(), stop: cancel, ended: make(chan struct{})}
	var environ []string
	for k, v := range w.env {
		environ = append(environ, k+"="+v)
	}
	go func() {
		defer close(p.ended)
		p.code = run(ctx, func() {}, append([]string{"/opt/extensions/cache-extension"}, args...), environ, p.stdout, p.stderr)
	}()
	w.t.Cleanup(func() { cancel(); p.wait() })
	return p
}

// wait returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.code
	case <-time.After(patience):
		p.t.Fatalf("the program did not end; it said:\n%s", p.stderr.String())
		return -1
	}
}

// url is the address of path, once the program serves.
func (p *process) url(path string) string {
	p.t.Helper()
	line := p.stderr.wait(p.t, "cache-extension serves")
	var port int
	for _, form := range []string{`"port":%d`, "port=%d"} {
		name, _, _ := strings.Cut(form, "%")
		if _, rest, ok := strings.Cut(line, name); ok {
			fmt.Sscanf(rest, "%d", &port)
		}
	}
	if port == 0 {
		p.t.Fatalf("no port in %q", line)
	}
	return fmt.Sprintf("http://localhost:%d%s", port, path)
}

// answer is what the program answered.
type answer struct {
	status int
	header http.Header
	body   string
}

func (p *process) get(path string) answer {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", p.url(path), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatalf("GET %s: %v; the program said:\n%s", path, err, p.stderr.String())
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// code is the code of a problem, or empty.
func (a answer) code() string {
	var problem struct{ Code string }
	if json.Unmarshal([]byte(a.body), &problem) != nil {
		return ""
	}
	return problem.Code
}

// want checks status and body, or status and the code of a problem.
func (a answer) want(t *testing.T, call string, status int, bodyOrCode string) {
	t.Helper()
	got := a.body
	if a.status >= 400 {
		got = a.code()
	}
	if a.status != status || got != bodyOrCode {
		t.Errorf("%s = %d %q, want %d %q", call, a.status, a.body, status, bodyOrCode)
	}
}

// lines is what a program writes, to be waited for.
type lines struct {
	mu    sync.Mutex // guards what follows
	grown sync.Cond
	buf   bytes.Buffer
}

func newLines() *lines {
	l := new(lines)
	l.grown.L = &l.mu
	return l
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.grown.Broadcast()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// wait returns the first line that holds text.
func (l *lines) wait(t *testing.T, text string) string {
	t.Helper()
	late := false
	defer time.AfterFunc(patience, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		late = true
		l.grown.Broadcast()
	}).Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for line := range strings.Lines(l.buf.String()) {
			if strings.Contains(line, text) {
				return strings.TrimSpace(line)
			}
		}
		if late {
			t.Fatalf("%q was not written; what was:\n%s", text, l.buf.String())
		}
		l.grown.Wait()
	}
}
