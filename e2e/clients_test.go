package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// client is one of examples/clients.
type client struct {
	name string
	argv []string // in the root; what is to be read goes behind
	// It prints the values before and after a failure. The client in bash stops at one, and shows the problem as it is.
	goesOn bool
}

// eachClient runs a test for each client, all at a time: what they do most is wait.
func eachClient(t *testing.T, test func(*testing.T, client)) {
	built := programs(t)
	var all sync.WaitGroup
	defer all.Wait()
	for _, c := range []client{
		{"node", []string{"node", "examples/clients/node/client.js"}, true},
		{"python", []string{"python3", "examples/clients/python/client.py"}, true},
		{"go", []string{filepath.Join(built, "go")}, true},
		{"java", []string{"java", "-XX:TieredStopAtLevel=1", "-cp", built, "Client"}, true},
		{"bash", []string{"bash", "examples/clients/bash/client.sh"}, false},
	} {
		all.Go(func() {
			t.Run(c.name, func(t *testing.T) {
				switch c.name {
				case "bash":
					needs(t, "curl")
				case "java":
					needs(t, "javac")
				}
				needs(t, c.argv[0])
				test(t, c)
			})
		})
	}
}

// run reads parameters with the client from the server on port, in an environment that has env and a useless proxy.
func (c client) run(t *testing.T, port string, env []string, names ...string) (stdout, stderr string, exit int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // for one that waits for ever
	defer cancel()
	cmd := exec.CommandContext(ctx, c.argv[0], slices.Concat(c.argv[1:], []string{"parameters"}, names)...)
	cmd.Dir = root
	const proxy = "http://127.0.0.1:9"
	cmd.Env = append(plainEnv(), "CACHE_EXTENSION_PORT="+port, "http_proxy="+proxy, "HTTP_PROXY="+proxy, "ALL_PROXY="+proxy)
	cmd.Env = append(cmd.Env, env...)
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &said, 5*time.Second
	var failed *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

func TestClients(t *testing.T) {
	t.Parallel()
	t.Run("values and failures", func(t *testing.T) {
		example := filepath.Join("examples", "clients", "config.yaml")
		failures := []struct{ name, status, code, retry string }{
			{"/app/gone", "404", "missing", ""},
			{"/app/unheard-of", "404", "undeclared", ""},
			{"/app/denied", "403", "denied", ""},
			{"/app/busy", "503", "throttled", `[1-9]\d*`},
		}
		eachClient(t, func(t *testing.T, c client) {
			port, opened := countConnections(t, serveNames(t, nil, example, "--offline"))
			check := func(names []string, exit int, stdout, stderr string, connections int64) {
				t.Helper()
				opened.Store(0)
				gotOut, gotErr, got := c.run(t, port, nil, names...)
				if got != exit || gotOut != stdout || !regexp.MustCompile(`^(?:`+stderr+`)$`).MatchString(gotErr) {
					t.Errorf("%.60q: got exit code %d, output %q and error\n%s\nwant %d, %q and\n%s", names, got, gotOut, gotErr, exit, stdout, stderr)
				}
				if got := opened.Load(); got != connections {
					t.Errorf("%.60q: got %d connections, want %d", names, got, connections)
				}
			}

			hundred := slices.Repeat([]string{"/app/greeting", "/app/limits"}, 50)
			check(hundred, 0, strings.Repeat("hello wörld\n"+`{"max":10,"modes":["a","b"]}`+"\n", 50), "", 1)
			if c.goesOn {
				// Neither does a failure cost the connection, unless there may be an answer to come.
				var names []string
				var said strings.Builder
				for _, f := range slices.Repeat(failures, 20) {
					names = append(names, f.name, "/app/greeting")
					fmt.Fprintf(&said, "parameters %s: %s %s: .+", f.name, f.status, f.code)
					if f.retry != "" {
						fmt.Fprintf(&said, ` \(Retry-After: %s\)`, f.retry)
					}
					said.WriteString("\n")
				}
				said.WriteString("parameters /app/slow: no answer from the cache extension.+\n")
				names = append(names, "/app/slow", "/app/greeting")
				check(names, 1, strings.Repeat("hello wörld\n", 81), said.String(), 2)
				return
			}
			for _, f := range failures {
				said := fmt.Sprintf(`\S+: status %s, Retry-After: %s, .+\n\{.+"code":"%s"\}\n`, f.status, f.retry, f.code)
				check([]string{"/app/greeting", f.name, "/app/greeting"}, 22, "", said, 1)
			}
			check([]string{"/app/slow"}, 28, "", `\S+: status 000, Retry-After: , .+\n\n`, 1)
		})
	})

	t.Run("tokens and odd names", func(t *testing.T) {
		const odd = "a \"b\" \\c\\n\noutput = x & d=e;f %41 + ü{g,h}[1-2] #i?j"
		file := filepath.Join(t.TempDir(), "config.yaml")
		write(t, file, fmt.Sprintf("server: {token: true}\nparameters:\n  - {name: /app/odd, as: %q}\n", odd), 0o644)
		write(t, filepath.Join(filepath.Dir(file), "fixtures.yaml"), fmt.Sprintf("parameters:\n  %q: found\n", odd), 0o644)
		session := []string{"AWS_SESSION_TOKEN=IQoJb3JpZ2lu/+token==", "AWS_CONTAINER_AUTHORIZATION_TOKEN=another"}
		container := session[1:]
		ports := map[string]string{"session": serveNames(t, session, file, "--offline"), "container": serveNames(t, container, file, "--offline")}
		eachClient(t, func(t *testing.T, c client) {
			for token, env := range map[string][]string{"session": session, "container": container} {
				if stdout, stderr, exit := c.run(t, ports[token], env, odd); exit != 0 || stdout != "found\n" {
					t.Errorf("with the %s's token: got exit code %d, output %q and error %q; want the value", token, exit, stdout, stderr)
				}
			}
			stdout, stderr, exit := c.run(t, ports["session"], nil, odd)
			if exit == 0 || stdout != "" || !strings.Contains(stderr, "403") || !strings.Contains(stderr, "forbidden") {
				t.Errorf("without a token: got exit code %d, output %q and error %q; want 403 forbidden", exit, stdout, stderr)
			}
		})
	})

	t.Run("what is not the extension", func(t *testing.T) {
		nobody := closedPort(t)
		eachClient(t, func(t *testing.T, c client) {
			var asked atomic.Int64
			other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				switch name := r.FormValue("name"); name {
				case "half":
					w.Header().Set("Content-Length", "100")
					io.WriteString(w, "half")
					w.(http.Flusher).Flush()
					<-r.Context().Done() // the client has gone
				case "denied":
					w.WriteHeader(http.StatusForbidden)
				case "binary":
					io.WriteString(w, "\xff\xfe")
				case "Latin-1":
					w.WriteHeader(http.StatusBadGateway)
					io.WriteString(w, "<html>\xe9")
				default:
					w.WriteHeader(http.StatusBadGateway)
					io.WriteString(w, name)
				}
			}))
			t.Cleanup(other.Close)
			port := port(other.Listener)
			once := func(names ...string) {
				t.Helper()
				asked.Store(0)
				c.run(t, port, nil, names...)
				if got := asked.Load(); got != int64(len(names)) {
					t.Errorf("%q: got %d requests, want one each", names, got)
				}
			}
			once("denied")
			once("<html>")
			if stdout, stderr, exit := c.run(t, nobody, nil, "any"); exit == 0 || stdout != "" || !strings.Contains(stderr, nobody) {
				t.Errorf("where nothing listens: got exit code %d, output %q and error %q; want one that tells the port", exit, stdout, stderr)
			}
			if !c.goesOn {
				if stdout, stderr, exit := c.run(t, port, nil, "half"); exit != 28 || stdout != "" {
					t.Errorf("half an answer: got exit code %d, output %q and error %q; want 28", exit, stdout, stderr)
				}
				return
			}
			if c.name == "python" { // the others return what they make of it
				const want = "parameters binary: not text: read it without decode()\n"
				if stdout, stderr, exit := c.run(t, port, nil, "binary"); exit != 1 || stdout != "" || stderr != want {
					t.Errorf("a value that is not text: got exit code %d, output %q and error %q; want 1 and %q", exit, stdout, stderr, want)
				}
			}
			bodies := []string{"<html>", "", "null", "[]", `"text"`, "7", `{"detail":null}`, "Latin-1"}
			stdout, stderr, exit := c.run(t, port, nil, append(bodies, "half")...)
			if want := "half: no "; exit != 1 || stdout != "" || strings.Count(stderr, ": 502 ") != len(bodies) || !strings.Contains(stderr, want) {
				t.Errorf("got exit code %d, output %q and error\n%swant 1, %d times 502 and %q", exit, stdout, stderr, len(bodies), want)
			}
		})
	})
}

// TestClientsReadme runs what the page of the clients says, word for word.
func TestClientsReadme(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"node", "python3", "java", "bash", "curl"} {
		needs(t, program)
	}
	page, err := os.ReadFile(filepath.Join(root, "examples", "clients", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	const serving = "bin/cachectl serve examples/clients/config.yaml --offline"
	if !strings.Contains(text, "\n"+serving+"\n") {
		t.Fatalf("the page does not say %s", serving)
	}
	port := serveNames(t, nil, strings.Fields(serving)[2:]...)
	_, session, _ := strings.Cut(text, "```console\n")
	session, _, _ = strings.Cut(session, "```")
	ran := 0
	for _, step := range strings.Split(session, "$ ")[1:] {
		line, want, _ := strings.Cut(step, "\n")
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CACHE_EXTENSION_PORT="+port)
		got, err := cmd.CombinedOutput()
		if err != nil || string(got) != want {
			t.Errorf("%s: got %v and\n%swant\n%s", line, err, got, want)
		}
		ran++
	}
	if ran < 6 {
		t.Errorf("commands on the page: got %d, want one for each client and one that fails", ran)
	}
}

// needs ends the test where a program is missing. Java need not be there, as in the other tests.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if program == "java" || program == "javac" {
			t.Skipf("skipped, missing here: %s", program)
		}
		missing(t, fmt.Errorf("%s is not installed", program))
	}
}

// plainEnv is an environment without AWS, proxies and settings of the extension.
func plainEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LC_ALL=C.UTF-8"}
}

var builtPrograms struct {
	once sync.Once
	dir  string
	err  error
}

// programs returns a folder with cachectl and the clients in Go and, where there is one, Java, built once in a run.
func programs(t *testing.T) string {
	t.Helper()
	b := &builtPrograms
	b.once.Do(func() {
		b.dir = filepath.Join(temp, "programs")
		cmd := exec.Command("go", "build", "-o", b.dir+string(filepath.Separator), "./extension/cachectl", "./examples/clients/go")
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("go build: %w\n%s", err, out)
			return
		}
		if _, err := exec.LookPath("javac"); err == nil {
			cmd := exec.Command("javac", "-Xlint:all,-serial", "-Werror", "-d", b.dir, "examples/clients/java/Client.java")
			cmd.Dir = root
			if out, err := cmd.CombinedOutput(); err != nil {
				b.err = fmt.Errorf("javac: %w\n%s", err, out)
			}
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.dir
}

// serveNames runs `cachectl serve` in the root, on a free port that it returns, until the end of the test.
func serveNames(t *testing.T, env []string, args ...string) (port string) {
	t.Helper()
	args = slices.Concat([]string{"serve"}, args, []string{"--port", "0"})
	return serveFrom(t, root, env, `at http://localhost:(\d+)`, filepath.Join(programs(t), "cachectl"), args...)
}

// countConnections passes connections on to a port, and counts them, until the end of the test.
func countConnections(t *testing.T, to string) (through string, opened *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opened = new(atomic.Int64)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return // closed
			}
			opened.Add(1)
			running.Go(func() {
				defer in.Close()
				out, err := net.Dial("tcp4", "127.0.0.1:"+to)
				if err != nil {
					t.Error(err)
					return
				}
				defer out.Close()
				running.Go(func() { // ends with the client or with out
					_, _ = io.Copy(out, in)
					_ = out.Close()
				})
				_, _ = io.Copy(in, out)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return port(l), opened
}

// closedPort returns a port on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return port(l)
}

func port(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
