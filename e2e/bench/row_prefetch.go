package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

func prefetchRow() row {
	return row{
		name:  "prefetch",
		title: "Prefetch",
		about: "From just before the process is made until 60 names, 20 of each kind, are held and it asks for its first event; " +
			"AWS answers after 50 ms, so the ratio is the number of round trips.",
		rounds:    11,
		reference: oneCall,
		figures:   prefetchFigures(4),
		prepare: func(ctx context.Context, b *bench) ([]subject, func(), error) {
			return b.prefetches(ctx, func(l net.Listener) (net.Listener, []byte, error) { return l, nil, nil })
		},
	}
}

func prefetchTLSRow() row {
	return row{
		name:  "prefetch-tls",
		title: "Prefetch over TLS from afar",
		about: "The same, where each way to AWS takes a round trip of 50 ms and each connection the two more of TCP and TLS 1.3; " +
			"AWS itself answers at once.",
		rounds:  11,
		figures: prefetchFigures(6),
		prepare: func(ctx context.Context, b *bench) ([]subject, func(), error) {
			return b.prefetches(ctx, func(l net.Listener) (net.Listener, []byte, error) { return secure(far{l, awayFrom}) })
		},
	}
}

func prefetchFigures(trips float64) []figure {
	return []figure{
		{name: "elapsed", title: "exec to all in memory", unit: "ms"},
		{name: "trips", title: "round trips of 50 ms in that", goal: goal{Value: trips}},
		{name: "calls", title: "upstream calls"},
	}
}

// prefetches makes subjects that prefetch from an AWS behind a listener, which may bring a certificate to trust; where it
// does, the latency is its own.
func (b *bench) prefetches(ctx context.Context, behind func(net.Listener) (net.Listener, []byte, error)) ([]subject, func(), error) {
	programs, err := b.extensions(ctx)
	if err != nil {
		return nil, nil, err
	}
	plain, err := listen()
	if err != nil {
		return nil, nil, err
	}
	listener, trusted, err := behind(plain)
	if err != nil {
		return nil, nil, err
	}
	latency, more := awayFrom, []string(nil)
	if trusted != nil {
		file := filepath.Join(b.dir, "trusted.pem")
		if err := os.WriteFile(file, trusted, 0o644); err != nil {
			return nil, nil, err
		}
		latency, more = 0, []string{"AWS_CA_BUNDLE=" + file, "AWS_ENDPOINT_URL=https://" + listener.Addr().String()}
	}
	w, err := b.worldAt(listener, fixture{parameters: 20, secrets: 20, items: 20, settings: "prefetch: true\n"}, latency, valueSize)
	if err != nil {
		return nil, nil, err
	}
	w.vars = append(w.vars, more...) // of a variable given twice the last counts
	all := subjects(programs, w.measurePrefetch)
	if trusted == nil {
		all = append(all, w.reference())
	}
	return all, w.stop, nil
}

// measurePrefetch starts an extension and makes sure that it holds what it should.
func (w *world) measurePrefetch(ctx context.Context, p program) (sample, error) {
	before := w.calls.Load()
	e, err := extend(ctx, place{}, p.file, w.vars)
	if err != nil {
		return nil, err
	}
	defer e.stop()
	took, err := e.await(ctx, e.lambda.next)
	if err != nil {
		return nil, err
	}
	calls := w.calls.Load() - before
	if e.at, err = e.port(ctx); err != nil {
		return nil, err
	}
	held, err := entries(e.at)
	if err != nil {
		return nil, err
	}
	if held != 60 {
		return nil, fmt.Errorf("%d entries are held, want 60; it said:\n%s", held, e.said)
	}
	return sample{"elapsed": milliseconds(took), "trips": float64(took) / float64(awayFrom), "calls": float64(calls)}, nil
}

// entries is how many values an extension holds.
func entries(port int) (int, error) {
	r, err := dial(port)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	text, err := r.get("/stats")
	if err != nil {
		return 0, err
	}
	var kinds map[string]struct{ Entries int }
	if err := json.Unmarshal([]byte(text), &kinds); err != nil {
		return 0, fmt.Errorf("/stats: %w", err)
	}
	held := 0
	for _, k := range kinds {
		held += k.Entries
	}
	return held, nil
}
