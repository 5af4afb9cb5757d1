package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/caches"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/early"
	"cache-extension/extension/internal/lambda"
	"cache-extension/extension/internal/metrics"
	"cache-extension/extension/internal/source"
	"cache-extension/extension/internal/source/awstest"
)

// measured is what these tests read of a line of metrics.
type measured struct {
	FunctionName, CacheType        string
	Hits, Misses, Fetches, Entries int
}

// measuredLines returns all that was written to standard output, which must be metrics.
func measuredLines(t *testing.T, text string) []measured {
	t.Helper()
	var all []measured
	for line := range strings.Lines(text) {
		var m measured
		if err := json.Unmarshal([]byte(line), &m); err != nil || !strings.HasPrefix(line, `{"_aws":`) {
			t.Fatalf("standard output has %q, which is no metric: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

func TestMetricsAreWrittenAtShutdown(t *testing.T) {
	for _, tt := range []struct {
		name, input string // of config.yaml
		format      string // of the log
		want        bool
	}{
		{"not asked for", "", "JSON", false},
		{"asked for", "metrics: true\n", "JSON", true},
		{"whatever the log leaves out", "metrics: true\nlog: {level: error}\n", "Text", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.input+sample)
			w.seedSample()
			w.env["AWS_LAMBDA_FUNCTION_NAME"] = "Checkout"
			w.env["AWS_LAMBDA_LOG_FORMAT"] = tt.format
			w.env["CACHE_EXTENSION_INIT_STARTUP"] = "true"
			p := w.start()
			w.lambda.WaitNext(1)
			w.lambda.Invoke(time.Now().Add(3 * time.Second))
			w.lambda.WaitNext(2)
			if got := p.stdout.String(); got != "" {
				t.Errorf("in its first minute it wrote\n%s", got)
			}
			w.lambda.Shutdown("spindown", time.Now().Add(2*time.Second))
			if code := p.wait(); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			var want []measured
			if tt.want {
				want = []measured{
					{FunctionName: "Checkout", CacheType: "dynamodb", Fetches: 1, Entries: 1},
					{FunctionName: "Checkout", CacheType: "parameters", Fetches: 2, Entries: 2},
					{FunctionName: "Checkout", CacheType: "secrets", Fetches: 1, Entries: 1},
				}
			}
			if got := measuredLines(t, p.stdout.String()); !slices.Equal(got, want) {
				t.Errorf("at SHUTDOWN it wrote %+v, want %+v", got, want)
			}
		})
	}
}

func TestMetricsTellOfAStartThatFailed(t *testing.T) {
	w := newWorld(t, "metrics: true\nsecrets:\n  - name: gone\n    required: true\n")
	p := w.start()
	w.lambda.WaitInitError()
	p.wait()
	if got := measuredLines(t, p.stdout.String()); len(got) != 1 || got[0].Fetches != 1 || got[0].Entries != 0 {
		t.Errorf("metrics of a start without a required secret = %+v, want one fetch and no entry", got)
	}
}

func TestServeWritesNoMetrics(t *testing.T) {
	w := newWorld(t, "metrics: true\n"+sample)
	w.seedSample()
	delete(w.env, "AWS_LAMBDA_RUNTIME_API")
	p := w.start("serve", w.file)
	p.get("/secrets?name=secret_info").want(t, "in a terminal", 200, "MySecret")
	p.stop()
	p.wait()
	if got := p.stdout.String(); got != "" {
		t.Errorf("serve wrote to standard output\n%s", got)
	}
}

// newMeasured returns a host with one secret that writes metrics to out. It is for use inside a synctest bubble, and has
// no server and no Lambda.
func newMeasured(t *testing.T, out io.Writer) *host {
	t.Helper()
	aws := awstest.New(t)
	aws.PutSecret("eu-west-1", "s", awstest.Secret{Text: "v"})
	cfg, err := config.Parse("config.yaml", []byte("ttl: 1h\nsecrets: [{name: s}]\n"), config.Options{Env: []string{
		"AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=not-for-logs",
	}})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	set := caches.New(cfg, caches.Options{Log: log, Source: source.Options{HTTPClient: aws}})
	return &host{service: &service{
		Set: set, cfg: cfg, log: log, metrics: metrics.New(out, "Checkout", set.ByKind()),
	}}
}

func (h *host) readSecret(t *testing.T) {
	t.Helper()
	if _, err := h.ByKind()["secrets"].Get(t.Context(), "s", false); err != nil {
		t.Fatal(err)
	}
}

func TestMetricsAreWrittenOnceAMinuteAtInvoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newLines()
		h := newMeasured(t, out)
		for range 7 {
			h.readSecret(t)
			h.invoke(t.Context(), lambda.NextEvent{Type: lambda.Invoke, Deadline: time.Now().Add(time.Minute)})
			time.Sleep(25 * time.Second)
		}
		got := measuredLines(t, out.String())
		if len(got) != 2 || got[0].Hits != 3 || got[0].Misses != 1 || got[1].Hits != 3 || got[1].Misses != 0 {
			t.Errorf("invoked every 25 s for 150 s, it wrote %+v; want 1 miss and 3 hits, then 3 hits", got)
		}
	})
}

func TestMetricsAreWrittenEachMinuteOnManagedInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newLines()
		h := newMeasured(t, out)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			h.measure(ctx)
		}()
		for _, reads := range []int{2, 0, 3} {
			for range reads {
				h.readSecret(t)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		cancel()
		<-ended
		got := measuredLines(t, out.String())
		if len(got) != 2 || got[0].Hits != 1 || got[0].Misses != 1 || got[1].Hits != 3 {
			t.Errorf("read twice, not at all and three times in three minutes, it wrote %+v; want two lines", got)
		}
	})
}

func TestManagedInstancesAreMeasured(t *testing.T) {
	w := newWorld(t, "metrics: true\n"+sample)
	w.env["AWS_LAMBDA_INITIALIZATION_TYPE"] = early.ManagedInstances
	w.start()
	w.lambda.WaitNext(1)
	// A minute is too long to wait for what it writes; that it runs shows sooner.
	stacks := make([]byte, 1<<20)
	for begin := time.Now(); time.Since(begin) < patience; runtime.Gosched() {
		if n := runtime.Stack(stacks, true); strings.Contains(string(stacks[:n]), "(*host).measure(") {
			return
		}
	}
	t.Error("nothing measures on a managed instance")
}

func TestMetricsThatCannotBeWrittenAreLogged(t *testing.T) {
	log := newLines()
	s := &service{log: slog.New(slog.NewTextHandler(log, nil))}
	s.note(io.ErrClosedPipe)
	s.note(nil)
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, io.ErrClosedPipe.Error()) {
		t.Errorf("note logged %q, want one line with the error", got)
	}
}
