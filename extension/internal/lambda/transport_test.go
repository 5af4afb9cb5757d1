package lambda

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// silent gives a client whose connections take what is sent and never answer.
func silent() *Client {
	c := New("169.254.100.1:9001", "cache-extension")
	c.http.dial = func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		go io.Copy(io.Discard, far) // ends when the client closes its side
		return near, nil
	}
	return c
}

// TestSilentAPI has every call but Next end after five seconds, and Next when its context does.
func TestSilentAPI(t *testing.T) {
	const day = 24 * time.Hour
	for _, test := range []struct {
		name string
		call func(context.Context, *Client) error
		want time.Duration
	}{
		{"Register", func(ctx context.Context, c *Client) error { return c.Register(ctx, Shutdown) }, 5 * time.Second},
		{"InitError", func(ctx context.Context, c *Client) error { return c.InitError(ctx, "Extension.Test", "test") }, 5 * time.Second},
		{"ExitError", func(ctx context.Context, c *Client) error { return c.ExitError(ctx, "Extension.Test", "test") }, 5 * time.Second},
		{"Next", func(ctx context.Context, c *Client) error { _, err := c.Next(ctx); return err }, day},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), day)
				defer cancel()
				start := time.Now()
				err := test.call(ctx, silent())
				if got := time.Since(start); got != test.want || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s ended after %v with %v, want %v and the deadline", test.name, got, err, test.want)
				}
			})
		})
	}
}

// TestKeptConnectionThatEnded has the API close a connection after an answer that did not say so.
func TestKeptConnectionThatEnded(t *testing.T) {
	var conns atomic.Int32
	c := New("169.254.100.1:9001", "cache-extension")
	c.http.dial = func(context.Context) (net.Conn, error) {
		conns.Add(1)
		near, far := net.Pipe()
		go func() { // ends when either side closes
			defer far.Close()
			r := bufio.NewReader(far)
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			status := http.StatusAccepted
			if strings.HasSuffix(req.URL.Path, "/register") {
				status = http.StatusOK
			}
			fmt.Fprintf(far, "HTTP/1.1 %d \r\nLambda-Extension-Identifier: id\r\nContent-Length: 2\r\n\r\n{}", status)
		}()
		return near, nil
	}
	if err := c.Register(t.Context(), Invoke); err != nil {
		t.Fatal(err)
	}
	if err := c.ExitError(t.Context(), "Extension.Test", "test"); err != nil {
		t.Errorf("ExitError over a connection that had ended: %v", err)
	}
	if got := conns.Load(); got != 2 {
		t.Errorf("%d connections, want 2", got)
	}
}

// TestConnectionStaysInStep has the API send more than one answer to a call, which none of them may take for another's.
func TestConnectionStaysInStep(t *testing.T) {
	const registered = "HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: id\r\nContent-Length: 2\r\n\r\n{}"
	const event = `{"eventType":"SHUTDOWN","shutdownReason":"spindown"}`
	for _, tt := range []struct{ name, answer string }{
		{"interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + registered},
		{"bytes after it", registered + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"},
	} {
		c := New("169.254.100.1:9001", "cache-extension")
		c.http.dial = func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() { // ends when either side closes
				defer far.Close()
				for r := bufio.NewReader(far); ; {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					io.Copy(io.Discard, req.Body)
					answer := tt.answer
					if req.Method == http.MethodGet {
						answer = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(event), event)
					}
					if _, err := io.WriteString(far, answer); err != nil {
						return
					}
				}
			}()
			return near, nil
		}
		if err := c.Register(t.Context(), Invoke); err != nil {
			t.Errorf("%s: Register: %v", tt.name, err)
		}
		if e, err := c.Next(t.Context()); err != nil || e.Type != Shutdown || e.ShutdownReason != "spindown" {
			t.Errorf("%s: Next = %+v, %v, want SHUTDOWN", tt.name, e, err)
		}
	}
}

// TestConnectLeavesItToTheCall has no connection to be had ahead: that is no reason to wait, and for Register to say.
func TestConnectLeavesItToTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New("169.254.100.1:9001", "cache-extension")
		c.http.dial = func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		start := time.Now()
		c.Connect(t.Context())
		if got := time.Since(start); got != connectTimeout {
			t.Errorf("Connect ended after %v, want %v", got, connectTimeout)
		}
		if err := c.Register(t.Context(), Invoke); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != connectTimeout+callTimeout {
			t.Errorf("Register ended after %v with %v, want the deadline after %v", time.Since(start), err, callTimeout)
		}
	})
}

// TestNameWithALineBreak must not become a header of its own.
func TestNameWithALineBreak(t *testing.T) {
	c := New("169.254.100.1:9001", "cache\r\nextension")
	c.http.dial = func(context.Context) (net.Conn, error) {
		t.Error("dialled")
		return nil, errors.New("dialled")
	}
	if err := c.Register(t.Context(), Invoke); err == nil || !strings.Contains(err.Error(), "line break in Lambda-Extension-Name") {
		t.Errorf("Register = %v, want it to name the header", err)
	}
}
