package lambda

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// silent gives a client whose connections take what is sent and never answer.
func silent() *Client {
	c := New("169.254.100.1:9001", "cache-extension")
	c.http.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
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
		{"Register", func(ctx context.Context, c *Client) error { _, err := c.Register(ctx, Shutdown); return err }, 5 * time.Second},
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

// TestNoProxy looks at the field: net/http reads the environment once a process, so that a test that sets HTTP_PROXY proves
// something only when it is the first.
func TestNoProxy(t *testing.T) {
	if New("169.254.100.1:9001", "cache-extension").http.Transport.(*http.Transport).Proxy != nil {
		t.Error("the transport has a Proxy, want none")
	}
}
