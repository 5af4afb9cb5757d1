package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// patience bounds what a test waits for on real sockets; none should come near it.
const patience = 20 * time.Second

// serve has f answer on a free port of the loopback interface until the test ends.
func (f *fixture) serve(t testing.TB) (port int) {
	t.Helper()
	l, err := Listen(0)
	if err != nil {
		t.Fatalf("Listen(0): %v", err)
	}
	f.serveOn(t, l)
	return l.Port()
}

// serveOn has f answer on l until the test ends.
func (f *fixture) serveOn(t testing.TB, l *Listener) {
	ended := make(chan error, 1)
	go func() { ended <- f.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := f.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// pipes is a net.Listener whose connections are net.Pipes, for use in a synctest bubble.
type pipes struct {
	queue chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// servePipes has f answer on pipes until the test ends, with at most so many connections.
func (f *fixture) servePipes(t testing.TB, most int) *pipes {
	p := &pipes{queue: make(chan net.Conn), done: make(chan struct{})}
	f.bound(most)
	f.serveOn(t, &Listener{each: []net.Listener{p}})
	return p
}

// bound sets the number of connections, before Serve.
func (f *fixture) bound(most int) {
	f.Server.conns = newConns(most)
	f.http.ConnState = f.Server.conns.changed
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.queue:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4000} }

// dial connects once the server accepts, and returns when the connection is let in or waits for room.
func (p *pipes) dial(t testing.TB) *client {
	t.Helper()
	here, there := net.Pipe()
	select {
	case p.queue <- there:
	case <-p.done:
		t.Fatal("the server accepts no more connections")
	}
	synctest.Wait()
	return newClient(t, here)
}

// client is one connection to the server under test.
type client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func newClient(t testing.TB, conn net.Conn) *client {
	t.Cleanup(func() { conn.Close() })
	return &client{conn, t, bufio.NewReader(conn)}
}

func dial(t testing.TB, port int) *client {
	t.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn)
}

// get is a request for target as it is on the wire, with more header lines if wanted.
func get(target string, lines ...string) string {
	return lead("GET", target, append([]string{"Host: localhost:4000"}, lines...)...)
}

func lead(method, target string, lines ...string) string {
	return method + " " + target + " HTTP/1.1\r\n" + strings.Join(append(lines, "\r\n"), "\r\n")
}

// send writes raw bytes.
func (c *client) send(raw string) {
	c.t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, raw); err != nil {
		c.t.Fatalf("send %.60q: %v", raw, err)
	}
}

// answer is an answer with its whole body.
type answer struct {
	status int
	header http.Header
	body   string
	close  bool // the server is going to close the connection
}

// receive reads the answer to a request of method.
func (c *client) receive(method string) (answer, error) {
	c.SetDeadline(time.Now().Add(patience))
	r, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return answer{r.StatusCode, r.Header, string(body), r.Close}, err
}

// want reads the answer to a GET and compares it; an empty body is not compared.
func (c *client) want(status int, body string) answer {
	c.t.Helper()
	a, err := c.receive("GET")
	if err != nil || a.status != status || body != "" && a.body != body {
		c.t.Fatalf("answer = %d %q, %v, want %d %q", a.status, a.body, err, status, body)
	}
	return a
}

// wantClosed holds the server to having closed the connection.
func (c *client) wantClosed() {
	c.t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	b, err := c.r.ReadByte()
	if err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) || isTimeout(err) {
		c.t.Fatalf("read %q, %v, want a closed connection", b, err)
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// lines gives the header of a raw answer, sorted, without the date.
func lines(raw string) []string {
	head, _, _ := strings.Cut(raw, "\r\n\r\n")
	all := strings.Split(head, "\r\n")
	all = slices.DeleteFunc(all, func(s string) bool { return strings.HasPrefix(s, "Date: ") })
	slices.Sort(all)
	return all
}

// exchange sends raw on a connection of its own and gives all that comes back.
func exchange(t testing.TB, port int, raw string) string {
	t.Helper()
	c := dial(t, port)
	c.send(raw)
	b, err := io.ReadAll(c.r)
	if err != nil {
		t.Fatalf("answer to %.60q: %v", raw, err)
	}
	return string(b)
}

// TestWire holds the bytes that programs in any language see.
func TestWire(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: `{"k":1}`}}, setup{})
	port := f.serve(t)
	const last = "Connection: close"

	raw := exchange(t, port, get("/secrets?name=a", last))
	tag := f.ask("GET", "/secrets?name=a").Header().Get("ETag")
	want := []string{
		"Age: 0", "Cache-Control: no-store", "Cache-Status: cache-extension; fwd=uri-miss; stored", "Connection: close", "Content-Length: 7",
		"Content-Type: application/json", "Etag: " + tag, "HTTP/1.1 200 OK", "X-Content-Type-Options: nosniff",
	}
	if got := lines(raw); !slices.Equal(got, want) || !strings.HasSuffix(raw, "\r\n\r\n"+`{"k":1}`) {
		t.Errorf("answer %q\nhas the header\n%q, want\n%q", raw, got, want)
	}

	raw = exchange(t, port, get("/secrets?name=a", "If-None-Match: "+tag, last))
	want = []string{
		"Age: 0", "Cache-Control: no-store", "Cache-Status: cache-extension; hit; ttl=59", "Connection: close",
		"Etag: " + tag, "HTTP/1.1 304 Not Modified", "X-Content-Type-Options: nosniff",
	}
	if got := lines(raw); !slices.Equal(got, want) || !strings.HasSuffix(raw, "\r\n\r\n") {
		t.Errorf("answer %q\nhas the header\n%q, want\n%q", raw, got, want)
	}

	raw = exchange(t, port, lead("PUT", "/secrets?name=a", "Host: localhost", last))
	want = []string{
		"Allow: GET, HEAD", "Cache-Control: no-store", "Connection: close", "Content-Length: 118",
		"Content-Type: application/problem+json", "HTTP/1.1 405 Method Not Allowed", "X-Content-Type-Options: nosniff",
	}
	const problem = `{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"This is read only: use GET or HEAD.","code":"method"}`
	want[3] = "Content-Length: " + strconv.Itoa(len(problem))
	if got := lines(raw); !slices.Equal(got, want) || !strings.HasSuffix(raw, "\r\n\r\n"+problem) {
		t.Errorf("answer %q\nhas the header\n%q, want\n%q", raw, got, want)
	}
}

func TestHEAD(t *testing.T) {
	f := newFixture(map[string]reply{
		"json": {body: `{"k":"v"}`}, "empty": {}, "bytes": {body: "\x00\xff", binary: true},
		"long": {body: strings.Repeat("x", 100_000)}, "denied": {err: errors.New("x")},
	}, setup{})
	c := dial(t, f.serve(t))
	for _, target := range []string{
		"/secrets?name=json", "/secrets?name=json&field=/k", "/secrets?name=empty", "/secrets?name=bytes", "/secrets?name=long",
		"/secrets?name=denied", "/secrets?name=nosuch", "/secrets", "/nosuch", "/healthz", "/stats",
	} {
		c.send(get(target))
		if _, err := c.receive("GET"); err != nil { // fetches, so that the next two are both hits
			t.Fatal(err)
		}
		c.send(get(target))
		got, err := c.receive("GET")
		if err != nil {
			t.Fatal(err)
		}
		// The GET right behind tells whether a body came that should not have.
		c.send(lead("HEAD", target, "Host: localhost:4000") + get("/healthz"))
		head, err := c.receive("HEAD")
		if err != nil {
			t.Fatal(err)
		}
		c.want(200, "ok")
		if head.status != got.status {
			t.Errorf("HEAD %s = %d, want %d as with GET", target, head.status, got.status)
		}
		if target == "/stats" { // counts go on
			head.header.Del("Content-Length")
			got.header.Del("Content-Length")
		} else if n := strconv.Itoa(len(got.body)); head.header.Get("Content-Length") != n {
			t.Errorf("HEAD %s has Content-Length %q, want %s", target, head.header.Get("Content-Length"), n)
		}
		for _, h := range []http.Header{head.header, got.header} {
			h.Del("Date")
			h.Del("Retry-After")
			if s, ok := strings.CutPrefix(h.Get("Cache-Status"), "cache-extension; hit; ttl="); ok && s != "" {
				h.Set("Cache-Status", "hit")
			}
		}
		if g, w := fmt.Sprint(head.header), fmt.Sprint(got.header); g != w {
			t.Errorf("HEAD %s has the header\n%s, want that of GET\n%s", target, g, w)
		}
	}
}

// TestRequestForms is what a request line may look like beside the usual.
func TestRequestForms(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: secretText}}, setup{})
	port := f.serve(t)
	const host = "Host: localhost:4000"
	for _, row := range []struct {
		name, input string
		status      int
		want        string // somewhere in the body
	}{
		{"OPTIONS of all", lead("OPTIONS", "*", host), 405, `"code":"method"`},
		{"GET of all", lead("GET", "*", host), 404, `"code":"no_route"`},
		{"absolute form", lead("GET", "http://localhost:4000/secrets?name=a", host), 200, secretText},
		{"absolute form of another host", lead("GET", "http://evil.example/secrets?name=a", host), 403, `"code":"forbidden"`},
		{"absolute form with another Host field", lead("GET", "http://localhost/secrets?name=a", "Host: evil.example"), 200, secretText},
		{"no path", lead("GET", "http://localhost:4000", host), 404, `"code":"no_route"`},
		{"CONNECT to us", lead("CONNECT", "localhost:4000", host), 405, `"code":"method"`},
		{"CONNECT elsewhere", lead("CONNECT", "evil.example:443", host), 403, `"code":"forbidden"`},
		{"TRACE", lead("TRACE", "/secrets?name=a", host), 405, `"code":"method"`},
		{"HTTP/1.0", "GET /secrets?name=a HTTP/1.0\r\n" + host + "\r\n\r\n", 200, secretText},
		{"HTTP/1.0 without a Host", "GET /secrets?name=a HTTP/1.0\r\n\r\n", 403, `"code":"forbidden"`},
		{"empty Host", lead("GET", "/secrets?name=a", "Host:"), 403, `"code":"forbidden"`},
		{"HTTP/2 by prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403, `"code":"forbidden"`},
		{"path with an escape", get("/secret%73?name=a"), 200, secretText},
		{"unencoded line end in a query", "GET /secrets?name=a\r\nHost: localhost\r\n\r\n", 400, ""},
		{"no Host", lead("GET", "/secrets?name=a"), 400, ""},
		{"two Hosts", lead("GET", "/secrets?name=a", host, "Host: evil.example"), 400, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := dial(t, port)
			c.send(row.input)
			a, err := c.receive("GET")
			if err != nil || a.status != row.status || !strings.Contains(a.body, row.want) {
				t.Errorf("answer to %q = %d %q, %v, want %d with %s", row.input, a.status, a.body, err, row.status, row.want)
			}
			if a.status != 200 && strings.Contains(a.body, secretText) {
				t.Error("the answer holds the value")
			}
		})
	}
}

func TestHeaderLimit(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: "v"}}, setup{})
	port := f.serve(t)
	c := dial(t, port)
	for range 3 { // each request has the whole limit
		raw := get("/secrets?name=a", "X-Fill: ")
		raw = strings.Replace(raw, "X-Fill: ", "X-Fill: "+strings.Repeat("x", 15<<10-len(raw)), 1)
		if len(raw) != 15<<10 {
			t.Fatalf("the request has %d bytes", len(raw))
		}
		c.send(raw)
		c.want(200, "v")
	}
	for _, raw := range []string{
		get("/secrets?name=a", "X-Fill: "+strings.Repeat("x", 17<<10)),
		get("/secrets?name=a&x=" + strings.Repeat("x", 17<<10)),
		get("/secrets?name=a", strings.TrimSuffix(strings.Repeat("A: b\r\n", 3000), "\r\n")),
	} {
		c := dial(t, port)
		// The server hangs up before it has read all; whether the rest can be written is up to the kernel.
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, raw)
		if a := c.want(431, ""); !a.close {
			t.Error("the connection stays open, want it closed")
		}
	}
	c.send(get("/healthz"))
	c.want(200, "ok")
}

func TestSlowHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(map[string]reply{"a": {body: "v"}}, setup{})
		p := f.servePipes(t, 10)
		silent, slow, kept := p.dial(t), p.dial(t), p.dial(t)
		kept.send(get("/secrets?name=a"))
		kept.want(200, "v")
		from := time.Now()
		slow.send("GET /secrets?name=a HTTP/1.1\r\nHost: local")
		synctest.Wait()
		time.Sleep(4 * time.Second)
		kept.send(get("/secrets?name=a")[:30])
		slow.send("host\r\nX-More: ")
		slow.wantClosed()
		silent.wantClosed()
		if got := time.Since(from); got != 5*time.Second {
			t.Errorf("cut off after %v, want 5s however little came meanwhile", got)
		}
		kept.wantClosed()
		if got := time.Since(from); got != 9*time.Second {
			t.Errorf("cut off after %v on a kept connection, want 5s from the first byte of the request", got-4*time.Second)
		}
	})
}

// TestIdleStaysOpen: whatever client keeps a connection finds it usable, be it after a day of freeze.
func TestIdleStaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(map[string]reply{"a": {body: "v"}}, setup{})
		c := f.servePipes(t, 10).dial(t)
		for range 3 {
			c.send(get("/secrets?name=a"))
			if a := c.want(200, "v"); a.close {
				t.Error("the server is going to close the connection")
			}
			time.Sleep(24 * time.Hour)
		}
		c.send(get("/nosuch"))
		c.want(404, "")
		c.send(get("/healthz"))
		c.want(200, "ok")
	})
}

func TestBodyOfARequest(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: "v"}}, setup{})
	c := dial(t, f.serve(t))
	body := strings.Repeat("GET / ", 1000)
	c.send(get("/secrets?name=a", "Content-Length: "+strconv.Itoa(len(body))) + body)
	c.want(200, "v")
	c.send(get("/secrets?name=a", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n")
	c.want(200, "v")
	c.send(lead("POST", "/secrets?name=a", "Host: localhost", "Content-Length: 6") + "name=b")
	c.want(405, "")
	c.send(get("/secrets?name=a", "Expect: 100-continue", "Content-Length: 5"))
	c.want(200, "v") // without asking for the body
}

func TestPipelining(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: "first"}, "b": {body: "second"}}, setup{})
	c := dial(t, f.serve(t))
	c.send(get("/secrets?name=a") + get("/secrets?name=b") + get("/nosuch") + get("/secrets?name=a"))
	c.want(200, "first")
	c.want(200, "second")
	c.want(404, "")
	c.want(200, "first")
}

// TestHalfClosed: some clients close their sending side once the request is out, and still wait for the answer.
func TestHalfClosed(t *testing.T) {
	hold := make(chan struct{})
	f := newFixture(map[string]reply{"held": {body: "hot"}, "slow": {body: "cold", hold: hold}}, setup{})
	port := f.serve(t)
	f.wantBody(t, "/secrets?name=held", 200, "hot")

	slow := dial(t, port)
	slow.send(get("/secrets?name=slow"))
	if err := slow.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	hot := dial(t, port)
	hot.send(get("/secrets?name=held"))
	if err := hot.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	hot.want(200, "hot")
	hot.wantClosed()
	eventually(t, "the cold read comes to AWS", func() bool { return f.src.count("slow") == 1 })
	close(hold)
	slow.want(200, "cold")
	slow.wantClosed()
}

// TestGoneClient: one who hangs up does not end the read that others wait for.
func TestGoneClient(t *testing.T) {
	hold := make(chan struct{})
	f := newFixture(map[string]reply{"slow": {body: "v", hold: hold}}, setup{})
	port := f.serve(t)
	gone, stays := dial(t, port), dial(t, port)
	gone.send(get("/secrets?name=slow"))
	eventually(t, "the read comes to AWS", func() bool { return f.src.count("slow") == 1 })
	stays.send(get("/secrets?name=slow"))
	eventually(t, "the second reader joins", func() bool { return f.opts.Caches["secrets"].Stats().Collapsed == 1 })
	gone.Close()
	close(hold)
	stays.want(200, "v")
	if got := f.src.count("slow"); got != 1 {
		t.Errorf("%d calls were made, want 1", got)
	}
}

func TestGarbage(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: "v"}}, setup{})
	port := f.serve(t)
	good := dial(t, port)
	for _, raw := range []string{
		"\x00\x01\x02\x03\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", // TLS
		"GET\r\n\r\n",
		"GET /secrets?name=a HTTP/9.9\r\nHost: localhost\r\n\r\n",
		"GET /secrets?name=a HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
		"GET /secrets?name=a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
		"GET /secrets?name=a HTTP/1.1\r\nHost: local\x80host\r\n\r\n",
		"GET /secrets?name=a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		c := dial(t, port)
		c.send(raw)
		if a, err := c.receive("GET"); err == nil && a.status < 400 || strings.Contains(a.body, "v\n") || a.body == "v" {
			t.Errorf("answer to %q = %d %q, want an error", raw, a.status, a.body)
		}
		good.send(get("/secrets?name=a"))
		good.want(200, "v")
	}
}

// TestPanicOverTheWire: the connection of the unlucky reader is good for the next request.
func TestPanicOverTheWire(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: "v"}, "p": {panics: upstreamText}}, setup{})
	c := dial(t, f.serve(t))
	for range 3 {
		c.send(get("/secrets?name=p"))
		c.want(500, "")
		f.src.panicInFind("x")
		c.send(get("/secrets?name=a"))
		c.want(500, "")
		f.src.panicInFind(nil)
		c.send(get("/secrets?name=a"))
		c.want(200, "v")
	}
}

// eventually waits until something is so that nobody tells of.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	bound := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-bound:
			t.Fatalf("not in %v: %s", patience, what)
		}
	}
}
