package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"cache-extension/e2e/cloud"
)

// Each way is tried from a cold start several times, with so many reads of each resource after the first.
const (
	starts = 5
	later  = 40
)

// resources are what the sample function reads, in its order.
var resources = []struct {
	cachetype, name string
	target          string // the call of AWS that reads it
	input           map[string]any
	operations      []string // all calls by which it may be read
}{
	{"dynamodb", "DynamoDbTable-pKey1-sKey1", "DynamoDB_20120810.GetItem", map[string]any{"TableName": cloud.Table,
		"Key": map[string]any{"pKey": map[string]string{"S": "pKey1"}, "sKey": map[string]string{"S": "sKey1"}}}, []string{"GetItem", "BatchGetItem"}},
	{"parameters", "CacheExtensions_Parameter1", "AmazonSSM.GetParameter",
		map[string]any{"Name": "CacheExtensions_Parameter1", "WithDecryption": true}, []string{"GetParameter", "GetParameters"}},
	{"secrets", "secret_info", "secretsmanager.GetSecretValue", map[string]any{"SecretId": "secret_info"}, []string{"GetSecretValue"}},
}

// measurement is how long the reads of one resource took in one way.
type measurement struct {
	first []time.Duration // after each start
	later []time.Duration
	calls int // of AWS
}

// way is one way to read all resources.
type way struct {
	name string
	by   map[string]*measurement // cachetype
}

// table is how long reads took in all ways, with AWS answering after a time.
type table struct {
	latency time.Duration
	ways    []way
}

// measure reads in all ways and returns what the sample function read at last.
func (t *table) measure(ctx context.Context, proxy *cloud.Proxy, deploy deployer) (values map[string]string, err error) {
	uncached, err := direct(ctx, proxy)
	if err != nil {
		return nil, err
	}
	onDemand, _, err := cached(ctx, proxy, deploy, false)
	if err != nil {
		return nil, err
	}
	prefetched, values, err := cached(ctx, proxy, deploy, true)
	t.ways = []way{uncached, onDemand, prefetched}
	return values, err
}

// when says what latency the table is for, unless that is none.
func (t *table) when() string {
	if t.latency == 0 {
		return ""
	}
	return fmt.Sprintf(" with AWS %v away", t.latency)
}

func newWay(name string) way {
	w := way{name: name, by: make(map[string]*measurement)}
	for _, r := range resources {
		w.by[r.cachetype] = &measurement{}
	}
	return w
}

// add notes a read, the i-th since the start.
func (w way) add(cachetype string, i int, took time.Duration) {
	if m := w.by[cachetype]; i == 0 {
		m.first = append(m.first, took)
	} else {
		m.later = append(m.later, took)
	}
}

func (w way) count(calls map[string]int) {
	for _, r := range resources {
		for _, operation := range r.operations {
			w.by[r.cachetype].calls += calls[operation]
		}
	}
}

// direct reads each resource as a program without a cache does, with a call for each read.
func direct(ctx context.Context, proxy *cloud.Proxy) (way, error) {
	w := newWay("direct")
	for range starts {
		client := cloud.NewClient(proxy.URL)
		defer client.Close()
		for i := range 1 + later {
			for _, r := range resources {
				start := time.Now()
				if err := client.Call(ctx, r.target, r.input); err != nil {
					return w, err
				}
				w.add(r.cachetype, i, time.Since(start))
			}
		}
	}
	w.count(proxy.Calls())
	return w, nil
}

// cached has the sample function read through the extension, and returns what it read at last.
func cached(ctx context.Context, proxy *cloud.Proxy, deploy deployer, prefetch bool) (w way, values map[string]string, err error) {
	w = newWay("cached")
	if prefetch {
		w.name = "cached, prefetched"
	}
	env := append(cloud.Env(proxy.URL), "CACHE_EXTENSION_TTL=5m", "CACHE_EXTENSION_INIT_STARTUP="+strconv.FormatBool(prefetch))
	for range starts {
		if values, err = w.invoke(ctx, deploy, env); err != nil {
			return w, nil, err
		}
	}
	w.count(proxy.Calls())
	return w, values, nil
}

// invoke deploys the sample function and notes what it says of its reads, at first and later.
func (w way) invoke(ctx context.Context, deploy deployer, env []string) (values map[string]string, err error) {
	f, err := deploy(ctx, env)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	for i := range 1 + later {
		a, err := f.invoke(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range resources {
			w.add(r.cachetype, i, time.Duration(a.Milliseconds[r.cachetype]*float64(time.Millisecond)))
		}
		values = a.Values
	}
	return values, nil
}

// printValues prints what was read.
func printValues(out io.Writer, values map[string]string) {
	for _, r := range resources {
		fmt.Fprintf(out, "  %-46s%s\n", "/"+r.cachetype+"?name="+r.name, values[r.cachetype])
	}
}

// print prints a line for each resource and way.
func (t *table) print(out io.Writer) {
	fmt.Fprintf(out, "  %-32s%11s%11s%11s%15s\n", "milliseconds", "first p50", "later p50", "later p99", "calls of AWS")
	for _, r := range resources {
		for _, w := range t.ways {
			m := w.by[r.cachetype]
			first, p50, p99 := m.figures()
			fmt.Fprintf(out, "  %-12s%-20s%11.2f%11.2f%11.2f%8d of %4d\n", r.cachetype, w.name, first, p50, p99, m.calls, m.reads())
		}
	}
}

// figures returns the median of the first reads, and the median and the 99th percentile of later ones, in milliseconds.
func (m *measurement) figures() (first, p50, p99 float64) {
	return milliseconds(percentile(m.first, 50)), milliseconds(percentile(m.later, 50)), milliseconds(percentile(m.later, 99))
}

func (m *measurement) reads() int { return len(m.first) + len(m.later) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// percentile returns the smallest of all, which must not be empty, that at least percent of them do not exceed.
func percentile(all []time.Duration, percent int) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[(len(sorted)*percent+99)/100-1]
}
