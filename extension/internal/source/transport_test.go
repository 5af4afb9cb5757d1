package source

import (
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
)

func TestThaw(t *testing.T) {
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	base := newTransport(nil, time.Minute)
	transport := newThawing(base)
	defer transport.CloseIdleConnections()
	get := func() {
		t.Helper()
		resp, err := newHTTPClient(transport).Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	get()
	get()
	if got := connections.Load(); got != 1 {
		t.Errorf("%d connections for two requests, want 1", got)
	}
	transport.last.Wall = transport.last.Wall.Add(-500 * time.Millisecond)
	get()
	if got := connections.Load(); got != 1 {
		t.Errorf("%d connections after a short gap, want 1", got)
	}
	transport.last.Wall = transport.last.Wall.Add(-time.Minute)
	get()
	get()
	if got := connections.Load(); got != 2 {
		t.Errorf("%d connections after a thaw, want a second one", got)
	}
}

// TestBodyThatComesAfterItsHeader is read to its end: who closes the request's body at the header makes net/http hang up.
func TestBodyThatComesAfterItsHeader(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		io.WriteString(w, `{"SecretString":"v"}`)
	}))
	defer server.Close()
	cfg := &config.Config{Timeout: time.Minute, AWS: config.AWS{
		AccessKeyID: "a", SecretAccessKey: "b", MaxAttempts: 1, EndpointSecretsManager: server.URL,
	}, Secrets: []config.Secret{{Entry: config.Entry{Name: "s", Region: "eu-west-1"}, ID: "s"}}}
	clients := NewClients(cfg, Options{})
	secrets := NewSecrets(cfg, clients)
	for i := range 500 {
		secrets.Fetch(t.Context(), []string{"s"}, func(_ string, v *cache.Value, err error) {
			if err != nil || string(v.Body) != "v" {
				t.Fatalf("call %d: %v", i, err)
			}
		})
	}
}

// TestSwitchingProtocols: the body of a 101 is the connection itself, which would be read without end.
func TestSwitchingProtocols(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		io.Copy(io.Discard, conn) // until the client hangs up
		conn.Close()
	}))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := newTransport(nil, time.Minute)
	defer transport.CloseIdleConnections()
	if a, err := send(newHTTPClient(transport), r); err == nil {
		t.Errorf("send = %+v, want an error", a)
	}
}

func TestRootCAs(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	get := func(roots *x509.CertPool) (string, error) {
		base := newTransport(roots, time.Minute)
		defer base.CloseIdleConnections()
		resp, err := newHTTPClient(base).Get(server.URL)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	own := x509.NewCertPool()
	own.AddCert(server.Certificate())
	if got, err := get(own); err != nil || got != "HTTP/1.1" {
		t.Errorf("with the server's certificate: %q, %v, want HTTP/1.1", got, err)
	}
	if _, err := get(nil); err == nil {
		t.Error("with the system's roots: no error")
	} else if text := connection(err); !strings.Contains(text, "certificate") {
		t.Errorf("with the system's roots: %q, want the certificate blamed", text)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var elsewhere atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Store(true) }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	cfg := testConfig()
	cfg.AWS.EndpointSecretsManager = server.URL
	cfg.Secrets = []config.Secret{secret1("a")}
	cfg.Secrets[0].Region = here
	clients := NewClients(cfg, Options{})
	got := fetch(t, t.Context(), NewSecrets(cfg, clients), "a")
	wantClass(t, "a redirect", got["a"].err, nil)
	if elsewhere.Load() {
		t.Error("a signed request was sent elsewhere")
	}
}

func TestAnswerWithoutBody(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	cfg := testConfig()
	cfg.AWS.EndpointDynamoDB = server.URL
	cfg.Items = []config.Item{item1("a"), item1("b")}
	cfg.Items[0].Region, cfg.Items[1].Region = here, here
	clients := NewClients(cfg, Options{})
	for _, names := range [][]string{{"a"}, {"a", "b"}} {
		for name, o := range fetch(t, t.Context(), NewItems(cfg, clients), names...) {
			wantClass(t, name, o.err, nil) // an empty answer is not one that says missing
		}
	}
}
