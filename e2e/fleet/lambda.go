package main

import (
	"fmt"
	"net"
	"net/http"
	"sync"
)

// lambda stands in for the Extensions API, for one environment. It gives out no event.
type lambda struct {
	addr   string
	server *http.Server
	ready  chan struct{} // closed when the extension has asked for its first event
}

func startLambda() (*lambda, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &lambda{addr: listener.Addr().String(), ready: make(chan struct{})}
	asked := sync.OnceFunc(func() { close(l.ready) })
	l.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/2020-01-01/extension/register":
				w.Header().Set("Lambda-Extension-Identifier", "00000000-0000-4000-8000-000000000001")
				fmt.Fprint(w, `{"functionName":"fleet","functionVersion":"$LATEST","handler":"index.handler"}`)
			case "/2020-01-01/extension/event/next":
				asked()
				<-r.Context().Done()
			default:
				http.Error(w, "{}", http.StatusForbidden) // an init/error: the extension's own log says why
			}
		}),
	}
	go l.server.Serve(listener) // ends with stop
	return l, nil
}

func (l *lambda) stop() { l.server.Close() }
