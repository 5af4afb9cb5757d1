package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// maxBody bounds an answer. The API's own are below 1 KiB: an event carries no payload of the function.
const maxBody = 64 << 10

// StatusError is an answer of the API other than the one that was asked for. A connection that was refused or dropped is never
// a StatusError. Status 500 means that the environment is beyond recovery and the extension should end.
type StatusError struct {
	Op      string // the call: register, event/next, init/error or exit/error
	Status  int    // the HTTP status
	Type    string // the API's errorType, such as Extension.InvalidEventType; empty when it gave none
	Message string // the API's errorMessage; empty when it gave none
}

// Error is the call, the status and what the API said of it, as "register: 403 Extension.InvalidEventType: no such event".
func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s: %d", e.Op, e.Status)
	if e.Type == "" {
		return s + " " + http.StatusText(e.Status)
	}
	if s += " " + e.Type; e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// call is one request to the API. With an in it is a POST of it as JSON, else a GET.
type call struct {
	op      string        // the path, by which errors name the call
	timeout time.Duration // 0 is none but the context's
	header  map[string]string
	in      any
	sent    func() // called when the request is on its way; may be nil
	want    int    // the status of success
	out     any    // takes the JSON answer; nil when there is nothing to know
}

// do makes the call and returns the answer's header.
func (c *Client) do(ctx context.Context, k call) (http.Header, error) {
	if k.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, k.timeout)
		defer cancel()
	}
	req, err := newRequest(ctx, c.base+k.op, k)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.op, err)
	}
	resp, body, err := c.http.roundTrip(req, maxBody, k.sent)
	if resp == nil {
		return nil, fmt.Errorf("%s: %w", k.op, err)
	}
	if resp.StatusCode != k.want {
		var said struct{ ErrorType, ErrorMessage string }
		if json.Unmarshal(body, &said) != nil { // cut short or not JSON: the status has to do
			said.ErrorType, said.ErrorMessage = "", ""
		}
		return nil, &StatusError{Op: k.op, Status: resp.StatusCode, Type: said.ErrorType, Message: said.ErrorMessage}
	}
	if err == nil && k.out != nil {
		err = json.Unmarshal(body, k.out)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: reading the answer: %w", k.op, err)
	}
	return resp.Header, nil
}

func newRequest(ctx context.Context, url string, k call) (*http.Request, error) {
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if k.in != nil {
		b, err := json.Marshal(k.in)
		if err != nil {
			return nil, err
		}
		method, body = http.MethodPost, bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	if k.in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range k.header {
		req.Header.Set(name, value)
	}
	return req, nil
}
