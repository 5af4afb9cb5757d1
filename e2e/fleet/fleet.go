package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// awsLatency is how long AWS takes to answer the fleet.
const awsLatency = 10 * time.Millisecond

// scenario is one way to run a fleet.
type scenario struct {
	name   string
	shared string // keys of the section beside url; empty is no shared tier
	sealed bool
}

var scenarios = []scenario{
	{name: "no shared tier"},
	{name: "shared: parameters and items", shared: "  kinds: [dynamodb, parameters]\n"},
	{name: "shared: all, sealed", shared: "  kinds: [dynamodb, parameters, secrets]\n  key_secret: " + keySecret + "\n", sealed: true},
}

// fleets runs each scenario under each set of quotas and writes a table for each set.
func (s *sim) fleets(ctx context.Context, w io.Writer, processes int, within time.Duration) error {
	for _, account := range []struct {
		name   string
		quotas quotas
	}{
		{"Parameter Store takes 40 calls a second, Secrets Manager 10,000, DynamoDB any number", quotas{"parameters": 40, "secrets": 10_000}},
		{"each service takes 40 calls a second", quotas{"parameters": 40, "secrets": 40, "dynamodb": 40}},
	} {
		var outcomes []outcome
		for _, sc := range scenarios {
			fmt.Fprintf(s.progress, "%d environments, %s, %s\n", processes, account.name, sc.name)
			o, err := s.fleet(ctx, sc, account.quotas, processes, within)
			if err != nil {
				return fmt.Errorf("%s: %w", sc.name, err)
			}
			outcomes = append(outcomes, o)
		}
		fmt.Fprintf(w, "\n### %d environments; %s\n\n%s", processes, account.name, fleetTable(outcomes, within))
	}
	return nil
}

// outcome is what became of a fleet.
type outcome struct {
	scenario  scenario
	calls     map[string]int // of AWS, by kind
	throttled int            // of these
	reads     reads
	ready     time.Duration // from the start of the first until the last one asked for its first event
	held      time.Duration // until the last one had read every name; it says nothing when some were never read
	server    load          // zero without a shared tier
	away      int           // environments that did without the server for a while
}

// reads are those of names that had no value for the reader.
type reads struct {
	failedFirst int // when an environment read a name for the first time
	failed      int // in all
	missing     int // names that were still without one when the time was over
}

func (r *reads) add(more reads) {
	r.failedFirst += more.failedFirst
	r.failed += more.failed
	r.missing += more.missing
}

// fleet starts all environments at once. Each one's function reads every name as soon as its extension is ready, and what
// had no value again a second later, until it has all or the time is over.
func (s *sim) fleet(ctx context.Context, sc scenario, q quotas, processes int, within time.Duration) (o outcome, err error) {
	aws, err := startCloud(awsLatency, q, newKey())
	if err != nil {
		return o, err
	}
	defer aws.stop()
	shared := ""
	var tier *server
	if sc.shared != "" {
		if tier, err = s.startServer(ctx); err != nil {
			return o, err
		}
		defer tier.stop()
		shared = fmt.Sprintf("shared:\n  url: redis://%s\n  timeout: %v\n%s", tier.addr, s.timeout, sc.shared)
	}
	all := entries(sc.sealed)
	config, err := s.write("config.yaml", configuration(shared, all))
	if err != nil {
		return o, err
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	o = outcome{scenario: sc, calls: make(map[string]int)}
	var mu sync.Mutex // guards o and fleet
	var fleet []*environment
	defer func() {
		var ending sync.WaitGroup
		for _, e := range fleet {
			ending.Go(e.stop)
		}
		ending.Wait()
	}()
	began := time.Now()
	one := func() error {
		e, err := s.startEnvironment(ctx, config, aws)
		if err != nil {
			return err
		}
		mu.Lock()
		fleet = append(fleet, e)
		mu.Unlock()
		if err := e.ready(ctx); err != nil {
			return err
		}
		ready := time.Since(began)
		got, err := e.readAll(ctx, all, began.Add(within))
		held := time.Since(began)
		mu.Lock()
		defer mu.Unlock()
		o.ready, o.held = max(o.ready, ready), max(o.held, held)
		o.reads.add(got)
		return err
	}
	var running sync.WaitGroup
	for range processes {
		running.Go(func() {
			if err := one(); err != nil {
				cancel(err) // the first one is told, and ends them all
			}
		})
	}
	running.Wait()
	if ctx.Err() != nil {
		return o, context.Cause(ctx)
	}
	err = o.count(fleet, aws, tier)
	return o, err
}

// count adds what the programs have counted. tier may be nil.
func (o *outcome) count(fleet []*environment, aws *cloud, tier *server) (err error) {
	for _, e := range fleet {
		if strings.Contains(e.said.String(), "the shared tier") { // logged when it fails, when it is full and when it has no key
			o.away++
		}
	}
	for kind, b := range aws.buckets {
		calls, throttled := b.count()
		o.calls[kind] = calls
		o.throttled += throttled
	}
	if tier != nil {
		o.server, err = tier.load()
	}
	return err
}

// pause is between two tries of a function, the least that the extension asks for in Retry-After.
const pause = time.Second

// readAll reads all entries, and those without a value again, until there are none or the time is over.
func (e *environment) readAll(ctx context.Context, all []entry, over time.Time) (got reads, err error) {
	r, err := e.reader(ctx)
	if err != nil {
		return got, err
	}
	defer r.Close()
	for first := true; ; first = false {
		var without []entry
		for _, next := range all {
			if time.Now().After(over) {
				without = append(without, next)
				continue
			}
			ok, err := r.get(next)
			if err != nil {
				return got, err
			}
			if !ok {
				got.failed++
				without = append(without, next)
			}
			if !ok && first {
				got.failedFirst++
			}
		}
		if len(without) == 0 || time.Now().After(over) {
			got.missing = len(without)
			return got, nil
		}
		all = without
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return got, ctx.Err()
		}
	}
}

// newKey is one to seal with, as cache-extension wants it.
func newKey() string {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}
