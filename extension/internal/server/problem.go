package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"cache-extension/extension/internal/cache"
)

// problem is why a request got no value, sent as RFC 9457 problem details.
type problem struct {
	status int
	code   string // what programs test
	detail string // what to do next; may hold the caller's own name, never a value and nothing AWS said
	retry  bool   // send Retry-After
	after  time.Duration
}

func badRequest(format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, code: "bad_request", detail: fmt.Sprintf(format, args...)}
}

func forbidden(format string, args ...any) *problem {
	return &problem{status: http.StatusForbidden, code: "forbidden", detail: fmt.Sprintf(format, args...)}
}

func noRoute() *problem {
	return &problem{status: http.StatusNotFound, code: "no_route",
		detail: "There is nothing at this path. Read /dynamodb, /parameters or /secrets with ?name=<name>, or /healthz or /stats."}
}

func noField(q query) *problem {
	return &problem{status: http.StatusNotFound, code: "no_field",
		detail: fmt.Sprintf("The value of %q has nothing at the field %q, or is not JSON. Read it without field to see what it holds.", clip(q.name), clip(q.field))}
}

func methodNotAllowed() *problem {
	return &problem{status: http.StatusMethodNotAllowed, code: "method", detail: "This is read only: use GET or HEAD."}
}

func internal() *problem {
	return &problem{status: http.StatusInternalServerError, code: "internal",
		detail: "cache-extension has a fault; its log has the stack. Please report it. Other reads are not affected."}
}

// what a kind of resource is called, and the IAM actions that reading it takes: singly, and in a batch.
func nouns(kind string) (noun, actions string) {
	switch kind {
	case "dynamodb":
		return "item", "dynamodb:GetItem and dynamodb:BatchGetItem"
	case "parameters":
		return "parameter", "ssm:GetParameter and ssm:GetParameters (ssm:GetParametersByPath for a path)"
	default:
		return "secret", "secretsmanager:GetSecretValue"
	}
}

// problemOf is the one place where an error of a read becomes a status, a code and a sentence.
func (s *Server) problemOf(err error, kind, name string) *problem {
	name = clip(name)
	noun, actions := nouns(kind)
	p := &problem{retry: true}
	var failure *cache.Failure
	if errors.As(err, &failure) {
		p.after = failure.RetryAfter
	}
	var panicked *cache.PanicError
	switch {
	case errors.Is(err, cache.ErrUndeclared):
		p.status, p.code, p.retry = http.StatusNotFound, "undeclared", false
		p.detail = fmt.Sprintf("%q is not declared under %s in config.yaml. Add it there, or correct the name.", name, kind)
	case errors.Is(err, cache.ErrMissing):
		p.status, p.code, p.retry = http.StatusNotFound, "missing", false
		p.detail = fmt.Sprintf("AWS has no %s behind %q. Create it, or correct its entry in config.yaml (name, key, region, version).", noun, name)
	case errors.Is(err, cache.ErrDenied):
		p.status, p.code, p.retry = http.StatusForbidden, "denied", false
		p.detail = fmt.Sprintf("AWS denied the read of %q. Allow the function's role %s on it, and kms:Decrypt if a key of yours encrypts it.", name, actions)
	case errors.Is(err, cache.ErrBusy):
		p.status, p.code = http.StatusTooManyRequests, "busy"
		p.detail = "server.max_waiting readers already wait for AWS. Try again in a second, or raise it in config.yaml."
	case errors.Is(err, cache.ErrThrottled):
		p.status, p.code = http.StatusServiceUnavailable, "throttled"
		p.detail = fmt.Sprintf("AWS throttled the read of %q and nothing older is held. Try again after Retry-After; a longer ttl asks AWS less often.", name)
	case errors.Is(err, cache.ErrTimeout):
		p.status, p.code = http.StatusGatewayTimeout, "timeout"
		p.detail = fmt.Sprintf("AWS did not answer the read of %q within timeout and nothing older is held. Check the network (VPC endpoint, security group), or raise timeout in config.yaml.", name)
	case errors.As(err, &panicked):
		return internal()
	case failure != nil:
		p.status, p.code = http.StatusBadGateway, "upstream"
		p.detail = fmt.Sprintf("AWS refused or failed the read of %q and nothing older is held. The log of the extension names the cause.", name)
	default:
		return internal()
	}
	var detailed interface{ Detail(name string) string } // a source that is not AWS says itself what to do
	if errors.As(err, &detailed) {
		p.detail = detailed.Detail(name)
	}
	return p
}

// write sends the problem.
func (p *problem) write(w http.ResponseWriter) {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false) // people read it as it is
	if err := e.Encode(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Code   string `json:"code"`
	}{"about:blank", http.StatusText(p.status), p.status, p.detail, p.code}); err != nil {
		panic(err) // strings and an int cannot fail
	}
	body.Truncate(body.Len() - 1) // the newline that Encode adds
	h := w.Header()
	for _, name := range []string{"Etag", "Age", "Cache-Status"} {
		delete(h, name) // set before a panic
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	if p.status == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, HEAD")
	}
	if p.retry {
		h.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(p.after.Seconds())))))
	}
	w.WriteHeader(p.status)
	w.Write(body.Bytes())
}

// clip keeps what a caller sent from filling an answer.
func clip(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
