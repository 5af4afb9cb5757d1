package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

const clientPackage = "./e2e/bench/client"

// asker asks one question again and again, in a process of its own.
type asker struct {
	program program
	at      place
}

func (b *bench) asker(ctx context.Context, at place) (asker, error) {
	p, err := b.program(ctx, "client", b.root, clientPackage)
	return asker{p, at}, err
}

// answers is how long the answers to an asker took.
type answers struct {
	P50, P99 time.Duration
	PerSec   float64
}

// ask has each of a number of connections put n requests to a port.
func (a asker) ask(ctx context.Context, port, conns, n int, target string) (answers, error) {
	p, err := start(ctx, a.at, nil, a.program.file, "-port", strconv.Itoa(port), "-conns", strconv.Itoa(conns), "-n", strconv.Itoa(n), "-get", target)
	if err != nil {
		return answers{}, err
	}
	defer p.stop()
	said, err := p.output(ctx)
	if err != nil {
		return answers{}, fmt.Errorf("client: %w", err)
	}
	var got answers
	return got, json.Unmarshal([]byte(said), &got)
}
