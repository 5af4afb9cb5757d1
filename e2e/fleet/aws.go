package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// kinds are those of the extension, in the order of all tables.
var kinds = []string{"parameters", "secrets", "dynamodb"}

// quotas are the calls a second that AWS takes for each kind; one that is missing is not limited.
type quotas map[string]float64

// bucket lets calls through at a rate, and those of one second at once. It counts.
type bucket struct {
	rate float64 // calls a second; 0 is no limit

	mu        sync.Mutex // guards what follows
	tokens    float64
	at        time.Time // when tokens were counted
	calls     int       // all there were
	throttled int
}

func newBucket(rate float64) *bucket { return &bucket{rate: rate, tokens: rate, at: time.Now()} }

// enter reports whether a call may pass now.
func (b *bucket) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.rate == 0 {
		return true
	}
	now := time.Now()
	b.tokens = min(b.rate, b.tokens+b.rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.tokens < 1 {
		b.throttled++
		return false
	}
	b.tokens--
	return true
}

// count returns how many calls there were, and how many of them were throttled.
func (b *bucket) count() (calls, throttled int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls, b.throttled
}

// cloud stands in for AWS: it has every parameter, secret and item it is asked for, and answers after a while. What the
// extension asks is held to the protocol by the tests of its sources, not here.
type cloud struct {
	url     string
	key     string // the value of the secret that seals
	latency time.Duration
	server  *http.Server
	buckets map[string]*bucket // by kind
	ended   chan struct{}
}

func startCloud(latency time.Duration, q quotas, key string) (*cloud, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &cloud{
		url: "http://" + listener.Addr().String(), key: key, latency: latency,
		buckets: make(map[string]*bucket), ended: make(chan struct{}),
	}
	for _, kind := range kinds {
		c.buckets[kind] = newBucket(q[kind])
	}
	c.server = &http.Server{Handler: c}
	go c.server.Serve(listener) // ends with stop
	return c, nil
}

func (c *cloud) stop() {
	close(c.ended)
	c.server.Close()
}

// calls is how many calls there were, of all kinds.
func (c *cloud) calls() int {
	sum := 0
	for _, b := range c.buckets {
		n, _ := b.count()
		sum += n
	}
	return sum
}

// kindOf is by the service in X-Amz-Target.
var kindOf = map[string]string{"AmazonSSM": "parameters", "secretsmanager": "secrets", "DynamoDB_20120810": "dynamodb"}

type (
	attribute map[string]string // type: value
	item      map[string]attribute
	question  struct {
		Name         string
		Names        []string
		SecretID     string `json:"SecretId"`
		Key          item
		RequestItems map[string]struct{ Keys []item }
	}
)

// ServeHTTP answers one call.
func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	b := c.buckets[kindOf[service]]
	var in question
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || b == nil {
		http.Error(w, `{"__type":"SerializationException"}`, http.StatusBadRequest)
		return
	}
	passed := b.enter()
	if c.latency > 0 {
		select {
		case <-time.After(c.latency):
		case <-c.ended:
		}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if !passed {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"ThrottlingException","message":"Rate exceeded"}`)
		return
	}
	answer := c.answer(operation, in)
	if answer == nil {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"UnknownOperationException"}`)
		return
	}
	json.NewEncoder(w).Encode(answer)
}

func (c *cloud) answer(operation string, in question) any {
	switch operation {
	case "GetParameter":
		return map[string]any{"Parameter": parameter(in.Name)}
	case "GetParameters":
		found := make([]any, len(in.Names))
		for i, name := range in.Names {
			found[i] = parameter(name)
		}
		return map[string]any{"Parameters": found}
	case "GetSecretValue":
		return map[string]string{"Name": in.SecretID, "SecretString": c.secret(in.SecretID)}
	case "GetItem":
		return map[string]any{"Item": full(in.Key)}
	case "BatchGetItem":
		responses := make(map[string][]item)
		for table, asked := range in.RequestItems {
			for _, key := range asked.Keys {
				responses[table] = append(responses[table], full(key))
			}
		}
		return map[string]any{"Responses": responses, "UnprocessedKeys": struct{}{}}
	}
	return nil
}

func parameter(name string) any {
	return map[string]any{
		"ARN": "arn:aws:ssm:us-east-1:123456789012:parameter" + name, "Name": name, "Type": "String", "Value": text(name), "Version": 1,
	}
}

func (c *cloud) secret(id string) string {
	if id == keySecret {
		return c.key
	}
	return text(id)
}

// full is the item with the key.
func full(key item) item {
	id := key[hashKey]["S"]
	return item{hashKey: {"S": id}, "text": {"S": text(id)}}
}

// text is the value of a name: 200 bytes, about what a secret of the console has.
func text(name string) string {
	const size = 200
	return name + strings.Repeat(".", max(0, size-len(name)))
}
