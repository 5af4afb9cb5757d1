package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
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

// call is one request to the API.
type call struct {
	op      string        // the path, by which errors name the call
	timeout time.Duration // 0 is none but the context's
	header  []field
	body    []byte // JSON; with one it is a POST, else a GET
	want    int    // the status of success
	out     any    // takes the JSON answer; nil when there is nothing to know
}

// field is a line of a header.
type field struct{ name, value string }

// do makes the call and returns the answer's header.
func (c *Client) do(ctx context.Context, k call) (http.Header, error) {
	if k.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, k.timeout)
		defer cancel()
	}
	req, err := k.request(c.addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.op, err)
	}
	resp, body, err := c.http.roundTrip(ctx, req, maxBody)
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

// request returns the call as it is sent. The function's runtime waits for the first one, and net/http's way to the same
// bytes is the longer the first time.
func (k call) request(host string) ([]byte, error) {
	method := http.MethodGet
	if k.body != nil {
		method = http.MethodPost
	}
	var b bytes.Buffer
	b.WriteString(method + " /2020-01-01/extension/" + k.op + " HTTP/1.1\r\nHost: " + host + "\r\n")
	for _, f := range k.header {
		if strings.ContainsAny(f.value, "\r\n") {
			return nil, fmt.Errorf("a line break in %s: %q", f.name, f.value)
		}
		b.WriteString(f.name + ": " + f.value + "\r\n")
	}
	if k.body != nil {
		b.WriteString("Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(k.body)) + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(k.body)
	return b.Bytes(), nil
}
