package lambda

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// transport makes requests of the API, one after another on a connection that is kept, or beside each other on connections
// of their own. net/http's starts three goroutines for the first request, and the function's runtime waits for it.
//
// It knows no proxy: the API may have an address that is not loopback, and HTTP_PROXY, which is set for the function's sake,
// would send the call out of the environment. It follows no redirect.
type transport struct {
	dial func(context.Context) (net.Conn, error)

	mu   sync.Mutex // guards idle
	idle *conn      // nil while it is in use, and before the first request
}

// conn is a connection to the API that one request at a time may use.
type conn struct {
	net.Conn
	r *bufio.Reader
}

// roundTrip makes the request and reads the answer's body, at most limit bytes of it, as long as ctx lasts.
func (t *transport) roundTrip(ctx context.Context, req []byte, limit int64) (*http.Response, []byte, error) {
	c := t.kept()
	if c != nil {
		resp, body, err := c.exchange(ctx, t, req, limit)
		if resp != nil || ctx.Err() != nil {
			return resp, body, err
		}
		// The other side may have closed what was kept, and nothing of an answer has come: once more on a new connection.
	}
	c, err := t.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	return c.exchange(ctx, t, req, limit)
}

func (t *transport) connect(ctx context.Context) (*conn, error) {
	nc, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: nc, r: bufio.NewReader(nc)}, nil
}

// exchange is one request and its answer. Without an answer there is no response. The connection goes back to t where it is
// good for another request.
func (c *conn) exchange(ctx context.Context, t *transport, req []byte, limit int64) (_ *http.Response, body []byte, err error) {
	reusable := false
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) }) // long ago: whatever waits ends
	defer func() {
		if stop() && reusable {
			t.keep(c)
		} else {
			c.Close()
		}
		if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
	}()
	if _, err := c.Write(req); err != nil {
		return nil, nil, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	for err == nil && resp.StatusCode < http.StatusOK { // interim: the answer comes after it
		resp, err = http.ReadResponse(c.r, nil)
	}
	if err != nil {
		return nil, nil, err
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if over := int64(len(body)) > limit; over {
		body = body[:limit]
	} else {
		reusable = err == nil && !resp.Close && c.r.Buffered() == 0
	}
	return resp, body, err
}

// kept takes the connection that was kept, if there is one.
func (t *transport) kept() *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.idle
	t.idle = nil
	return c
}

func (t *transport) keep(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.idle != nil {
		t.idle.Close()
	}
	t.idle = c
}
