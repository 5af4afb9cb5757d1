package main

import (
	"context"
	"fmt"
)

const noExtension = "no extension"

// smallRow is about a function of little memory, of which the part of a processor goes.
func smallRow(part float64) row {
	return row{
		name:  fmt.Sprintf("small-%.2f", part),
		title: fmt.Sprintf("On %.2f of a processor and in 128 MiB", part),
		about: "Function and extension share that much. The function is the floor of net/http; its start begins when the extension " +
			"has registered, and the cold start ends when both have asked for their first event.",
		rounds:    15,
		restless:  true, // by where in a period of the quota a start begins
		reference: floorNetHTTP,
		figures: []figure{
			{name: "register", title: "exec to register", unit: "ms"},
			{name: "cold", title: "cold start of function and extension", unit: "ms"},
			{name: "p50", title: "a hit, median", unit: "µs"},
			{name: "rate", title: "hits, with their client", unit: "1/s", more: true},
		},
		prepare: func(ctx context.Context, b *bench) ([]subject, func(), error) {
			return b.smalls(ctx, part)
		},
	}
}

func (b *bench) smalls(ctx context.Context, part float64) ([]subject, func(), error) {
	programs, err := b.withFloors(ctx, floorNetHTTP)
	if err != nil {
		return nil, nil, err
	}
	function := programs[len(programs)-1]
	q, err := newQuota(part)
	if err != nil {
		return nil, nil, err
	}
	at := place{quota: q}
	client, err := b.asker(ctx, at)
	if err != nil {
		q.remove()
		return nil, nil, err
	}
	w, err := b.world(lasting, 0, valueSize)
	if err != nil {
		q.remove()
		return nil, nil, err
	}
	all := subjects(programs, func(ctx context.Context, p program) (sample, error) {
		s, err := w.measureColdStart(ctx, at, p.file, function.file)
		if err != nil {
			return nil, err
		}
		err = w.withServer(ctx, at, p, func(server *process, port int, target string) error {
			hits, err := measureHits(ctx, client, server, port, target, b.n(1000))
			if err == nil {
				s["p50"], s["rate"] = hits["p50"], hits["rate"]
			}
			return err
		})
		return s, err
	})
	alone := subject{noExtension, func(ctx context.Context) (sample, error) {
		return w.measureColdStart(ctx, at, "", function.file)
	}}
	return append(all, alone), func() { w.stop(); q.remove() }, nil
}

// measureColdStart starts an extension, unless there is none, and then the function.
func (w *world) measureColdStart(ctx context.Context, at place, extensionFile, functionFile string) (sample, error) {
	if err := at.quota.settle(ctx); err != nil {
		return nil, err
	}
	s := make(sample)
	var e *extension
	if extensionFile != "" {
		var err error
		if e, err = extend(ctx, at, extensionFile, w.vars); err != nil {
			return nil, err
		}
		defer e.stop()
		registered, err := e.await(ctx, e.lambda.registered)
		if err != nil {
			return nil, err
		}
		s["register"] = milliseconds(registered)
	}
	f, err := extend(ctx, at, functionFile, w.vars)
	if err != nil {
		return nil, err
	}
	defer f.stop()
	cold, err := f.await(ctx, f.lambda.next)
	if e == nil || err != nil {
		s["cold"] = milliseconds(cold)
		return s, err
	}
	cold += f.started.Sub(e.started)
	next, err := e.await(ctx, e.lambda.next)
	s["cold"] = milliseconds(max(cold, next))
	return s, err
}
