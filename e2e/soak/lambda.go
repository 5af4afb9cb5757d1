//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// runtimeAPI is as much of Lambda's Extensions API as a run without faults of its own needs.
type runtimeAPI struct {
	events chan string

	mu     sync.Mutex // guards faults
	faults []string
}

func newRuntimeAPI() *runtimeAPI { return &runtimeAPI{events: make(chan string)} }

// nextWithin is how soon after an event the extension must ask for the next one: it may hold it for a second, and the
// machine may be busy.
const nextWithin = 5 * time.Second

// invoke gives out an INVOKE event. Its error is that the extension does not ask for one.
func (a *runtimeAPI) invoke(ctx context.Context) error {
	event := fmt.Sprintf(`{"eventType":"INVOKE","deadlineMs":%d,"requestId":"1","invokedFunctionArn":"arn","tracing":{}}`,
		time.Now().Add(3*time.Second).UnixMilli())
	ctx, cancel := context.WithTimeoutCause(ctx, nextWithin, errors.New("the extension did not ask for the next event"))
	defer cancel()
	select {
	case a.events <- event:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (a *runtimeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const identifier = "Lambda-Extension-Identifier"
	path := strings.TrimPrefix(r.URL.Path, "/2020-01-01/extension/")
	switch {
	case path == "register":
		w.Header().Set(identifier, "soak")
		io.WriteString(w, `{"functionName":"soak","functionVersion":"$LATEST","handler":"index.handler"}`)
	case path == "event/next" && r.Header.Get(identifier) == "soak":
		select {
		case event := <-a.events:
			io.WriteString(w, event)
		case <-r.Context().Done():
		}
	default:
		body, _ := io.ReadAll(r.Body) // what came of it is what can be told
		a.mu.Lock()
		defer a.mu.Unlock()
		a.faults = append(a.faults, path+" "+string(body))
		w.WriteHeader(http.StatusAccepted)
	}
}

// verdict is an error when the extension gave up.
func (a *runtimeAPI) verdict() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.faults) > 0 {
		return fmt.Errorf("the extension told Lambda: %s", strings.Join(a.faults, "; "))
	}
	return nil
}
