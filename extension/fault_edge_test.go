package main

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/server"
	"cache-extension/extension/internal/source"
	"cache-extension/extension/internal/source/awstest"
)

// edgeConfig leaves every window and limit at its default.
const edgeConfig = `
parameters:
  - names: [/one/a, /one/b]
  - path: /tree
secrets:
  - names: [a]
dynamodb:
  - {table: things, key: {id: a}}
  - {table: things, key: {id: b}}
`

// The defaults that config.yaml leaves as they are, written out: what is expected is not to be taken from the code.
const (
	defaultTTL          = 5 * time.Minute
	defaultStaleIfError = time.Hour
	defaultStaleWait    = 500 * time.Millisecond
	defaultNegativeTTL  = 10 * time.Second
	defaultTimeout      = 2 * time.Second
)

const (
	// attempts is AWS_MAX_ATTEMPTS of an edge; not the default, so that it can be seen to be honoured.
	attempts = 2
	// latency is what every request to AWS takes, but for those that hang.
	latency = 10 * time.Millisecond
	// pause is the longest between two attempts.
	pause = 200 * time.Millisecond
)

// marker is in every value, and must be in nothing but an answer with that value.
const marker = "kept-from-logs-"

// edge is the program between its clients and AWS, put together as service.start does and without a socket on either
// side, so that it runs in a synctest bubble.
type edge struct {
	t      *testing.T
	aws    *awstest.Fake
	caches map[string]*cache.Cache
	server *server.Server
}

// newEdge makes an edge with the first version of every value in AWS. more are lines of config.yaml.
func newEdge(t *testing.T, more string) *edge {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(more+edgeConfig), config.Options{Env: []string{
		"AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=" + marker + "key",
		"AWS_MAX_ATTEMPTS=" + strconv.Itoa(attempts),
	}})
	if err != nil {
		t.Fatal(err)
	}
	e := &edge{t: t, aws: awstest.New(t), caches: make(map[string]*cache.Cache)}
	clients := source.NewClients(cfg, source.Options{HTTPClient: e.aws})
	waiting := cache.NewWaiting(cfg.Server.MaxWaiting)
	for kind, src := range map[string]cache.Source{
		"parameters": source.NewParameters(cfg, clients),
		"secrets":    source.NewSecrets(cfg, clients),
		"dynamodb":   source.NewItems(cfg, clients),
	} {
		e.caches[kind] = cache.New(src, cache.Options{
			StaleWhileRevalidate: cfg.StaleWhileRevalidate,
			StaleWait:            cfg.StaleWait,
			NegativeTTL:          cfg.NegativeTTL,
			Waiting:              waiting,
			Report: func(_ *cache.Key, err error) {
				if strings.Contains(err.Error(), marker) {
					t.Errorf("the log is told a value: %v", err)
				}
			},
		})
	}
	e.server = server.New(server.Options{Caches: e.caches, Log: slog.New(slog.DiscardHandler)})
	e.aws.CreateTable("eu-west-1", "things", awstest.KeyAttr{Name: "id", Type: "S"}, awstest.KeyAttr{})
	e.aws.Latency(latency)
	e.put(1)
	return e
}

// text is the given version of every value.
func text(version int) string { return marker + strconv.Itoa(version) }

// put gives every resource in AWS a new version.
func (e *edge) put(version int) {
	for _, name := range []string{"/one/a", "/one/b", "/tree/a"} {
		e.aws.PutParameter("eu-west-1", name, awstest.Parameter{Value: text(version)})
	}
	e.aws.PutSecret("eu-west-1", "a", awstest.Secret{Text: text(version)})
	for _, id := range []string{"a", "b"} {
		e.aws.PutItem("eu-west-1", "things", fmt.Sprintf(`{"id": {"S": %q}, "text": {"S": %q}}`, id, text(version)))
	}
}

// remove takes every resource out of AWS that can be taken out at once.
func (e *edge) remove() {
	for _, name := range []string{"/one/a", "/one/b", "/tree/a"} {
		e.aws.DeleteParameter("eu-west-1", name)
	}
	for _, id := range []string{"a", "b"} {
		e.aws.DeleteItem("eu-west-1", "things", fmt.Sprintf(`{"id": {"S": %q}}`, id))
	}
}

// get asks for a name and holds whatever is answered to what is true of every answer.
func (e *edge) get(kind, name string, refresh bool) answer {
	e.t.Helper()
	target := fmt.Sprintf("/%s?name=%s&refresh=%t", kind, url.QueryEscape(name), refresh)
	r := httptest.NewRequest("GET", target, nil)
	r.Host = "localhost:4000"
	w := httptest.NewRecorder()
	e.server.ServeHTTP(w, r)

	got := answer{w.Code, w.Header(), w.Body.String()}
	sent := fmt.Sprint(got.header, got.body)
	if strings.Contains(sent, awstest.Message) {
		e.t.Errorf("GET %s: the answer has the words of AWS: %s", target, sent)
	}
	if got.status != 200 && strings.Contains(sent, marker) {
		e.t.Errorf("GET %s: the problem has a value: %s", target, sent)
	}
	return got
}

// warm does what prefetch and INVOKE do. It returns while the flights are under way; wait waits until all have landed.
func (e *edge) warm(kind string, names []string) (wait func()) {
	landed := make(chan struct{})
	go func() {
		defer close(landed)
		e.caches[kind].Warm(source.Limited(e.t.Context()), names)
	}()
	synctest.Wait()
	return func() { <-landed }
}
