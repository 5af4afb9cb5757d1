package main

import (
	"context"
	"time"
)

func residentRow() row {
	return row{
		name:      "resident",
		title:     "Resident memory",
		about:     "With 60 entries declared, when the first event is asked for, and after 1,000 reads over all of their names.",
		rounds:    5,
		reference: floorNetHTTP,
		figures: []figure{
			{name: "next", title: "at next", unit: "MiB", goal: goal{Value: 7.5}},
			{name: "read", title: "after 1,000 reads of 60 names", unit: "MiB", goal: goal{Value: 12}},
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
			return subjects(programs, func(ctx context.Context, p program) (s sample, err error) {
				err = w.withReady(ctx, place{}, p, func(e *extension) error {
					s, err = e.memory([]step{
						{"next", func() error { return nil }},
						{"read", func() error { return readAll(e.at, sixty.targets(), b.n(1000)) }},
					})
					return err
				})
				return s, err
			}), w.stop, nil
		},
	}
}

// step is something after which the memory is looked at.
type step struct {
	name string
	do   func() error
}

// memory takes steps and returns what is resident after each, in MiB.
func (p *process) memory(steps []step) (sample, error) {
	s := make(sample)
	for _, one := range steps {
		if err := one.do(); err != nil {
			return nil, err
		}
		n, err := p.resident()
		if err != nil {
			return nil, err
		}
		s[one.name] = mebibytes(n)
	}
	return s, nil
}

func memorySmallRow() row {
	return memoryRow("memory-small", "Memory of 1,000 values of 1 KB", 1000, fixture{parameters: 1000}, 1000)
}

func memoryLargeRow() row {
	return memoryRow("memory-large", "Memory of ten values of 400 KB", 400_000, fixture{items: 10}, 10)
}

// memoryRow is about a number of values of a size, which the fixture declares.
func memoryRow(name, title string, size int, f fixture, values int) row {
	f.settings = "ttl: 1h\n"
	return row{
		name:  name,
		title: title,
		about: "Resident memory as an extension without entries has it, after each value was read once, after each was read with `field`, " +
			"after 64 connections have read one value, and five seconds later. The values alone are " + mib(size*values) + " MiB.",
		rounds: 3,
		figures: []figure{
			{name: "empty", title: "no entries", unit: "MiB"},
			{name: "filled", title: "values read", unit: "MiB"},
			{name: "field", title: "read with field", unit: "MiB"},
			{name: "burst", title: "after a burst", unit: "MiB"},
			{name: "rest", title: "five seconds later", unit: "MiB"},
		},
		prepare: func(ctx context.Context, b *bench) ([]subject, func(), error) {
			return b.memories(ctx, size, f, values)
		},
	}
}

func (b *bench) memories(ctx context.Context, size int, f fixture, values int) ([]subject, func(), error) {
	programs, err := b.extensions(ctx)
	if err != nil {
		return nil, nil, err
	}
	client, err := b.asker(ctx, place{})
	if err != nil {
		return nil, nil, err
	}
	empty, err := b.world(fixture{}, 0, size)
	if err != nil {
		return nil, nil, err
	}
	full, err := b.world(f, 0, size)
	if err != nil {
		empty.stop()
		return nil, nil, err
	}
	targets := f.targets()
	fields := make([]string, len(targets))
	for i, t := range targets {
		fields[i] = t + "&field=/" + map[bool]string{true: "text", false: "name"}[f.items > 0]
	}
	rest := 5 * time.Second
	if b.quick {
		rest = 0
	}
	measure := func(ctx context.Context, p program) (s sample, err error) {
		var none sample
		err = empty.withReady(ctx, place{}, p, func(e *extension) error {
			none, err = e.memory([]step{{"empty", func() error { return nil }}})
			return err
		})
		if err != nil {
			return nil, err
		}
		err = full.withReady(ctx, place{}, p, func(e *extension) error {
			s, err = e.memory([]step{
				{"filled", func() error { return readAll(e.at, targets, values) }},
				{"field", func() error { return readAll(e.at, fields, values) }},
				{"burst", func() error {
					_, err := client.ask(ctx, e.at, 64, b.n(100), targets[0])
					return err
				}},
				{"rest", func() error { return pause(ctx, rest) }},
			})
			return err
		})
		if err == nil {
			s["empty"] = none["empty"]
		}
		return s, err
	}
	return subjects(programs, measure), func() { empty.stop(); full.stop() }, nil
}
