package cloud

import (
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// Proxy stands before a stand-in. It counts what is asked of it and can play an outage.
type Proxy struct {
	URL    string // such as http://127.0.0.1:40001
	server *http.Server

	mu    sync.Mutex // guards what follows
	calls map[string]int
	down  bool
}

// StartProxy starts a proxy before the server at target, on a free port of 127.0.0.1.
func StartProxy(target string) (*Proxy, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	p := &Proxy{calls: make(map[string]int)}
	forward := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p.URL = "http://" + listener.Addr().String()
	p.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		p.mu.Lock()
		p.calls[operation]++
		down := p.down
		p.mu.Unlock()
		if down {
			panic(http.ErrAbortHandler) // drops the connection
		}
		forward.ServeHTTP(w, r)
	})}
	go p.server.Serve(listener) // ends with Close
	return p, nil
}

// Calls returns how often each operation, such as GetParameter, was asked for since the last call of Calls.
func (p *Proxy) Calls() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := maps.Clone(p.calls)
	clear(p.calls)
	return calls
}

// SetDown makes the proxy drop every connection on which something is asked, or forward again.
func (p *Proxy) SetDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// Close ends the proxy.
func (p *Proxy) Close() { p.server.Close() }
