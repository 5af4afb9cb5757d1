// Command go reads from cache-extension and prints the values. Copy Client and what it uses into your function.
//
//	go run ./examples/clients/go <cachetype> <name>...
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

// timeout of a read: the extension gives AWS 2 seconds, Lambda gives a function 3 by default.
const timeout = 2500 * time.Millisecond

// Client reads from the extension. Make one, and use it as long as the function lives, concurrently if you like.
type Client struct {
	url  string
	http http.Client
}

// NewClient makes a client that keeps its connections: opening one takes longer than a read from memory.
func NewClient() *Client {
	return &Client{
		url: "http://localhost:" + cmp.Or(os.Getenv("CACHE_EXTENSION_PORT"), "4000"),
		// A transport of its own has no proxy and never closes a connection for being idle.
		http: http.Client{Timeout: timeout, Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
	}
}

// Error is an answer other than 200.
type Error struct {
	Status     int    `json:"-"`
	Code       string // for programs, such as missing
	Detail     string // for people
	RetryAfter int    `json:"-"` // seconds; 0 where nothing was said
}

// Error says all of it.
func (e *Error) Error() string {
	text := fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Detail)
	if e.RetryAfter > 0 {
		text += fmt.Sprintf(" (Retry-After: %d)", e.RetryAfter)
	}
	return text
}

// Get returns a value. The query may be nil, or hold more: field=/host, refresh=true. An answer other than 200 is an *Error.
func (c *Client) Get(ctx context.Context, cachetype, name string, query url.Values) ([]byte, error) {
	all := url.Values{"name": {name}}
	maps.Copy(all, query)
	body, err := c.get(ctx, "/"+cachetype+"?"+all.Encode())
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", cachetype, name, err)
	}
	return body, nil
}

func (c *Client) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, nil)
	if err != nil {
		return nil, err
	}
	if token := cmp.Or(os.Getenv("AWS_SESSION_TOKEN"), os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")); token != "" {
		request.Header.Set("X-Aws-Parameters-Secrets-Token", token) // for server.token: true
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no answer from the cache extension: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body) // to the end, or the connection is not used again
	if err != nil {
		return nil, fmt.Errorf("no whole answer from the cache extension: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		return body, nil
	}
	problem := &Error{Status: response.StatusCode, Code: "unknown", Detail: "not an answer of the cache extension"}
	problem.RetryAfter, _ = strconv.Atoi(response.Header.Get("Retry-After"))
	_ = json.Unmarshal(body, problem) // it fails where something else listens on the port
	return nil, problem
}

func main() {
	client, failed := NewClient(), 0
	for _, name := range os.Args[min(2, len(os.Args)):] {
		value, err := client.Get(context.Background(), os.Args[1], name, nil)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			failed = 1
			continue
		}
		fmt.Printf("%s\n", value)
	}
	os.Exit(failed)
}
