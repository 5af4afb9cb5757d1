package main

import (
	"encoding/json"
	"hash/crc32"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// upstream stands in for AWS: it has every parameter, secret and item it is asked for, and answers after a while. It checks
// nothing and spends little: what it is asked is held to the protocol by the tests of the sources.
type upstream struct {
	url     string
	server  *http.Server
	value   func(name string) string
	ended   chan struct{} // closed by stop
	latency time.Duration // of an answer

	calls  atomic.Int64
	ailing atomic.Pointer[ailment]
}

// ailment is what is wrong with AWS.
type ailment string

const (
	throttling ailment = "throttling"
	down       ailment = "down" // drops connections
	hanging    ailment = "hanging"
)

// startUpstream starts one on listener.
func startUpstream(listener net.Listener, latency time.Duration, value func(name string) string) *upstream {
	u := &upstream{url: "http://" + listener.Addr().String(), value: value, ended: make(chan struct{}), latency: latency}
	u.server = &http.Server{Handler: u}
	go u.server.Serve(listener) // ends with stop
	return u
}

func listen() (net.Listener, error) { return net.Listen("tcp4", "127.0.0.1:0") }

func (u *upstream) stop() {
	close(u.ended)
	u.server.Close()
}

// env is by what a program takes u for AWS.
func (u *upstream) env() []string {
	return []string{"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=example", "AWS_SECRET_ACCESS_KEY=example", "AWS_ENDPOINT_URL=" + u.url}
}

// ail makes u ill, or well again with "".
func (u *upstream) ail(a ailment) { u.ailing.Store(&a) }

// ServeHTTP answers one call.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.calls.Add(1)
	if a := u.ailing.Load(); a != nil && *a != "" {
		u.fail(w, r, *a)
		return
	}
	var in question
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, "not JSON", http.StatusBadRequest)
		return
	}
	if u.latency > 0 {
		select {
		case <-time.After(u.latency):
		case <-u.ended:
		}
	}
	body, err := json.Marshal(u.answer(r.Header.Get("X-Amz-Target"), in))
	if err != nil {
		http.Error(w, "no JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", "00000000-0000-4000-a000-000000000001")
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

func (u *upstream) fail(w http.ResponseWriter, r *http.Request, a ailment) {
	switch a {
	case throttling:
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		http.Error(w, `{"__type":"ThrottlingException","message":"Rate exceeded"}`, http.StatusBadRequest)
	case down:
		panic(http.ErrAbortHandler)
	case hanging:
		select {
		case <-r.Context().Done():
		case <-u.ended:
		}
	}
}

type (
	attribute map[string]string // type: value
	item      map[string]attribute
	// question is the input of any call there is.
	question struct {
		Name         string
		Names        []string
		SecretId     string
		Key          item
		RequestItems map[string]struct{ Keys []item }
	}
)

func (u *upstream) answer(target string, in question) any {
	_, operation, _ := strings.Cut(target, ".")
	switch operation {
	case "GetParameter":
		return map[string]any{"Parameter": u.parameter(in.Name)}
	case "GetParameters":
		all := []any{}
		for _, name := range in.Names {
			all = append(all, u.parameter(name))
		}
		return map[string]any{"Parameters": all, "InvalidParameters": []string{}}
	case "GetSecretValue":
		return map[string]any{
			"ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:" + in.SecretId + "-AbCdEf", "Name": in.SecretId,
			"SecretString": u.value(in.SecretId), "VersionId": "00000000-0000-4000-8000-000000000001", "VersionStages": []string{"AWSCURRENT"},
		}
	case "GetItem":
		return map[string]any{"Item": u.item(in.Key)}
	case "BatchGetItem":
		responses := make(map[string][]item)
		for table, asked := range in.RequestItems {
			for _, key := range asked.Keys {
				responses[table] = append(responses[table], u.item(key))
			}
		}
		return map[string]any{"Responses": responses, "UnprocessedKeys": map[string]any{}}
	}
	return map[string]string{"__type": "UnknownOperationException"}
}

func (u *upstream) parameter(name string) any {
	return map[string]any{
		"ARN": "arn:aws:ssm:us-east-1:123456789012:parameter" + name, "DataType": "text", "Name": name, "Type": "String",
		"Value": u.value(name), "Version": 1, "LastModifiedDate": 1700000000.123,
	}
}

// item is the one with the key, whose one attribute is text.
func (u *upstream) item(key item) item {
	id := key[hashKey]["S"]
	return item{hashKey: {"S": id}, "text": {"S": u.value(id)}}
}
