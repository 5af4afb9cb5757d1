package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWire holds the bytes that programs in any language see.
func TestWire(t *testing.T) {
	const problem = `{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"This is read only: use GET or HEAD.","code":"method"}`
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(map[string]reply{"a": {body: `{"k":1}`}}, setup{})
		p := f.servePipes(t, 10)
		f.ask("GET", "/secrets?name=a")
		time.Sleep(33 * time.Second)
		tag := f.ask("GET", "/secrets?name=a").Header().Get("ETag")
		for _, row := range []struct {
			name, input string
			want        []string // lines of the header, sorted
			body        string
		}{
			{"value", get("/secrets?name=a", "Connection: close"), []string{
				"Age: 33", "Cache-Control: no-store", "Cache-Status: cache-extension; hit; ttl=27", "Connection: close", "Content-Length: 7",
				"Content-Type: application/json", "Etag: " + tag, "HTTP/1.1 200 OK", "X-Content-Type-Options: nosniff",
			}, `{"k":1}`},
			{"not modified", get("/secrets?name=a", "If-None-Match: "+tag, "Connection: close"), []string{
				"Age: 33", "Cache-Control: no-store", "Cache-Status: cache-extension; hit; ttl=27", "Connection: close",
				"Etag: " + tag, "HTTP/1.1 304 Not Modified", "X-Content-Type-Options: nosniff",
			}, ""},
			{"problem", lead("PUT", "/secrets?name=a", "Host: localhost", "Connection: close"), []string{
				"Allow: GET, HEAD", "Cache-Control: no-store", "Connection: close", "Content-Length: " + strconv.Itoa(len(problem)),
				"Content-Type: application/problem+json", "HTTP/1.1 405 Method Not Allowed", "X-Content-Type-Options: nosniff",
			}, problem},
		} {
			c := p.dial(t)
			c.send(row.input)
			raw, err := io.ReadAll(c.r)
			if err != nil {
				t.Fatalf("%s: %v", row.name, err)
			}
			head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
			got := slices.DeleteFunc(strings.Split(head, "\r\n"), func(line string) bool { return strings.HasPrefix(line, "Date: ") })
			slices.Sort(got)
			if !slices.Equal(got, row.want) || body != row.body {
				t.Errorf("%s: the answer has the header\n%q and the body %q, want\n%q and %q", row.name, got, body, row.want, row.body)
			}
		}
	})
}

func TestHEAD(t *testing.T) {
	f := newFixture(map[string]reply{
		"json": {body: `{"k":"v"}`}, "empty": {}, "bytes": {body: "\x00\xff", binary: true},
		"long": {body: strings.Repeat("x", 100_000)}, "failing": {err: errors.New("x")},
	}, setup{})
	c := dial(t, f.serve(t))
	for _, target := range []string{
		"/secrets?name=json", "/secrets?name=json&field=/k", "/secrets?name=empty", "/secrets?name=bytes", "/secrets?name=long",
		"/secrets?name=failing", "/secrets?name=nosuch", "/secrets", "/nosuch", "/healthz", "/stats",
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
			for _, name := range []string{"Date", "Age", "Cache-Status", "Retry-After"} { // time goes on
				if h.Get(name) != "" {
					h.Set(name, "some")
				}
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
		{"path with an escape", get("/secret%73?name=a"), 404, `"code":"no_route"`},
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
	eventually(t, "the second reader joins", func() bool { return f.used.Load().caches["secrets"].Stats().Collapsed == 1 })
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
		if a, err := c.receive("GET"); err == nil && a.status < 400 {
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
