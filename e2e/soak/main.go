//go:build linux

// Command soak holds the real program to its promises for minutes: hundreds of readers over hundreds of names, while every
// value changes, AWS throttles, fails, hangs, denies and forgets, strangers talk nonsense to the port, and the process is
// frozen and thawed. It stands in for
// AWS and for Lambda itself, on the loopback interface. It ends with an error when one answer was wrong, when the program
// did not recover or did not end as it should, or when its memory or its descriptors grew.
//
// SOAK_DURATION says for how long, 3m unless set. Goroutines cannot be counted from outside, threads can: a test of the
// program counts them. It needs Linux, for /proc.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	readers     = 300
	reportEvery = 10 * time.Second
	sampleEvery = time.Second
	minDuration = 10 * time.Second // below it there is no trend to judge
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
	fmt.Println("nothing was wrong")
}

// run soaks the program and returns what was wrong with it.
func run(ctx context.Context) error {
	duration, err := time.ParseDuration(cmp.Or(os.Getenv("SOAK_DURATION"), "3m"))
	if err != nil || duration < minDuration {
		return fmt.Errorf("SOAK_DURATION=%s: want a duration such as 3m, at least %v", os.Getenv("SOAK_DURATION"), minDuration)
	}
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	w, targets := &weather{}, declare()
	aws, lambda := &upstream{weather: w}, newRuntimeAPI()
	awsURL, closeAWS, err := serve(aws)
	if err != nil {
		return err
	}
	defer closeAWS()
	lambdaURL, closeLambda, err := serve(lambda)
	if err != nil {
		return err
	}
	defer closeLambda()

	fmt.Printf("building; then %d readers of %d names for %v\n", readers, len(targets), duration)
	child, err := start(ctx, dir, configFile(), awsURL, strings.TrimPrefix(lambdaURL, "http://"))
	if err != nil {
		return err
	}
	defer child.kill()
	t := newTally(w)
	client := newClient(child.url)
	samples, err := storm(ctx, duration, storming{w, child, lambda, aws, client, t, targets})
	if err := errors.Join(err, ctx.Err()); err != nil {
		return errors.Join(err, child.verdict())
	}

	fmt.Println("calm: every name must come back")
	recovered := recovery(ctx, client, t, targets)
	stats, statsErr := client.stats(ctx, len(targets))
	fmt.Println("stats:", stats)
	client.CloseIdleConnections()
	ended := child.stop()
	t.print(os.Stdout)
	return errors.Join(ctx.Err(), t.verdict(), recovered, statsErr, lambda.verdict(), aws.verdict(), ended, child.verdict(), flat(samples))
}

// storming is all that takes part in a storm.
type storming struct {
	weather *weather
	child   *child
	lambda  *runtimeAPI
	aws     *upstream
	client  *client
	tally   *tally
	targets []*target
}

// storm lets readers read for so long, with faults, freezes and invocations, and returns what the process used meanwhile.
// Its error is that the process could not be watched or frozen.
func storm(ctx context.Context, duration time.Duration, s storming) ([]sample, error) {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	var all sync.WaitGroup
	for i := range readers {
		all.Go(func() { s.client.read(ctx, rand.New(rand.NewPCG(uint64(i), 0)), s.tally, s.targets) })
	}
	all.Go(func() { s.client.rude(ctx, rand.New(rand.NewPCG(0, 1))) })
	all.Go(func() { s.weather.run(ctx) })
	var failed error
	all.Go(func() {
		failed = invocations(ctx, s.weather, s.child, s.lambda)
		if failed != nil {
			cancel()
		}
	})
	samples, err := watch(ctx, s)
	cancel()
	all.Wait()
	s.weather.set(phase{})
	return samples, errors.Join(err, failed)
}

// watch samples the process until ctx ends, and reports now and then.
func watch(ctx context.Context, s storming) ([]sample, error) {
	var samples []sample
	began := time.Now()
	fmt.Println(columns)
	for report := began.Add(reportEvery); ; {
		if !pause(ctx, sampleEvery) {
			return samples, nil
		}
		now, err := s.child.sample()
		if err != nil {
			return samples, err
		}
		samples = append(samples, now)
		if !time.Now().Before(report) {
			report = report.Add(reportEvery)
			fmt.Println(s.tally.line(time.Since(began), now, s.aws.calls.Load()))
		}
	}
}

// invocations plays Lambda: an invocation every now and then, and between some of them the process is frozen.
func invocations(ctx context.Context, w *weather, c *child, api *runtimeAPI) error {
	random := rand.New(rand.NewPCG(1, 1))
	for {
		if !pause(ctx, between(random, 300*time.Millisecond, 2*time.Second)) {
			return nil
		}
		if random.IntN(4) == 0 {
			if err := w.freeze(ctx, c, between(random, 100*time.Millisecond, longestFreeze)); err != nil {
				return err
			}
		}
		if err := api.invoke(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// serve answers with h on a free port of 127.0.0.1 until it is closed.
func serve(h http.Handler) (url string, closeServer func(), err error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l) // ends with Close
	}()
	return "http://" + l.Addr().String(), func() { s.Close(); <-ended }, nil
}

// pause waits; it is false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}
