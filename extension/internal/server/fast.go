package server

import (
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"cache-extension/extension/internal/cache"
)

// conn is a connection to a client. net/http reads its requests from it, but for the plain reads that are hits: those it
// answers by itself, out of sight of net/http, when net/http asks for more to read. Anything else it passes on as it came.
//
// It does so only between two requests. From the moment that net/http is given bytes until it says that the connection is
// idle, all that comes belongs to net/http; and where those bytes may end anywhere but at the end of one request, for good.
type conn struct {
	net.Conn
	s     *Server
	doing atomic.Int32 // what conns knows of it
	turn  atomic.Int64 // when it became idle, in conns' count

	// What follows is used by one goroutine at a time: net/http reads, then serves, then says idle. While it serves, it
	// reads in the background, and ends that before it goes on.
	passing bool   // what comes is net/http's
	whole   bool   // net/http was given exactly one request without a body
	bounded bool   // a read deadline is set
	host    string // the last Host header that was found good
	out     []byte // for answers, kept from one to the next

	aborted chan struct{} // net/http ended its background read
}

func newConn(nc net.Conn, s *Server) *conn {
	return &conn{Conn: nc, s: s, passing: s.slow, aborted: make(chan struct{}, 1)}
}

// firstBytes is how much of a further request must have come before net/http takes it for one and bounds the rest.
const firstBytes = 4

// smallBody is up to which size a body is copied behind its header, to be sent in one write. A larger one may wait for its
// reader, and net/http, which knows of it then, waits at a shutdown.
const smallBody = 16 << 10

// Read gives net/http what is not a plain hit.
func (c *conn) Read(p []byte) (int, error) {
	if c.passing && c.whole {
		// The background read by which net/http would learn, while it serves, that the client is gone. Nobody asks (a read goes
		// on for those who come after), and what it read would be of the next request.
		<-c.aborted
		return 0, os.ErrDeadlineExceeded
	}
	if c.passing {
		return c.Conn.Read(p)
	}
	have := 0
	for {
		n, err := c.Conn.Read(p[have:])
		rest := p[:have+n]
		for len(rest) > 0 {
			h := parseHead(rest)
			if !h.plain || !c.answer(h) {
				if len(rest) < firstBytes && !c.bounded {
					break
				}
				c.passing, c.whole = true, h.size == len(rest)
				if !c.bounded { // net/http may count from before the hits
					c.SetReadDeadline(time.Now().Add(readHeaderTimeout)) // an error shows at the next read
				}
				return copy(p, rest), err
			}
			if c.bounded { // the bound on the first request, which has come
				c.SetReadDeadline(time.Time{})
			}
			rest = rest[h.size:]
		}
		if err != nil {
			return 0, err
		}
		have = copy(p, rest)
	}
}

// answered is called when net/http has answered a request and waits for the next.
func (c *conn) answered() { c.passing = !c.whole }

// CloseWrite lets net/http say goodbye before it hangs up: without it, what was unread would reset the connection, and the
// client would lose the answer that tells it why.
func (c *conn) CloseWrite() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.CloseWrite()
	}
	return nil
}

// SetReadDeadline is net/http's way to bound the reading of a header, and with a time long past to end a background read.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.bounded = !t.IsZero(); !c.bounded {
		select { // an abort that found nobody reading is over
		case <-c.aborted:
		default:
		}
	} else if t.Before(time.Now()) {
		c.abort()
	}
	return c.Conn.SetReadDeadline(t)
}

// Close ends a background read, too.
func (c *conn) Close() error {
	c.abort()
	return c.Conn.Close()
}

func (c *conn) abort() {
	select {
	case c.aborted <- struct{}{}:
	default:
	}
}

// answer answers the request if it is a hit; if it is not, or not allowed, net/http gets to see it.
func (c *conn) answer(h head) (done bool) {
	defer func() {
		if recover() != nil {
			done = false // it will happen again where it is logged and answered
		}
	}()
	if string(h.host) != c.host {
		if c.host = string(h.host); !loopback(c.host) {
			c.host = ""
			return false
		}
	}
	kept := c.s.used.Load().caches[string(h.kind)]
	if kept == nil || !c.s.knows(string(h.token)) || !c.s.conns.begin(c) {
		return false
	}
	defer func() {
		if done {
			c.s.conns.end(c)
		}
	}()
	a, ok := kept.Hit(string(h.name), smallBody)
	if !ok {
		return false
	}
	sent := c.s.representation(a.Value)
	c.out = sent.appendHead(c.out[:0], a)
	c.out = append(c.out, sent.body...)
	c.Conn.Write(c.out) // an error shows at the next read
	return true
}

// appendHead appends the status line and the header of a 200 to b, as net/http writes them: sorted, Date last.
func (r *representation) appendHead(b []byte, a cache.Answer) []byte {
	b = append(b, "HTTP/1.1 200 OK\r\nAge: "...)
	b = strconv.AppendInt(b, int64(a.Age/time.Second), 10)
	b = append(b, "\r\nCache-Control: no-store\r\nCache-Status: "...)
	b = appendCacheStatus(b, a)
	b = append(b, r.head...)
	b = time.Now().UTC().AppendFormat(b, http.TimeFormat)
	return append(b, "\r\n\r\n"...)
}

// head is what can be told of a request by its header alone, without a copy.
type head struct {
	size  int  // in bytes, up to the empty line; 0 where the request may have a body or is not whole
	plain bool // GET /<kind>?name=<name> with nothing in it that needs decoding or that a guard or a route decides by

	kind, name, host, token []byte // of a plain request; the token is empty when there is none
}

// parseHead reads the request that b begins with. It is strict: what it has the least doubt about is neither plain nor has
// a size, and net/http decides what it is.
func parseHead(b []byte) head {
	var h head
	line, rest, ok := cutLine(b)
	if !ok {
		return head{}
	}
	h.kind, h.name, h.plain, ok = parseTarget(line)
	if !ok {
		return head{}
	}
	for {
		if line, rest, ok = cutLine(rest); !ok {
			return head{}
		}
		if len(line) == 0 {
			break
		}
		name, value, ok := cutField(line)
		if !ok || !h.add(name, value) {
			return head{}
		}
	}
	h.size = len(b) - len(rest)
	h.plain = h.plain && len(h.host) > 0
	return h
}

// add takes a header field into account; it is false for one that says that the request may not end with its header.
func (h *head) add(name, value []byte) bool {
	switch len(name) {
	case len("Via"):
		h.plain = h.plain && !is(name, "via")
	case len("Host"):
		if is(name, "host") {
			if h.host != nil {
				return false
			}
			h.host = value
		}
	case len("Origin"): // and Expect
		if is(name, "expect") {
			return false
		}
		h.plain = h.plain && !is(name, "origin")
	case len("Upgrade"): // and Trailer
		return !is(name, "upgrade") && !is(name, "trailer")
	case len("Forwarded"):
		h.plain = h.plain && !is(name, "forwarded")
	case len("Connection"):
		return !is(name, "connection") || is(value, "keep-alive")
	case len("If-None-Match"):
		h.plain = h.plain && !is(name, "if-none-match")
	case len("Content-Length"): // and Sec-Fetch-Site
		if is(name, "content-length") {
			return false
		}
		h.plain = h.plain && !is(name, "sec-fetch-site")
	case len("X-Forwarded-For"):
		h.plain = h.plain && !is(name, "x-forwarded-for")
	case len("Transfer-Encoding"):
		return !is(name, "transfer-encoding")
	case len(tokenHeader):
		if is(name, "x-aws-parameters-secrets-token") {
			h.plain = h.plain && h.token == nil && len(value) > 0
			h.token = value
		}
	}
	return true
}

// parseTarget reads a request line. It is ok if the method is GET or HEAD and the version HTTP/1.1; plain is said of a GET
// of /<kind>?name=<name> in which nothing is encoded.
func parseTarget(line []byte) (kind, name []byte, plain, ok bool) {
	const version = " HTTP/1.1"
	at := len(line) - len(version)
	if at < 0 || string(line[at:]) != version {
		return nil, nil, false, false
	}
	target, get := cutPrefix(line[:at], "GET ")
	if !get {
		_, ok = cutPrefix(line[:at], "HEAD ")
		return nil, nil, false, ok
	}
	kind, ok = cutPrefix(target, "/")
	if !ok {
		return nil, nil, false, false
	}
	end := 0
	for end < len(kind) && kind[end] >= 'a' && kind[end] <= 'z' {
		end++
	}
	kind, name = kind[:end], kind[end:]
	name, plain = cutPrefix(name, "?name=")
	for _, c := range name {
		plain = plain && unescaped(c)
	}
	return kind, name, plain && len(name) > 0, true
}

// unescaped says whether c means itself in a query, to any parser.
func unescaped(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~' || c == '/' || c == ':' || c == '@'
}

func cutPrefix(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return b, false
	}
	return b[len(prefix):], true
}

// cutLine cuts b after the first line, which ends in CRLF and holds no control characters but tabs, and only ASCII.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	for i, c := range b {
		if c >= ' ' && c < 0x7f || c == '\t' {
			continue
		}
		if c == '\r' && i+1 < len(b) && b[i+1] == '\n' {
			return b[:i], b[i+2:], true
		}
		break
	}
	return nil, nil, false
}

// cutField cuts a header line into its name and its value, which is without blanks around it.
func cutField(line []byte) (name, value []byte, ok bool) {
	for i, c := range line {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			continue
		case c != ':' || i == 0:
			return nil, nil, false
		}
		name, value = line[:i], line[i+1:]
		for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
			value = value[1:]
		}
		for len(value) > 0 && (value[len(value)-1] == ' ' || value[len(value)-1] == '\t') {
			value = value[:len(value)-1]
		}
		return name, value, true
	}
	return nil, nil, false
}

// is compares b with lower, which is in lower case, whatever the case of b.
func is(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
