package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	newestSDK  = "newest SDK"
	handSigned = "net/http, signed by hand"

	callerPackage = "./extension/internal/source/caller"
)

func upstreamRow() row {
	return row{
		name:  "upstream",
		title: "One upstream call",
		about: "Processor time of one GetParameter, by programs that do nothing else: with cache-extension's client that is " +
			"extension/internal/source/caller. A read that calls AWS is one with a ttl of 0, less what a hit takes, in the extension " +
			"itself: its flight, and an answer by way of net/http, are in that. The SDK is of the version in e2e/bench/sdk/go.mod. AWS " +
			"is a server on the same machine and not counted.",
		rounds:    7,
		reference: newestSDK,
		figures: []figure{
			{name: "call", title: "processor time of a call", unit: "µs", goal: goal{Ratio: 0.75}},
			{name: "read", title: "processor time of a read that calls AWS", unit: "µs"},
		},
		prepare: func(ctx context.Context, b *bench) ([]subject, func(), error) {
			programs, err := b.extensions(ctx)
			if err != nil {
				return nil, nil, err
			}
			clients, err := b.clients(ctx, programs)
			if err != nil {
				return nil, nil, err
			}
			callers, without, err := b.callers(ctx)
			if err != nil {
				return nil, nil, err
			}
			client, err := b.asker(ctx, place{})
			if err != nil {
				return nil, nil, err
			}
			w, err := b.world(fixture{parameters: 1, settings: "ttl: 0s\n"}, 0, valueSize)
			if err != nil {
				return nil, nil, err
			}
			held, err := b.world(lasting, 0, valueSize)
			if err != nil {
				w.stop()
				return nil, nil, err
			}
			n := b.n(2000)
			all := subjects(programs, func(ctx context.Context, p program) (sample, error) {
				both := make(sample)
				if client, ok := clients[p.name]; ok {
					var err error
					if both, err = w.measureCaller(ctx, client, n); err != nil {
						return nil, err
					}
				}
				var cpu []float64
				for _, w := range []*world{w, held} {
					err := w.withServer(ctx, place{}, p, func(s *process, port int, target string) error {
						got, err := measureHits(ctx, client, s, port, target, n)
						cpu = append(cpu, got["cpu"])
						return err
					})
					if err != nil {
						return nil, err
					}
				}
				both["read"] = cpu[0] - cpu[1]
				return both, nil
			})
			return append(all, subjects(callers, func(ctx context.Context, p program) (sample, error) {
				return w.measureCaller(ctx, p, n)
			})...), func() { w.stop(); held.stop() }, without
		},
	}
}

// clients builds for each extension the program that has its client and does nothing but call AWS. Older revisions have none.
func (b *bench) clients(ctx context.Context, extensions []program) (map[string]program, error) {
	clients := make(map[string]program)
	for _, p := range extensions {
		if _, err := os.Stat(filepath.Join(p.dir, callerPackage)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		client, err := b.program(ctx, p.name, p.dir, callerPackage)
		if err != nil {
			return nil, err
		}
		clients[p.name] = client
	}
	return clients, nil
}

// callers builds the programs that do nothing but call AWS. Where the newest SDK cannot be had, without is a skip.
func (b *bench) callers(ctx context.Context) (callers []program, without, err error) {
	signed, err := b.program(ctx, handSigned, b.root, "./e2e/bench/floors/signed")
	if err != nil {
		return nil, nil, err
	}
	callers = []program{signed}
	sdk, err := b.newestSDK(ctx)
	var reason skip
	switch {
	case errors.As(err, &reason):
		return callers, reason, nil
	case err != nil:
		return nil, nil, err
	}
	return append(callers, sdk), nil, nil
}

// newestSDK builds the program of the module beside this one, whose libraries are fetched where they are not there.
func (b *bench) newestSDK(ctx context.Context) (program, error) {
	p := program{name: newestSDK, dir: filepath.Join(b.root, "e2e", "bench", "sdk"), pkg: ".", file: filepath.Join(b.dir, "sdk")}
	if b.quick {
		return p, skip{"the newest SDK is left out of a quick run, it takes long to build"}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", buildTags, "-ldflags", buildLDFlags, "-o", p.file, p.pkg)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var failed *exec.ExitError
	if err := cmd.Run(); errors.As(err, &failed) {
		return p, skip{"the newest SDK cannot be fetched or built here; go build in e2e/bench/sdk says why"}
	} else if err != nil {
		return p, err
	}
	return p, nil
}

// measureCaller has p make n calls, after as many as it takes to be warm, and takes its word for what they cost.
func (w *world) measureCaller(ctx context.Context, p program, n int) (sample, error) {
	s, err := start(ctx, place{}, w.env(), p.file, w.url, strconv.Itoa(n), parameterName(0))
	if err != nil {
		return nil, err
	}
	defer s.stop()
	said, err := s.output(ctx)
	if err != nil {
		return nil, err
	}
	took, err := time.ParseDuration(strings.TrimSpace(said) + "ns")
	if err != nil {
		return nil, fmt.Errorf("%s said %q", p.name, said)
	}
	return sample{"call": microseconds(took)}, nil
}
