package cloud

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Fault is how a Proxy lets a call fail. The zero Fault is none.
type Fault int

// What may become of a call. All count as calls.
const (
	None     Fault = iota // forwarded
	Throttle              // answered 400 ThrottlingException, as AWS's JSON protocols do
	Fail                  // answered 500 InternalServerError
	Drop                  // the connection is closed without an answer
	Hang                  // as Drop, but only at the next SetFault, if the caller waits so long
)

// Proxy stands before a stand-in. It counts what is asked of it and can play distance and bad weather.
type Proxy struct {
	URL    string // such as http://127.0.0.1:40001
	Target string // URL of the stand-in, for who is not to be counted or to suffer faults
	server *http.Server

	mu      sync.Mutex // guards what follows
	calls   map[string]int
	fault   Fault            // of all operations but
	faults  map[string]Fault // those here
	delay   time.Duration
	changed chan struct{} // closed at the next SetFault
}

// StartProxy starts a proxy before the server at target, on a free port of 127.0.0.1.
func StartProxy(target string) (*Proxy, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	p := &Proxy{Target: target, calls: make(map[string]int), changed: make(chan struct{})}
	forward := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p.URL = "http://" + listener.Addr().String()
	p.server = &http.Server{Handler: p.before(forward)}
	go p.server.Serve(listener) // ends with Close
	return p, nil
}

// before handles a call as the weather is, and has forward answer it when that is fine.
func (p *Proxy) before(forward http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		fault, delay, changed := p.count(operation)
		if delay > 0 {
			select {
			case <-time.After(delay):
			case <-r.Context().Done():
				panic(http.ErrAbortHandler)
			}
		}
		switch fault {
		case None:
			forward.ServeHTTP(w, r)
		case Throttle:
			refuse(w, http.StatusBadRequest, "ThrottlingException")
		case Fail:
			refuse(w, http.StatusInternalServerError, "InternalServerError")
		case Hang:
			// The server notices that the caller has gone only when it has read all of the request.
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-changed:
			case <-r.Context().Done():
			}
			panic(http.ErrAbortHandler)
		default:
			panic(http.ErrAbortHandler) // drops the connection
		}
	})
}

// Calls returns how often each operation, such as GetParameter, was asked for since the last call of Calls.
func (p *Proxy) Calls() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := maps.Clone(p.calls)
	clear(p.calls)
	return calls
}

// SetFault lets all calls of the named operations fail from now on, those of all operations when none is named.
// SetFault(None) ends all faults.
func (p *Proxy) SetFault(fault Fault, operations ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(operations) == 0 {
		p.fault, p.faults = fault, nil
	}
	for _, operation := range operations {
		if p.faults == nil {
			p.faults = make(map[string]Fault)
		}
		p.faults[operation] = fault
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// SetDown makes the proxy drop every connection on which something is asked, or forward again.
func (p *Proxy) SetDown(down bool) {
	if down {
		p.SetFault(Drop)
	} else {
		p.SetFault(None)
	}
}

// SetDelay makes the proxy wait so long from now on before it answers or drops a call, as if AWS were that far away.
// Connections are opened without delay.
func (p *Proxy) SetDelay(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

// CloseIdle closes the connections on which nothing is under way, as servers do with those that were idle for long.
func (p *Proxy) CloseIdle() {
	p.server.SetKeepAlivesEnabled(false)
	p.server.SetKeepAlivesEnabled(true)
}

// Close ends the proxy.
func (p *Proxy) Close() { p.server.Close() }

// count counts one call and tells what becomes of it, and after how long; changed is closed when that may be another.
func (p *Proxy) count(operation string) (fault Fault, delay time.Duration, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[operation]++
	fault, ok := p.faults[operation]
	if !ok {
		fault = p.fault
	}
	return fault, p.delay, p.changed
}

// refuse answers as AWS's JSON protocols do, whose clients take the error's code from the body.
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"__type":"`+code+`","message":"played by the proxy"}`)
}
