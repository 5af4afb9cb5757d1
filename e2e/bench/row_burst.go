package main

import (
	"context"
	"time"
)

// awayFrom is how far AWS is in the rows about fetching.
const awayFrom = 50 * time.Millisecond

const oneCall = "one upstream call"

func burstRow() row {
	return row{
		name:      "burst",
		title:     "A burst of cold reads",
		about:     "100 connections ask for one name that is not held yet, at once; AWS answers after 50 ms.",
		rounds:    11,
		reference: oneCall,
		figures: []figure{
			{name: "elapsed", title: "until the last answer", unit: "ms", goal: goal{Ratio: 1.15}},
			{name: "calls", title: "upstream calls", goal: goal{Value: 1}},
		},
		prepare: func(ctx context.Context, b *bench) ([]subject, func(), error) {
			programs, err := b.extensions(ctx)
			if err != nil {
				return nil, nil, err
			}
			w, err := b.world(sixty, awayFrom, valueSize)
			if err != nil {
				return nil, nil, err
			}
			return append(subjects(programs, w.measureBurst), w.reference()), w.stop, nil
		},
	}
}

func (w *world) measureBurst(ctx context.Context, p program) (s sample, err error) {
	err = w.withReady(ctx, place{}, p, func(e *extension) error {
		before := w.calls.Load()
		took, err := readTogether(e.at, 100, target("parameters", parameterName(0)))
		s = sample{"elapsed": milliseconds(took), "calls": float64(w.calls.Load() - before)}
		return err
	})
	return s, err
}

// reference is one call of AWS without anything in between.
func (w *world) reference() subject {
	return subject{oneCall, func(context.Context) (sample, error) {
		took, err := w.upstreamCall()
		return sample{"elapsed": milliseconds(took), "calls": 1}, err
	}}
}
