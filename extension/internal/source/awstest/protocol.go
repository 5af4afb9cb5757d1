package awstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// operation is one of the calls that the fake knows.
type operation struct {
	name        string
	service     string // in the credential scope
	contentType string
	// parse reads a request. It is called with the lock held; its error is a violation.
	parse func(f *Fake, region string, body []byte) (request, error)
}

// request is one that kept to the protocol.
type request struct {
	names  []string
	tables []string // that a Match may name, too
	run    run
}

const (
	json10 = "application/x-amz-json-1.0"
	json11 = "application/x-amz-json-1.1"
)

var operations = map[string]operation{
	"AmazonSSM.GetParameter":         {"GetParameter", "ssm", json11, (*Fake).getParameter},
	"AmazonSSM.GetParameters":        {"GetParameters", "ssm", json11, (*Fake).getParameters},
	"AmazonSSM.GetParametersByPath":  {"GetParametersByPath", "ssm", json11, (*Fake).getParametersByPath},
	"secretsmanager.GetSecretValue":  {"GetSecretValue", "secretsmanager", json11, (*Fake).getSecretValue},
	"DynamoDB_20120810.GetItem":      {"GetItem", "dynamodb", json10, (*Fake).getItem},
	"DynamoDB_20120810.BatchGetItem": {"BatchGetItem", "dynamodb", json10, (*Fake).batchGetItem},
}

var authorization = regexp.MustCompile(
	`^AWS4-HMAC-SHA256 Credential=[\w-]+/(\d{8})/([a-z0-9-]+)/([a-z0-9]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$`)

// accept checks everything about a request that AWS or its documents ask for. The error is a violation.
func (f *Fake) accept(r *http.Request, body []byte) (operation, Call, run, error) {
	op, ok := operations[r.Header.Get("X-Amz-Target")]
	if !ok {
		return operation{contentType: json11}, Call{}, nil, errors.New("unknown X-Amz-Target")
	}
	region, err := check(r, op)
	if err != nil {
		return op, Call{}, nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	req, err := op.parse(f, region, body)
	call := Call{Op: op.name, Region: region, Host: host(r), Names: req.names, Body: string(body), At: time.Now(), tables: req.tables}
	return op, call, req.run, err
}

// check returns the region that r is signed for.
func check(r *http.Request, op operation) (string, error) {
	if r.Method != http.MethodPost || r.URL.Path != "/" || r.URL.RawQuery != "" {
		return "", errors.New("not a POST to /")
	}
	if got := r.Header.Get("Content-Type"); got != op.contentType {
		return "", fmt.Errorf("Content-Type %q, want %q", got, op.contentType)
	}
	m := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		return "", errors.New("no AWS4-HMAC-SHA256 Authorization")
	}
	day, region, service, signed := m[1], m[2], m[3], strings.Split(m[4], ";")
	if service != op.service {
		return "", fmt.Errorf("signed for service %q, want %q", service, op.service)
	}
	for _, name := range []string{"host", "x-amz-date", "x-amz-target"} {
		if !slices.Contains(signed, name) {
			return "", fmt.Errorf("header %s is not signed", name)
		}
	}
	if r.Header.Get("X-Amz-Security-Token") != "" && !slices.Contains(signed, "x-amz-security-token") {
		return "", errors.New("header x-amz-security-token is not signed")
	}
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", date)
	if err != nil {
		return "", fmt.Errorf("X-Amz-Date %q: not an ISO 8601 basic time", date)
	}
	if !strings.HasPrefix(date, day) || time.Since(at).Abs() > 5*time.Minute {
		return "", fmt.Errorf("X-Amz-Date %q is not now, or not the day of the signature", date)
	}
	if h := host(r); strings.Contains(h, ".amazonaws.com") && !strings.Contains(h, "."+region+".") {
		return "", fmt.Errorf("signed for region %q, sent to %q", region, h)
	}
	return region, nil
}

// host returns where r is meant to go, on the side of the client and of the server alike.
func host(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	return r.URL.Host
}

// strict decodes a JSON object whose members must be fields of T, by their exact names.
func strict[T any](raw []byte) (T, error) {
	var v T
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return v, fmt.Errorf("body: %w", err)
	}
	for name := range members {
		if _, ok := reflect.TypeFor[T]().FieldByName(name); !ok {
			return v, fmt.Errorf("unknown member %q", name)
		}
	}
	return v, json.Unmarshal(raw, &v)
}

// epoch is a time as the services write it: seconds with a fraction.
func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// parseARN returns what follows the account when id is an ARN, and whether it is one. An ARN of another service or region than the
// one asked is a violation: the request can only go wrong.
func parseARN(id, service, region string) (rest string, ok bool, err error) {
	if !strings.HasPrefix(id, "arn:") {
		return "", false, nil
	}
	parts := strings.SplitN(id, ":", 6)
	if len(parts) < 6 || parts[2] != service || parts[3] != region || parts[4] != Account {
		return "", true, fmt.Errorf("%q is not an ARN of %s in %s and account %s", id, service, region, Account)
	}
	return parts[5], true, nil
}
