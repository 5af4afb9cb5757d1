package main

import (
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/caches"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source"
	"cache-extension/extension/internal/source/awstest"
)

// A day of rotation, invocations, faults, 404s and refreshes, in a bubble: what is held is bounded by what is declared.
func TestMemoryIsBoundedByTheConfiguration(t *testing.T) {
	const (
		perKind = 8
		region  = "eu-west-1"
		every   = 5 * time.Minute
		rounds  = 24 * 12
		settled = rounds / 4 // by then everything has been held once
		// What may be on the heap at the end and was not when all was settled: less than a byte for each time that a name
		// was asked for which is not declared.
		margin   = 128 << 10
		unknowns = 300 // for each kind, each round
	)
	w := newWorld(t, `
ttl: 1m
stale_if_error: 20m
parameters:
  - {names: [n0, n1, n2, n3, n4, n5, n6, n7]}
  - {path: /tree}
secrets:
  - {names: [n0, n1, n2, n3, n4, n5, n6, n7]}
dynamodb:
  - {table: t, key: {pk: x}, as: x}
`)
	cfg, err := config.Load(config.Options{Path: w.file, Env: []string{"AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b"}})
	if err != nil {
		t.Fatal(err)
	}
	fake := awstest.New(t)
	fake.CreateTable(region, "t", awstest.KeyAttr{Name: "pk", Type: "S"}, awstest.KeyAttr{})

	synctest.Test(t, func(t *testing.T) {
		s := caches.New(cfg, caches.Options{Log: slog.New(slog.DiscardHandler), Source: source.Options{HTTPClient: fake}})
		entries := map[string]int{"dynamodb": len(cfg.Items), "parameters": len(cfg.Parameters), "secrets": len(cfg.Secrets)} // all that can be held
		var before uint64
		var names []string
		for i := range perKind {
			name := fmt.Sprint("n", i)
			names = append(names, name)
			fake.PutSecret(region, name, awstest.Secret{Text: name}) // once: the fake keeps all versions, as AWS does
		}
		for round := range rounds {
			if round == settled {
				before = heap()
			}
			// Rotate; a name in four is gone, and AWS throttles now and then.
			fake.Reset()
			fake.Clear()
			if round%5 == 4 {
				fake.Fail(awstest.Match{}, awstest.Fault{Code: "ThrottlingException"})
			}
			for i, name := range names {
				fake.DeleteParameter(region, name)
				fake.DeleteParameter(region, "/tree/"+name)
				if (i+round)%4 > 0 {
					fake.PutParameter(region, name, awstest.Parameter{Value: fmt.Sprint(name, round)})
					fake.PutParameter(region, "/tree/"+name, awstest.Parameter{Value: fmt.Sprint(name, round)})
				}
				if (i+round)%4 == 1 {
					fake.Fail(awstest.Match{Op: "GetSecretValue", Name: name}, awstest.Fault{Code: "ResourceNotFoundException"})
				}
			}
			fake.PutItem(region, "t", fmt.Sprintf(`{"pk":{"S":"x"},"round":{"N":"%d"}}`, round))

			s.Thaw() // as an INVOKE does
			s.Refresh(t.Context())
			for _, k := range s.Kinds() {
				for i, name := range append(names, "x", "/tree", "/tree/n0") {
					// An error is as good an answer as any here.
					_, _ = k.Cache.Get(t.Context(), name, i%3 == 0)
				}
				for i := range unknowns {
					unknown := fmt.Sprintf("/tree/unknown-%d-%d", round, i)
					if a, err := k.Cache.Get(t.Context(), unknown, false); err == nil {
						t.Fatalf("%s %s = %v, want an error", k.Name, unknown, a)
					}
				}
				if got := k.Cache.Stats().Entries; got > entries[k.Name] {
					t.Fatalf("%s holds %d entries in round %d, %d are declared", k.Name, got, round, entries[k.Name])
				}
			}
			time.Sleep(every)
		}
		if grown := int64(heap()) - int64(before); grown > margin {
			t.Errorf("the heap grew by %d bytes from round %d to round %d, want at most %d", grown, settled, rounds, margin)
		}
		total := 0
		for _, k := range s.Kinds() {
			total += int(k.Cache.Stats().Fetches)
		}
		if total < rounds*perKind {
			t.Errorf("%d fetches in all: nothing was put to the test", total)
		}
		// An hour later all windows are over, and an invocation finds nothing worth holding.
		time.Sleep(time.Hour)
		s.Thaw()
		for _, k := range s.Kinds() {
			if n := k.Cache.Stats(); n.Entries != 0 || n.Bytes != 0 {
				t.Errorf("%s holds %d entries, %d bytes beyond every window, want none", k.Name, n.Entries, n.Bytes)
			}
		}
	})
}

// heap is the bytes in use, without what is only not collected yet.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what sync.Pools held goes with the second
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
