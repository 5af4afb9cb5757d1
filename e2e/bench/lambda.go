package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// lambda stands in for the Extensions API, for one extension: it takes the times of its calls and gives out no event.
type lambda struct {
	addr       string
	server     *http.Server
	registered chan time.Time // when register arrived
	next       chan time.Time // when the first event/next arrived
}

func startLambda() (*lambda, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &lambda{addr: listener.Addr().String(), registered: make(chan time.Time, 1), next: make(chan time.Time, 1)}
	ctx, end := context.WithCancel(context.Background())
	l.server = &http.Server{
		BaseContext: func(net.Listener) context.Context { return ctx },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			now := time.Now()
			switch r.URL.Path {
			case "/2020-01-01/extension/register":
				note(l.registered, now)
				w.Header().Set("Lambda-Extension-Identifier", "00000000-0000-4000-8000-000000000001")
				fmt.Fprint(w, `{"functionName":"bench","functionVersion":"$LATEST","handler":"index.handler"}`)
			case "/2020-01-01/extension/event/next":
				note(l.next, now)
				<-r.Context().Done()
			default:
				http.Error(w, "{}", http.StatusForbidden) // an init/error: the extension's own log says why
			}
		}),
	}
	l.server.RegisterOnShutdown(end)
	go l.server.Serve(listener) // ends with stop
	return l, nil
}

// note keeps the first time.
func note(times chan<- time.Time, now time.Time) {
	select {
	case times <- now:
	default:
	}
}

func (l *lambda) stop() { l.server.Close() }

// extension is a running one.
type extension struct {
	*process
	lambda *lambda
	at     int // the port it listens on
}

// extend starts a program as an extension.
func extend(ctx context.Context, at place, program string, env []string) (*extension, error) {
	l, err := startLambda()
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, at, append([]string{"AWS_LAMBDA_RUNTIME_API=" + l.addr}, env...), program)
	if err != nil {
		l.stop()
		return nil, err
	}
	return &extension{process: p, lambda: l}, nil
}

// ready waits until the extension has asked for its first event.
func (e *extension) ready(ctx context.Context) error {
	if _, err := e.await(ctx, e.lambda.next); err != nil {
		return err
	}
	port, err := e.port(ctx)
	e.at = port
	return err
}

// await returns how long after its start the extension made a call.
func (e *extension) await(ctx context.Context, call <-chan time.Time) (time.Duration, error) {
	ctx, cancel := e.alive(ctx)
	defer cancel()
	select {
	case at := <-call:
		return at.Sub(e.started), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("%w; it said:\n%s", context.Cause(ctx), e.said)
	}
}

func (e *extension) stop() {
	e.process.stop()
	e.lambda.stop()
}
