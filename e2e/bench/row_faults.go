package main

import (
	"context"
	"fmt"
	"time"
)

func faultsRow() row {
	return row{
		name:  "faults",
		title: "An expired value while AWS fails",
		about: "How long a reader waits for a value whose ttl is over, with stale_wait: 500ms. With stale_while_revalidate the first " +
			"one is answered at once; without it the first waits and those after it are held off. Every answer is the value.",
		rounds:  3,
		figures: faultFigures(),
		prepare: func(ctx context.Context, b *bench) ([]subject, func(), error) {
			programs, err := b.extensions(ctx)
			if err != nil {
				return nil, nil, err
			}
			settings := fmt.Sprintf("ttl: %v\nstale_if_error: 1h\nstale_wait: 500ms\n", shortTTL)
			patient, err := b.world(fixture{parameters: 1, settings: settings}, 0, valueSize)
			if err != nil {
				return nil, nil, err
			}
			eager, err := b.world(fixture{parameters: 1, settings: settings + "stale_while_revalidate: 1h\n"}, 0, valueSize)
			if err != nil {
				patient.stop()
				return nil, nil, err
			}
			measure := func(ctx context.Context, p program) (sample, error) {
				all := make(sample)
				for _, a := range ailments {
					swr, err := eager.measureFault(ctx, p, a)
					if err != nil {
						return nil, err
					}
					waited, err := patient.measureFault(ctx, p, a)
					if err != nil {
						return nil, err
					}
					all[string(a)+" swr"] = milliseconds(swr[0])
					all[string(a)+" first"] = milliseconds(waited[0])
					all[string(a)+" held"] = milliseconds(waited[len(waited)-1])
				}
				return all, nil
			}
			return subjects(programs, measure), func() { patient.stop(); eager.stop() }, nil
		},
	}
}

const (
	shortTTL = 20 * time.Millisecond
	// heldWithin is what a reader who is held off waits at most, far less than any attempt takes.
	heldWithin = 50 * time.Millisecond
	// maxReads is more than there are in the two failures that begin the hold-off: a hanging call takes 2 s, a reader 500 ms.
	maxReads = 12
)

var ailments = []ailment{throttling, down, hanging}

func faultFigures() []figure {
	var all []figure
	for _, a := range ailments {
		all = append(all,
			figure{name: string(a) + " swr", title: string(a) + ", stale_while_revalidate", unit: "ms", goal: goal{Value: 5}},
			figure{name: string(a) + " first", title: string(a) + ", the first reader", unit: "ms", goal: goal{Value: 510}},
			figure{name: string(a) + " held", title: string(a) + ", held off", unit: "ms", goal: goal{Value: 5}},
		)
	}
	return all
}

// measureFault returns how long reads of a value take that has expired, one after another while AWS is ill, until one is held
// off. With stale_while_revalidate that is the first.
func (w *world) measureFault(ctx context.Context, p program, a ailment) (took []time.Duration, err error) {
	err = w.withReady(ctx, place{}, p, func(e *extension) error {
		r, err := dial(e.at)
		if err != nil {
			return err
		}
		defer r.Close()
		name := target("parameters", parameterName(0))
		if _, err := r.get(name); err != nil {
			return err
		}
		w.ail(a)
		defer w.ail("")
		if err := pause(ctx, 2*shortTTL); err != nil {
			return err
		}
		for len(took) < maxReads {
			start := time.Now()
			if _, err := r.get(name); err != nil {
				return err
			}
			took = append(took, time.Since(start))
			if took[len(took)-1] < heldWithin {
				break
			}
		}
		return nil
	})
	return took, err
}
