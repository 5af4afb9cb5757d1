package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cache-extension/e2e/browser"
)

const pageConfig = `ttl: 5m
stale_if_error: 1h
parameters:
  - names: [/app/greeting, /app/gone, /app/secret, /app/busy, /app/slow, /app/later]
  - name: /app/brief
    ttl: 1s
`

const pageFixtures = `parameters:
  /app/greeting: hunter2
  /app/gone: {fail: missing}
  /app/secret: {fail: denied}
  /app/busy: {fail: throttled}
  /app/slow: {value: hunter2, delay: 60ms}
  /app/brief: hunter2
`

// TestStatusPage looks at the page of the real program in a real browser.
func TestStatusPage(t *testing.T) {
	b := browser.Start(t, filepath.Join(root, ".tools"))
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	url := startCachectl(t, file("config.yaml", pageConfig), "--offline", "--fixtures", file("fixtures.yaml", pageFixtures), "--port", "0")
	read := func(name string, times int) {
		for range times {
			resp, err := http.Get(url + "/parameters?name=" + name)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
	}

	p := b.Page(t)
	p.Open(url + "/")
	state := func(name string) string {
		return fmt.Sprintf(`[...document.querySelectorAll("tbody tr")].find((tr) => tr.querySelector(".name").textContent === %q)?.querySelector(".state b").textContent ?? "no such row"`, name)
	}
	p.Want(state("/app/greeting"), "not read yet")
	read("/app/greeting", 3)
	read("/app/gone", 2)
	read("/app/secret", 1)
	read("/app/busy", 1)
	read("/app/slow", 2)
	read("/app/brief", 1)
	for _, tt := range []struct{ name, want string }{
		{"/app/greeting", "fresh"}, {"/app/gone", "missing"}, {"/app/secret", "denied"}, {"/app/busy", "failed"},
		{"/app/slow", "fresh"}, {"/app/brief", "stale"}, {"/app/later", "not read yet"},
	} {
		p.Want(state(tt.name), tt.want)
	}
	p.Want(`/^([6-9]\d|\d{3})\sms$/.test([...document.querySelectorAll("tbody tr")].find((tr) => tr.textContent.includes("/app/slow")).querySelector(".saved span").textContent)`, "true")
	p.Want(`document.body.textContent.includes("hunter2")`, "false")

	// The page follows what is served.
	file("fixtures.yaml", strings.Replace(pageFixtures, "{fail: missing}", "found", 1))
	p.Want(state("/app/gone"), "not read yet")
	read("/app/gone", 1)
	p.Want(state("/app/gone"), "fresh")
	if got := p.Problems(); len(got) > 0 {
		t.Errorf("the console says:\n%s", strings.Join(got, "\n"))
	}
}

// startCachectl builds cachectl, runs cachectl serve until the end of the test and returns the address it prints.
func startCachectl(t *testing.T, args ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "cachectl")
	build := exec.Command("go", "build", "-o", program, "./extension/cachectl")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command(program, append([]string{"serve"}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	var log strings.Builder
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		address := regexp.MustCompile(`http://localhost:\d+`)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if found := address.FindString(lines.Text()); found != "" {
				select {
				case said <- found:
				default: // the first was it
				}
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		<-ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("cachectl serve: %v\n%s", err, &log)
		}
	})
	select {
	case url := <-said:
		return url
	case <-ended:
	case <-time.After(30 * time.Second):
	}
	t.Fatal("cachectl serve says no address")
	return ""
}
