package cloud

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProxyCountsAndDrops(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	proxy, err := StartProxy(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	client := NewClient(proxy.URL)
	defer client.Close()
	for _, target := range []string{"AmazonSSM.GetParameter", "AmazonSSM.GetParameter", "secretsmanager.GetSecretValue"} {
		if err := client.Call(t.Context(), target, nil); err != nil {
			t.Fatal(err)
		}
	}
	proxy.SetDown(true)
	if err := client.Call(t.Context(), "AmazonSSM.GetParameters", nil); err == nil {
		t.Error("a call while the proxy is down: got an answer")
	}
	proxy.SetDown(false)
	if err := client.Call(t.Context(), "AmazonSSM.GetParameters", nil); err != nil {
		t.Errorf("a call when the proxy is up again: %v", err)
	}
	if got, want := proxy.Calls(), map[string]int{"GetParameter": 2, "GetSecretValue": 1, "GetParameters": 2}; !maps.Equal(got, want) {
		t.Errorf("calls: got %v, want %v", got, want)
	}
	if got := proxy.Calls(); len(got) != 0 {
		t.Errorf("calls since: got %v, want none", got)
	}
}

func TestProxyFaults(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	proxy, err := StartProxy(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	client := NewClient(proxy.URL)
	defer client.Close()
	for _, tt := range []struct {
		name       string
		fault      Fault
		operations []string
		want       string // in the error of GetParameter; empty means an answer
	}{
		{"throttled", Throttle, nil, `400 Bad Request: {"__type":"ThrottlingException"`},
		{"failing", Fail, nil, `500 Internal Server Error: {"__type":"InternalServerError"`},
		{"dropped", Drop, nil, "EOF"},
		{"none", None, nil, ""},
		{"another operation", Throttle, []string{"GetItem"}, ""},
		{"one of two operations", Fail, []string{"GetItem", "GetParameter"}, "500 Internal Server Error"},
		{"none any more", None, nil, ""},
	} {
		proxy.SetFault(tt.fault, tt.operations...)
		err := client.Call(t.Context(), "AmazonSSM.GetParameter", nil)
		if tt.want == "" && err != nil {
			t.Errorf("%s: got %v, want an answer", tt.name, err)
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q in it", tt.name, err, tt.want)
		}
	}
}

func TestProxyHangsUntilTheFaultEnds(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	proxy, err := StartProxy(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	client := NewClient(proxy.URL)
	defer client.Close()
	proxy.SetFault(Hang)

	// A caller that gives up ends its own call.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := client.Call(ctx, "AmazonSSM.GetParameter", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a hanging call: got %v, want %v", err, context.DeadlineExceeded)
	}

	ended := make(chan error)
	go func() { ended <- client.Call(t.Context(), "AmazonSSM.GetParameters", nil) }()
	for proxy.Calls()["GetParameters"] == 0 {
		runtime.Gosched()
	}
	proxy.SetFault(None)
	if err := <-ended; err == nil {
		t.Error("a call that hung: got an answer, want its connection dropped")
	}
	if err := client.Call(t.Context(), "AmazonSSM.GetParameter", nil); err != nil {
		t.Errorf("a call after the fault: %v", err)
	}
}

// TestProxyDelays calls the handler itself: the clock of a bubble stands still while a socket is read.
func TestProxyDelays(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fault  Fault
		delay  time.Duration
		gone   time.Duration // when the caller gives up
		status int           // 0 is a dropped connection
		want   time.Duration
	}{
		{"no delay", None, 0, time.Second, http.StatusOK, 0},
		{"an answer", None, 40 * time.Millisecond, time.Second, http.StatusOK, 40 * time.Millisecond},
		{"a refusal", Throttle, 40 * time.Millisecond, time.Second, http.StatusBadRequest, 40 * time.Millisecond},
		{"a drop", Drop, 40 * time.Millisecond, time.Second, 0, 40 * time.Millisecond},
		{"a caller who gives up", None, 40 * time.Millisecond, 10 * time.Millisecond, 0, 10 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &Proxy{calls: make(map[string]int), changed: make(chan struct{})}
			p.SetFault(tt.fault)
			p.SetDelay(tt.delay)
			ctx, cancel := context.WithTimeout(t.Context(), tt.gone)
			defer cancel()
			w := httptest.NewRecorder()
			start := time.Now()
			dropped := call(p.before(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), w,
				httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil))
			if got := time.Since(start); got != tt.want {
				t.Errorf("%s: took %v, want %v", tt.name, got, tt.want)
			}
			if want := tt.status == 0; dropped != want {
				t.Errorf("%s: dropped is %v, want %v", tt.name, dropped, want)
			}
			if !dropped && w.Code != tt.status {
				t.Errorf("%s: status %d, want %d", tt.name, w.Code, tt.status)
			}
		})
	}
}

// call has a handler answer and says whether it dropped the connection instead.
func call(h http.Handler, w http.ResponseWriter, r *http.Request) (dropped bool) {
	defer func() {
		switch reason := recover(); reason {
		case nil:
		case http.ErrAbortHandler:
			dropped = true
		default:
			panic(reason)
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

func TestProxyClosesIdleConnections(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	proxy, err := StartProxy(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	conn, err := net.Dial("tcp", strings.TrimPrefix(proxy.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	// The answer is sent a moment before the server takes the connection for idle.
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		closed <- err
	}()
	for {
		proxy.CloseIdle()
		select {
		case err := <-closed:
			if !errors.Is(err, io.EOF) {
				t.Errorf("read on an idle connection: got %v, want %v", err, io.EOF)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func TestSeedPutsWhatTheTemplateDeclares(t *testing.T) {
	got := make(map[string]map[string]any)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var input map[string]any
		if err := json.NewDecoder(r.Body).Decode(&input); err != nil {
			t.Error(err)
		}
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		got[operation] = input
	}))
	defer server.Close()
	if err := Seed(t.Context(), server.URL, "../../SAM/template.yaml"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ operation, field, want string }{
		{"CreateTable", "TableName", "DynamoDbTable"},
		{"PutItem", "TableName", "DynamoDbTable"},
		{"PutParameter", "Name", "CacheExtensions_Parameter1"},
		{"PutParameter", "Value", "MyParameter"},
		{"CreateSecret", "Name", "secret_info"},
		{"CreateSecret", "SecretString", "MySecret"},
	} {
		if got := got[tt.operation][tt.field]; got != tt.want {
			t.Errorf("%s of %s: got %v, want %s", tt.field, tt.operation, got, tt.want)
		}
	}
	if keys, ok := got["CreateTable"]["KeySchema"].([]any); !ok || len(keys) != 2 {
		t.Errorf("keys of the table: got %v, want two", keys)
	}
}
