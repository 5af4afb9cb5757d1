// Package server decides what an HTTP request on the loopback interface is answered: who may ask, for what, and with which
// status and headers.
package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"cache-extension/extension/internal/cache"
)

// Options sets up a Server.
type Options struct {
	Caches map[string]*cache.Cache // by cachetype: "dynamodb", "parameters", "secrets"
	Token  string                  // what callers must send in X-Aws-Parameters-Secrets-Token; empty asks for none
	Log    *slog.Logger            // told of our own faults only
	Stats  map[string]func() any   // further members of /stats, beside the cachetypes
	Pages  map[string]http.Handler // by exact path; what they need beside routes and guard is theirs
}

// Server answers GET and HEAD of /<cachetype>, /<cachetype>/<name>, /healthz and /stats. Its contract is docs/http.md.
type Server struct {
	log    *slog.Logger
	more   map[string]func() any
	pages  map[string]http.Handler
	used   atomic.Pointer[used]
	tagKey [32]byte // of this process alone, so that a logged ETag gives nothing away
	conns  *conns
	http   http.Server
	slow   bool // leave all requests to net/http; for tests, which compare
	fixed  fixed
}

// used is what Use was last given; never modified.
type used struct {
	caches map[string]*cache.Cache
	asks   bool              // a token is asked for
	token  [sha256.Size]byte // digest of it
}

// fixed holds header values that many answers share; never modified.
type fixed struct {
	noStore, noSniff, text, octets, json []string
}

const (
	// A client that has not sent its header within this is cut off.
	readHeaderTimeout = 5 * time.Second
	// net/http reads 4 KiB more than its limit, which makes 16 KiB of request line and header.
	maxHeaderBytes = 12 << 10
	// Open connections, both addresses together: the execution environment has 1,024 descriptors, shared with the function.
	maxConns = 512
)

// New returns a Server that is yet to Serve.
func New(opts Options) *Server {
	s := &Server{
		log:   opts.Log,
		more:  opts.Stats,
		pages: opts.Pages,
		conns: newConns(maxConns),
		fixed: fixed{
			noStore: []string{"no-store"},
			noSniff: []string{"nosniff"},
			text:    []string{"text/plain; charset=utf-8"},
			octets:  []string{"application/octet-stream"},
			json:    []string{"application/json"},
		},
	}
	s.Use(opts.Caches, opts.Token)
	rand.Read(s.tagKey[:]) // never fails
	s.http = http.Server{
		Handler:           s,
		ReadHeaderTimeout: readHeaderTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         s.conns.changed,
		ErrorLog:          slog.NewLogLogger(opts.Log.Handler(), slog.LevelDebug),
		// No idle timeout: a kept-alive socket closed under a client is an ECONNRESET in the function.
		DisableGeneralOptionsHandler: true,
	}
	return s
}

// Use answers from now on from other caches, and asks for another token. Both are as in Options. Requests under way end as
// they began.
func (s *Server) Use(caches map[string]*cache.Cache, token string) {
	s.used.Store(&used{caches, token != "", sha256.Sum256([]byte(token))})
}

// Serve answers on l until Shutdown and returns nil, or the error that ended it.
func (s *Server) Serve(l *Listener) error {
	ended := make(chan error, len(l.each))
	for _, one := range l.each {
		go func() { ended <- s.http.Serve(s.limit(one)) }()
	}
	for range l.each {
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			s.conns.close() // http.Server.Close waits for all who Accept
			s.http.Close()
			return err
		}
	}
	return nil
}

// Shutdown stops accepting, waits for the requests under way until ctx is done and cuts off what is left then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.conns.close()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("panic while answering a request", "error", cache.Panicked(v), "stack", string(debug.Stack()))
			internal().write(w)
		}
	}()
	h := w.Header()
	h["Cache-Control"] = s.fixed.noStore
	h["X-Content-Type-Options"] = s.fixed.noSniff
	if p := s.handle(w, r); p != nil {
		p.write(w)
	}
}

// handle answers r, or says why not; it has written nothing then.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) *problem {
	if p := s.guard(r); p != nil {
		return p
	}
	switch path := r.URL.EscapedPath(); path {
	case "/healthz":
		w.Header()["Content-Type"] = s.fixed.text
		w.Write([]byte("ok"))
		return nil
	case "/stats":
		return s.stats(w)
	default:
		if rest, ok := strings.CutPrefix(path, "/"); ok {
			kind, name, named := strings.Cut(rest, "/")
			if c := s.used.Load().caches[kind]; c != nil && (!named || name != "") {
				name, _ = url.PathUnescape(name) // it cannot fail: the escaped path is well encoded
				return s.read(w, r, kind, name, c)
			}
		}
		if page := s.pages[path]; page != nil {
			page.ServeHTTP(w, r)
			return nil
		}
		return noRoute()
	}
}

func (s *Server) stats(w http.ResponseWriter) *problem {
	caches := s.used.Load().caches
	all := make(map[string]any, len(caches))
	for kind, c := range caches {
		all[kind] = c.Stats()
	}
	for name, stats := range s.more {
		all[name] = stats()
	}
	body, err := json.Marshal(all)
	if err != nil {
		return internal()
	}
	w.Header()["Content-Type"] = s.fixed.json
	w.Write(body)
	return nil
}
