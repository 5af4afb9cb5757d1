package main

import (
	"context"
	"time"
)

func hitRow() row {
	return row{
		name:  "hit",
		title: "A hit",
		about: "One client on one kept-alive connection asks for a value of 200 bytes that is held. Client and server share one core. " +
			"Processor time is the server's.",
		rounds:    11,
		reference: floorNetHTTP,
		figures: []figure{
			{name: "p50", title: "median", unit: "µs", goal: goal{Ratio: 0.78}},
			{name: "p99", title: "99th percentile", unit: "µs", goal: goal{Ratio: 0.62}},
			{name: "cpu", title: "processor time of a hit", unit: "µs", goal: goal{Ratio: 0.60}},
		},
		prepare: func(ctx context.Context, b *bench) ([]subject, func(), error) {
			cpu, err := lastCPU()
			if err != nil {
				return nil, nil, err
			}
			programs, err := b.withFloors(ctx, floorNetHTTP, floorByHand, floorEcho)
			if err != nil {
				return nil, nil, err
			}
			at := place{cpu: cpu}
			client, err := b.asker(ctx, at)
			if err != nil {
				return nil, nil, err
			}
			w, err := b.world(lasting, 0, valueSize)
			if err != nil {
				return nil, nil, err
			}
			n := b.n(20_000)
			return subjects(programs, func(ctx context.Context, p program) (s sample, err error) {
				err = w.withServer(ctx, at, p, func(server *process, port int, target string) error {
					s, err = measureHits(ctx, client, server, port, target, n)
					return err
				})
				return s, err
			}), w.stop, nil
		},
	}
}

// withServer starts p as the server it is, in a place, has do use it and ends it.
func (w *world) withServer(ctx context.Context, at place, p program, do func(server *process, port int, target string) error) error {
	birth := at
	birth.cpu = 0
	pinned := func(server *process) error {
		if at.cpu == 0 {
			return nil
		}
		return server.pin(at.cpu)
	}
	if p.name == floorEcho {
		server, err := start(ctx, birth, nil, p.file)
		if err != nil {
			return err
		}
		defer server.stop()
		port, err := server.port(ctx)
		if err != nil {
			return err
		}
		if err := pinned(server); err != nil {
			return err
		}
		return do(server, port, "")
	}
	return w.withReady(ctx, birth, p, func(e *extension) error {
		if err := pinned(e.process); err != nil {
			return err
		}
		return do(e.process, e.at, target("parameters", parameterName(0)))
	})
}

// measureHits asks n times, after a warm-up in which the value is fetched, too.
func measureHits(ctx context.Context, client asker, server *process, port int, target string, n int) (sample, error) {
	if _, err := client.ask(ctx, port, 1, max(1, n/10), target); err != nil {
		return nil, err
	}
	before, err := server.cpuTime()
	if err != nil {
		return nil, err
	}
	took, err := client.ask(ctx, port, 1, n, target)
	if err != nil {
		return nil, err
	}
	after, err := server.cpuTime()
	if err != nil {
		return nil, err
	}
	return sample{
		"p50":  microseconds(took.P50),
		"p99":  microseconds(took.P99),
		"cpu":  microseconds((after - before) / time.Duration(n)),
		"rate": took.PerSec,
	}, nil
}

func throughputRow() row {
	return row{
		name:      "throughput",
		title:     "Many connections",
		about:     "Hits in a second on 8 and on 64 kept-alive connections. Client and server share the machine.",
		rounds:    5,
		reference: floorNetHTTP,
		figures: []figure{
			{name: "conns8", title: "8 connections", unit: "1/s", more: true},
			{name: "conns64", title: "64 connections", unit: "1/s", more: true},
		},
		prepare: func(ctx context.Context, b *bench) ([]subject, func(), error) {
			programs, err := b.withFloors(ctx, floorNetHTTP, floorByHand)
			if err != nil {
				return nil, nil, err
			}
			client, err := b.asker(ctx, place{})
			if err != nil {
				return nil, nil, err
			}
			w, err := b.world(lasting, 0, valueSize)
			if err != nil {
				return nil, nil, err
			}
			total := b.n(32_000)
			return subjects(programs, func(ctx context.Context, p program) (sample, error) {
				s := make(sample)
				err := w.withServer(ctx, place{}, p, func(_ *process, port int, target string) error {
					for name, conns := range map[string]int{"conns8": 8, "conns64": 64} {
						took, err := client.ask(ctx, port, conns, max(1, total/conns), target)
						if err != nil {
							return err
						}
						s[name] = took.PerSec
					}
					return nil
				})
				return s, err
			}), w.stop, nil
		},
	}
}
