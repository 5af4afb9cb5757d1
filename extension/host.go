package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"

	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/early"
	"cache-extension/extension/internal/lambda"
	"cache-extension/extension/internal/metrics"
	"cache-extension/extension/internal/server"
)

// program is one run of the program with its host: Lambda for extension, a terminal for serve.
type program struct {
	name    string // base name of the executable, by which Lambda knows it
	env     map[string]string
	config  config.Options
	signals func()    // has the signals watched that end ctx
	stdout  io.Writer // for what Lambda makes metrics of, and nothing else
	stderr  io.Writer
}

// shutdownTime is what Lambda leaves extensions after SHUTDOWN (2 s with one registered), and what SIGTERM gets.
const shutdownTime = 2 * time.Second

// log gives what makes the program's log.
func (p program) log(json bool) func(slog.Leveler) *slog.Logger {
	return func(level slog.Leveler) *slog.Logger { return newLog(p.stderr, json, level) }
}

// serve runs until ctx ends.
func (p program) serve(ctx context.Context) int {
	early.AllProcessors()
	p.signals()
	s, err := open(p.config, p.log(false))
	if err != nil {
		report(p.stderr, err)
		return exitFault
	}
	s.start(false)
	if err := s.Prefetch(ctx); err != nil && ctx.Err() == nil {
		s.close(shutdownTime, "required entries are not there")
		report(p.stderr, err)
		return exitFault
	}
	select {
	case <-ctx.Done():
		s.close(shutdownTime, "signal")
		return exitOK
	case err := <-s.ended:
		s.close(shutdownTime, "serving ended")
		report(p.stderr, err)
		return exitFault
	}
}

// extension runs beside a Lambda function until SHUTDOWN. Nothing that can wait comes before Register: the function's
// runtime starts only after it. The connection comes first, so that Lambda takes it while the configuration is read.
func (p program) extension(ctx context.Context) int {
	api := lambda.New(p.env["AWS_LAMBDA_RUNTIME_API"], p.name)
	api.Connect(ctx)
	s, opened := open(p.config, p.log(!strings.EqualFold(p.env["AWS_LAMBDA_LOG_FORMAT"], "Text")))
	initialization := p.env["AWS_LAMBDA_INITIALIZATION_TYPE"]
	go p.signals() // while Lambda answers
	managed, err := register(ctx, api, initialization)
	if err != nil {
		if ctx.Err() != nil {
			return exitOK // nothing was begun
		}
		report(p.stderr, errors.Join(opened, err))
		return exitFault
	}
	if opened != nil {
		return p.initError(ctx, api, opened)
	}
	s.start(true)
	if s.cfg.Metrics {
		s.metrics = metrics.New(p.stdout, p.env["AWS_LAMBDA_FUNCTION_NAME"], s.ByKind())
	}
	h := &host{service: s, api: api, managed: managed, snapshot: initialization == "snap-start"}
	if h.snapshot {
		s.log.Info("SnapStart: nothing is fetched before the first invocation but what the function's own init reads")
	} else if err := s.Prefetch(ctx); err != nil && ctx.Err() == nil {
		s.close(shutdownTime, "required entries are not there")
		return p.initError(ctx, api, &requiredError{err})
	}
	return h.run(ctx)
}

// register asks for the events that there are. On Managed Instances, where many invocations share an environment that is
// never frozen, an extension that asks for INVOKE is refused: managed is what it was told, or found out so.
func register(ctx context.Context, api *lambda.Client, initialization string) (managed bool, _ error) {
	if initialization != early.ManagedInstances {
		err := api.Register(ctx, lambda.Invoke, lambda.Shutdown)
		var status *lambda.StatusError
		if !errors.As(err, &status) || status.Type != lambda.InvalidEventType {
			return false, err
		}
		early.AllProcessors()
	}
	return true, api.Register(ctx, lambda.Shutdown)
}

// requiredError is a prefetch that ended without a required entry.
type requiredError struct{ error }

func (e *requiredError) Unwrap() error { return e.error }

// initError says why there is no point in starting: on standard error, which is what reaches CloudWatch, then to Lambda.
func (p program) initError(ctx context.Context, api *lambda.Client, cause error) int {
	report(p.stderr, cause)
	kind := "Extension.StartFailed"
	var faults config.Faults
	var taken *server.PortTakenError
	var required *requiredError
	switch {
	case errors.As(cause, &faults):
		kind = "Extension.ConfigInvalid"
	case errors.As(cause, &taken):
		kind = "Extension.PortTaken"
	case errors.As(cause, &required):
		kind = "Extension.RequiredMissing"
	}
	if err := api.InitError(context.WithoutCancel(ctx), kind, cause.Error()); err != nil {
		report(p.stderr, err)
	}
	return exitFault
}

// host is the service in Lambda, after init.
type host struct {
	*service
	api      *lambda.Client
	managed  bool // told of no INVOKE, and never frozen
	snapshot bool // nothing was prefetched yet
}

// run takes events until SHUTDOWN, or until ctx ends.
func (h *host) run(ctx context.Context) int {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-h.ended:
			cancel(&servingError{err})
		case <-ctx.Done():
		}
	}()
	if h.managed && h.metrics != nil {
		go h.measure(ctx)
	}
	for {
		event, err := h.next(ctx)
		if err != nil {
			return h.end(ctx, err)
		}
		switch event.Type {
		case lambda.Invoke:
			h.invoke(ctx, event)
		case lambda.Shutdown:
			h.close(left(event.Deadline, shutdownTime), event.ShutdownReason)
			return exitOK
		default:
			h.log.Info("event of an unknown type", "type", string(event.Type))
			sleep(ctx, nextPause) // whoever sends what we don't know may send it without end
		}
	}
}

// servingError is the HTTP server ending by itself.
type servingError struct{ error }

// end is for a run that cannot go on: by a signal, or because Lambda or the port is gone.
func (h *host) end(ctx context.Context, err error) int {
	var serving *servingError
	switch {
	case errors.As(context.Cause(ctx), &serving):
		err = serving.error
	case ctx.Err() != nil:
		h.close(shutdownTime, "signal")
		return exitOK
	}
	h.log.Error("cache-extension cannot go on", "error", err)
	if exit := h.api.ExitError(context.WithoutCancel(ctx), "Extension.Failed", err.Error()); exit != nil {
		h.log.Error("exit/error", "error", exit)
	}
	h.close(shutdownTime, "failure")
	return exitFault
}

const (
	nextTries = 3                      // after the first
	nextPause = 100 * time.Millisecond // before the first of them, doubling
)

// next waits for the next event. A dropped connection is tried again; an answer that refuses is final.
func (h *host) next(ctx context.Context) (lambda.NextEvent, error) {
	for try := 0; ; try++ {
		event, err := h.api.Next(ctx)
		var status *lambda.StatusError
		if err == nil || errors.As(err, &status) || try == nextTries || ctx.Err() != nil {
			return event, err
		}
		h.log.Warn("event/next was dropped, trying again", "error", err)
		sleep(ctx, nextPause<<try)
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// holdNext is how long the next /event/next may be put off: Lambda freezes the environment when all have asked for it.
const holdNext = time.Second

// invoke fetches what is due while the function runs.
func (h *host) invoke(ctx context.Context, event lambda.NextEvent) {
	h.Thaw()
	work := h.Refresh
	if h.snapshot {
		h.snapshot = false
		work = func(ctx context.Context) {
			if err := h.Prefetch(ctx); err != nil {
				h.log.Warn("required entries are not there", "error", err)
			}
		}
	}
	landed := make(chan struct{})
	go func() {
		defer close(landed)
		work(context.WithoutCancel(ctx))
	}()
	t := time.NewTimer(left(event.Deadline, holdNext))
	defer t.Stop()
	select {
	case <-landed:
	case <-t.C:
	case <-ctx.Done():
	}
	h.note(h.metrics.Tick())
}

// measure writes metrics where there is no INVOKE to do it at, until ctx ends.
func (h *host) measure(ctx context.Context) {
	t := time.NewTicker(metrics.Interval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			h.note(h.metrics.Flush())
		case <-ctx.Done():
			return
		}
	}
}

// left is the time until a wall-clock deadline, at least 0 and at most most: a clock that was set anew is no licence to wait.
func left(deadline time.Time, most time.Duration) time.Duration {
	if deadline.IsZero() {
		return most
	}
	return min(most, max(0, deadline.Sub(time.Now().Round(0))))
}
