package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// way is one by which a read may find its value.
type way struct {
	name  string
	times []time.Duration
}

// latencies measures each way of a read at each latency of AWS, and writes a table.
func (s *sim) latencies(ctx context.Context, w io.Writer, reads int) error {
	fmt.Fprintf(w, "\n### A read, %d of each way, ms\n\n", reads)
	for i, latency := range []time.Duration{0, 10 * time.Millisecond} {
		fmt.Fprintf(s.progress, "%d reads of each way, AWS takes %v\n", reads, latency)
		ways, err := s.ways(ctx, latency, reads)
		if err != nil {
			return err
		}
		latencyTable(w, i == 0, latency, ways)
	}
	return nil
}

// ways reads items from AWS through an extension that keeps nothing, for the first time in a fleet, for the first time in
// another environment, and there again.
func (s *sim) ways(ctx context.Context, latency time.Duration, reads int) ([]way, error) {
	aws, err := startCloud(latency, nil, "")
	if err != nil {
		return nil, err
	}
	defer aws.stop()
	tier, err := s.startServer(ctx)
	if err != nil {
		return nil, err
	}
	defer tier.stop()
	direct, stop, err := s.connect(ctx, aws, "direct", "ttl: 0s\nstale_if_error: 0s\n")
	if err != nil {
		return nil, err
	}
	defer stop()
	shared := fmt.Sprintf("ttl: 1h\nshared: {url: \"redis://%s\", timeout: %v}\n", tier.addr, s.timeout)
	one, stop, err := s.connect(ctx, aws, "one", shared)
	if err != nil {
		return nil, err
	}
	defer stop()
	other, stop, err := s.connect(ctx, aws, "other", shared)
	if err != nil {
		return nil, err
	}
	defer stop()

	var ways []way
	for _, next := range []struct {
		name   string
		reader *reader
		calls  int // of AWS, for each read
	}{
		{"direct: AWS, nothing kept", direct, 1},
		{"first read of the fleet: AWS, then into both tiers", one, 1},
		{"first read of another environment: shared tier", other, 0},
		{"later read: memory", other, 0},
	} {
		before := aws.calls()
		times, err := next.reader.measure(reads)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", next.name, err)
		}
		if got, want := aws.calls()-before, next.calls*reads; got != want {
			return nil, fmt.Errorf("%s: %d calls of AWS, want %d: something else was measured", next.name, got, want)
		}
		ways = append(ways, way{next.name, times})
	}
	return ways, nil
}

// connect starts an environment that serves items by their id, and connects to it.
func (s *sim) connect(ctx context.Context, aws *cloud, name, settings string) (r *reader, stop func(), err error) {
	config, err := s.write(name+".yaml", settings+"dynamodb:\n  - table: "+table+"\n    key: {"+hashKey+": \"{id}\"}\n    as: item/{id}\n")
	if err != nil {
		return nil, nil, err
	}
	e, err := s.startEnvironment(ctx, config, aws)
	if err != nil {
		return nil, nil, err
	}
	if r, err = e.reader(ctx); err != nil {
		e.stop()
		return nil, nil, err
	}
	stop = func() { r.Close(); e.stop() }
	if _, err := r.get(sample("warm")); err != nil { // opens all connections; the server closes one that never asks
		stop()
		return nil, nil, err
	}
	return r, stop, nil
}

// measure reads so many items and returns how long each took.
func (r *reader) measure(reads int) ([]time.Duration, error) {
	var times []time.Duration
	for i := range reads {
		e := sample(fmt.Sprintf("%06d", i))
		start := time.Now()
		ok, err := r.get(e)
		times = append(times, time.Since(start))
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errors.New("there was no value")
		}
	}
	return times, nil
}

// sample is an item, of as many as there are ids.
func sample(id string) entry {
	return entry{"dynamodb", "item/" + id, fmt.Sprintf(`{"id":%q,"text":%q}`, id, text(id))}
}

// percentile returns the time within which that part of all were.
func percentile(all []time.Duration, part float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max(0, int(math.Ceil(part*float64(len(sorted))))-1)]
}
