package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	version "cache-extension"
	"cache-extension/extension/internal/source/awstest"
)

// patience bounds every wait of these tests; it is reached only when something is broken.
const patience = 20 * time.Second

// laptop is what surrounds the program: a folder, an environment and an AWS.
type laptop struct {
	t   *testing.T
	dir string
	aws *awstest.Fake
	env map[string]string
}

// newLaptop makes a laptop whose folder holds config.yaml and, if there is text for it, fixtures.yaml. AWS holds nothing. A
// test that goes to it calls profiles before: the SDK sees the environment of the test.
func newLaptop(t *testing.T, config, fixtures string) *laptop {
	t.Helper()
	l := &laptop{t: t, dir: t.TempDir(), aws: awstest.New(t)}
	l.write("config.yaml", config)
	if fixtures != "" {
		l.write("fixtures.yaml", fixtures)
	}
	endpoint := httptest.NewServer(l.aws)
	t.Cleanup(func() {
		endpoint.CloseClientConnections() // ends the calls that hang
		endpoint.Close()
	})
	l.env = map[string]string{
		"AWS_REGION":            region,
		"AWS_ACCESS_KEY_ID":     "AKIDEXAMPLE",
		"AWS_SECRET_ACCESS_KEY": "not-for-logs",
		"AWS_ENDPOINT_URL":      endpoint.URL,
		"AWS_MAX_ATTEMPTS":      "1",
	}
	return l
}

func (l *laptop) path(name string) string { return filepath.Join(l.dir, name) }

// write puts a file into the folder as editors do, in one step.
func (l *laptop) write(name, text string) {
	l.t.Helper()
	draft := l.path(name + "~")
	if err := os.WriteFile(draft, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(draft, l.path(name)); err != nil {
		l.t.Fatal(err)
	}
}

// session is one run of cachectl serve.
type session struct {
	t              *testing.T
	stdout, stderr *transcript
	stop           context.CancelFunc // as Ctrl-C does
	ended          chan struct{}
	code           int // once ended
}

// serve runs cachectl serve on the folder's config.yaml and a free port. It is stopped with the test.
func (l *laptop) serve(args ...string) *session {
	l.t.Helper()
	return l.serveOn([]string{"--port", "0"}, args...)
}

// serveOn is serve with another choice of a port.
func (l *laptop) serveOn(port []string, args ...string) *session {
	l.t.Helper()
	args = slices.Concat([]string{"serve", l.path("config.yaml")}, port, args)
	ctx, cancel := context.WithCancel(context.Background())
	s := &session{t: l.t, stdout: newTranscript(), stderr: newTranscript(), stop: cancel, ended: make(chan struct{})}
	var environ []string
	for name, text := range l.env {
		environ = append(environ, name+"="+text)
	}
	go func() {
		defer close(s.ended)
		s.code = run(ctx, args, environ, s.stdout, s.stderr)
	}()
	l.t.Cleanup(func() {
		cancel()
		s.wait()
		for _, secret := range []string{value, "not-for-logs"} {
			if strings.Contains(s.stdout.String()+s.stderr.String(), secret) {
				l.t.Errorf("the program wrote a value or a credential, %q:\n%s%s", secret, s.stdout.String(), s.stderr.String())
			}
		}
	})
	return s
}

// wait returns the exit code.
func (s *session) wait() int {
	s.t.Helper()
	select {
	case <-s.ended:
		return s.code
	case <-time.After(patience):
		s.t.Fatalf("the program did not end; it said:\n%s%s", s.stdout.String(), s.stderr.String())
		return -1
	}
}

// base is the program's address, once it serves.
func (s *session) base() string {
	s.t.Helper()
	_, rest, _ := strings.Cut(s.stdout.wait(s.t, " at http://localhost:"), " at ")
	base, _, _ := strings.Cut(rest, " ")
	return base
}

// want reads a path and checks status and body, of a failure only the status and that the body holds text.
func (s *session) want(path string, status int, text string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base()+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("GET %s: %v; the program said:\n%s%s", path, err, s.stdout.String(), s.stderr.String())
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	good := string(body) == text
	if status >= 400 {
		good = strings.Contains(string(body), text)
	}
	if res.StatusCode != status || !good {
		s.t.Errorf("GET %s = %d %s, want %d %s", path, res.StatusCode, body, status, text)
	}
}

// transcript is what a program writes, to be waited for.
type transcript struct {
	mu    sync.Mutex // guards what follows
	grown sync.Cond
	buf   bytes.Buffer
}

func newTranscript() *transcript {
	tr := new(transcript)
	tr.grown.L = &tr.mu
	return tr
}

func (tr *transcript) Write(b []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.grown.Broadcast()
	return tr.buf.Write(b)
}

func (tr *transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.buf.String()
}

// wait returns the first whole line that holds text.
func (tr *transcript) wait(t *testing.T, text string) string {
	t.Helper()
	late := false
	defer time.AfterFunc(patience, func() {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		late = true
		tr.grown.Broadcast()
	}).Stop()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for {
		for line := range strings.Lines(tr.buf.String()) {
			if strings.Contains(line, text) && strings.HasSuffix(line, "\n") {
				return line
			}
		}
		if late {
			t.Fatalf("%q was not written; what was:\n%s", text, tr.buf.String())
		}
		tr.grown.Wait()
	}
}

// neutral is what s wrote to standard output, without what differs from run to run.
func (l *laptop) neutral(s *session) string {
	text := strings.NewReplacer(s.base(), "URL", l.dir, "DIR", version.Number(), "VERSION").Replace(s.stdout.String())
	return regexp.MustCompile(`after \d+s:`).ReplaceAllString(text, "after TIME:")
}
