package main

import "context"

func startRow() row {
	return row{
		name:  "start",
		title: "Start",
		about: "From just before the process is made to its register, which Lambda's runtime waits for, and the processor time it " +
			"has used when it asks for its first event. The config.yaml has 60 entries, 20 of each kind; nothing is prefetched.",
		rounds:    100,
		reference: floorNetHTTP,
		figures: []figure{
			{name: "register", title: "exec to register", unit: "ms", goal: goal{Ratio: 1.20}},
			{name: "cpu", title: "processor time until next", unit: "ms", goal: goal{Ratio: 1.25}},
		},
		prepare: func(ctx context.Context, b *bench) ([]subject, func(), error) {
			programs, err := b.withFloors(ctx, floorNetHTTP, floorByHand)
			if err != nil {
				return nil, nil, err
			}
			w, err := b.world(sixty, 0, valueSize)
			if err != nil {
				return nil, nil, err
			}
			return subjects(programs, w.measureStart), w.stop, nil
		},
	}
}

// measureStart starts a program and nothing else.
func (w *world) measureStart(ctx context.Context, p program) (sample, error) {
	e, err := extend(ctx, place{}, p.file, w.vars)
	if err != nil {
		return nil, err
	}
	defer e.stop()
	registered, err := e.await(ctx, e.lambda.registered)
	if err != nil {
		return nil, err
	}
	if _, err := e.await(ctx, e.lambda.next); err != nil {
		return nil, err
	}
	used, err := e.cpuTime()
	if err != nil {
		return nil, err
	}
	return sample{"register": milliseconds(registered), "cpu": milliseconds(used)}, nil
}
