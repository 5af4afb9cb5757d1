package source

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"cache-extension/extension/internal/cache"
)

// errProxy stands for the error of net/http, which quotes the address of the proxy and with it its password.
var errProxy = errors.New("the proxy address in HTTPS_PROXY or HTTP_PROXY could not be read")

// newTransport returns a transport for HTTP/1.1, the only version that the JSON protocols of AWS need. It trusts roots, or
// the system's where those are nil. timeout is that of an operation: connecting has no shorter bound of its own, so that an
// address where nothing answers is a timeout, and none that outlives the operation.
func newTransport(roots *x509.CertPool, timeout time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:               proxy,
		DialContext:         (&net.Dialer{Timeout: timeout}).DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout: timeout,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // empty, not nil: no HTTP/2
		MaxIdleConnsPerHost: 2 * maxCalls,
		IdleConnTimeout:     90 * time.Second,
	}
}

func proxy(r *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errProxy
	}
	return u, nil
}

// withoutProxy returns a copy of t for the container credentials endpoint, whose address is reachable from here alone.
func withoutProxy(t *http.Transport) *http.Transport {
	t = t.Clone()
	t.Proxy = nil
	return t
}

func newHTTPClient(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: t,
		// A signature holds for one host, and credentials are for no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// thawing is a transport that closes its idle connections after its sandbox was frozen. The other end may have closed
// them meanwhile, and their age is measured on a clock that stood still.
type thawing struct {
	*http.Transport
	now func() cache.Instant

	mu   sync.Mutex    // guards last
	last cache.Instant // of the latest request, zero before the first
}

func newThawing(t *http.Transport) *thawing { return &thawing{Transport: t, now: cache.Clock()} }

// RoundTrip sends r over a connection that was not idle while the sandbox was frozen.
func (t *thawing) RoundTrip(r *http.Request) (*http.Response, error) {
	t.wake()
	return t.Transport.RoundTrip(r)
}

// wake holds the lock until the connections are closed: a request at the same moment must not find one of them.
func (t *thawing) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if !t.last.Wall.IsZero() && cache.Slept(t.last, now) {
		t.CloseIdleConnections()
	}
	t.last = now
}
