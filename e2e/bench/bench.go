package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// bench is what all rows share.
type bench struct {
	root    string // of the checkout
	dir     string // for what is built and written
	against string // a revision, or empty
	asked   int    // rounds; 0 is what each row takes
	quick   bool   // just to see that it works

	built   map[string]string // programs: file by what it was asked for as
	other   string            // files of the revision, once they are there
	configs int
}

// rounds is how many there are of a row that takes usual ones.
func (b *bench) rounds(usual int) int {
	switch {
	case b.asked > 0:
		return b.asked
	case b.quick:
		return 1
	}
	return usual
}

// n is how many of something there are, which is usual unless all that counts is that there are some.
func (b *bench) n(usual int) int {
	if b.quick {
		return max(usual/50, 2)
	}
	return usual
}

// config writes the config.yaml of f and returns the variables that make the extension read it.
func (b *bench) config(f fixture) ([]string, error) {
	b.configs++
	file := filepath.Join(b.dir, fmt.Sprintf("config-%d.yaml", b.configs))
	if err := os.WriteFile(file, f.yaml(), 0o644); err != nil {
		return nil, err
	}
	return []string{"CACHE_EXTENSION_CONFIG=" + file, "CACHE_EXTENSION_PORT=0"}, nil
}

// world is an AWS and the variables by which an extension finds it and its configuration; floors take a size of body.
type world struct {
	*upstream
	vars []string
}

// world makes one with values of a size.
func (b *bench) world(f fixture, latency time.Duration, size int) (*world, error) {
	listener, err := listen()
	if err != nil {
		return nil, err
	}
	return b.worldAt(listener, f, latency, size)
}

func (b *bench) worldAt(listener net.Listener, f fixture, latency time.Duration, size int) (*world, error) {
	config, err := b.config(f)
	if err != nil {
		listener.Close()
		return nil, err
	}
	w := &world{upstream: startUpstream(listener, latency, text(size))}
	// Where a server is pinned to one core Go would notice after a second and run it as on a machine of one core.
	w.vars = append(append(w.env(), config...), fmt.Sprintf("BENCH_BODY=%d", size), "GODEBUG=updatemaxprocs=0")
	return w, nil
}

// withReady starts p as an extension, waits until it is ready, has do use it and ends it.
func (w *world) withReady(ctx context.Context, at place, p program, do func(e *extension) error) error {
	e, err := extend(ctx, at, p.file, w.vars)
	if err != nil {
		return err
	}
	defer e.stop()
	if err := e.ready(ctx); err != nil {
		return err
	}
	return do(e)
}

// withFloors builds the extensions and some floors, in this order.
func (b *bench) withFloors(ctx context.Context, floors ...string) ([]program, error) {
	programs, err := b.extensions(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range floors {
		p, err := b.floor(ctx, name)
		if err != nil {
			return nil, err
		}
		programs = append(programs, p)
	}
	return programs, nil
}

// subjects measures programs in one way.
func subjects(programs []program, measure func(ctx context.Context, p program) (sample, error)) []subject {
	var all []subject
	for _, p := range programs {
		all = append(all, subject{p.name, func(ctx context.Context) (sample, error) { return measure(ctx, p) }})
	}
	return all
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func mebibytes(n int64) float64            { return float64(n) / (1 << 20) }
