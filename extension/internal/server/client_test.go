package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
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
	f.conns = newConns(most)
	f.http.ConnState = f.conns.changed
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

// wantClosed holds the server to closing the connection, now or later.
func (c *client) wantClosed() {
	c.t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	if b, err := c.r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("read %q, %v, want a closed connection", b, err)
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
