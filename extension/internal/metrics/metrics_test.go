package metrics_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/caches"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/metrics"
	"cache-extension/extension/internal/source"
	"cache-extension/extension/internal/source/awstest"
)

const region = "eu-west-1"

// newCaches returns the caches of a config.yaml in front of AWS. It is for use inside a synctest bubble.
func newCaches(t *testing.T, aws *awstest.Fake, text string) *caches.Set {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(text), config.Options{Env: []string{
		"AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=not-for-metrics",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return caches.New(cfg, caches.Options{Log: slog.New(slog.DiscardHandler), Source: source.Options{HTTPClient: aws}})
}

// read reads a name of a cachetype, whatever comes of it.
func read(t *testing.T, s *caches.Set, cachetype, name string) {
	t.Helper()
	s.ByKind()[cachetype].Get(t.Context(), name, false)
}

// written is a line as a reader of the log sees it.
type written struct {
	FunctionName, CacheType string

	Hits, Stale, Misses, Errors, Entries, Bytes int

	Collapsed, Fetches                                                          int
	ErrorsMissing, ErrorsDenied, ErrorsThrottled, ErrorsTimeout, ErrorsUpstream int
}

// take returns the lines in out and empties it.
func take(t *testing.T, out *bytes.Buffer) []written {
	t.Helper()
	var all []written
	for line := range strings.Lines(out.String()) {
		checkFormat(t, line)
		var w written
		if err := json.Unmarshal([]byte(line), &w); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, w)
	}
	out.Reset()
	return all
}

// check flushes w and compares what that writes.
func check(t *testing.T, w *metrics.Writer, out *bytes.Buffer, after string, want ...written) {
	t.Helper()
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	got := take(t, out)
	if len(got) != len(want) {
		t.Fatalf("after %s: %d lines %+v, want %d", after, len(got), got, len(want))
	}
	for i := range want {
		want[i].FunctionName = "Checkout"
		if got[i] != want[i] {
			t.Errorf("after %s:\n got %+v\nwant %+v", after, got[i], want[i])
		}
	}
}

func TestLinesTellWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		aws := awstest.New(t)
		aws.PutSecret(region, "s", awstest.Secret{Text: "12345678"})
		aws.PutParameter(region, "p", awstest.Parameter{Value: "123", Type: "String"})
		set := newCaches(t, aws, "ttl: 1m\nnegative_ttl: 0s\nsecrets: [{names: [s, gone]}]\nparameters: [{name: p}]\n")
		var out bytes.Buffer
		w := metrics.New(&out, "Checkout", set.ByKind())
		check(t, w, &out, "nothing")

		read(t, set, "secrets", "s")
		read(t, set, "secrets", "s")
		read(t, set, "secrets", "s")
		check(t, w, &out, "a first read and two hits",
			written{CacheType: "secrets", Hits: 2, Misses: 1, Fetches: 1, Entries: 1, Bytes: 8})
		check(t, w, &out, "nothing more")

		read(t, set, "secrets", "s")
		read(t, set, "secrets", "gone")
		read(t, set, "parameters", "p")
		check(t, w, &out, "reads of two kinds",
			written{CacheType: "parameters", Misses: 1, Fetches: 1, Entries: 1, Bytes: 3},
			written{CacheType: "secrets", Hits: 1, Misses: 1, Errors: 1, ErrorsMissing: 1, Fetches: 1, Entries: 1, Bytes: 8})

		time.Sleep(2 * time.Minute)
		aws.Fail(awstest.Match{Op: "GetSecretValue", Name: "s"}, awstest.Fault{Status: 500, Code: "InternalServiceError"})
		aws.Fail(awstest.Match{Op: "GetParameter"}, awstest.Fault{Code: "AccessDeniedException"})
		aws.Fail(awstest.Match{Op: "GetParameters"}, awstest.Fault{Code: "AccessDeniedException"})
		read(t, set, "secrets", "s")
		read(t, set, "parameters", "p")
		check(t, w, &out, "AWS failing",
			written{CacheType: "parameters", Misses: 1, Errors: 1, ErrorsDenied: 1, Fetches: 1},
			written{CacheType: "secrets", Stale: 1, Misses: 1, Errors: 1, ErrorsUpstream: 1, Fetches: 1, Entries: 1, Bytes: 8})
	})
}

func TestTickWritesOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		aws := awstest.New(t)
		aws.PutSecret(region, "s", awstest.Secret{Text: "v"})
		set := newCaches(t, aws, "secrets: [{name: s}]\n")
		var out bytes.Buffer
		w := metrics.New(&out, "Checkout", set.ByKind())
		for _, tt := range []struct {
			name  string
			pause time.Duration
			want  int
		}{
			{"at once", 0, 0},
			{"within the first minute", 59 * time.Second, 0},
			{"after it", time.Second, 1},
			{"at once again", 0, 0},
			{"within the next", 59 * time.Second, 0},
			{"after a long pause", time.Hour, 1},
			{"and no sooner for it", 59 * time.Second, 0},
		} {
			time.Sleep(tt.pause)
			read(t, set, "secrets", "s")
			if err := w.Tick(); err != nil {
				t.Fatal(err)
			}
			if got := take(t, &out); len(got) != tt.want {
				t.Errorf("%s: Tick wrote %d lines, want %d", tt.name, len(got), tt.want)
			}
		}
	})
}

// broken fails as often as it says, then writes.
type broken struct {
	times int
	bytes.Buffer
}

func (b *broken) Write(p []byte) (int, error) {
	if b.times > 0 {
		b.times--
		return 0, io.ErrClosedPipe
	}
	return b.Buffer.Write(p)
}

func TestWhatCouldNotBeWrittenIsInTheNextLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		aws := awstest.New(t)
		aws.PutSecret(region, "s", awstest.Secret{Text: "v"})
		set := newCaches(t, aws, "secrets: [{name: s}]\n")
		out := &broken{times: 1}
		w := metrics.New(out, "Checkout", set.ByKind())
		read(t, set, "secrets", "s")
		if err := w.Flush(); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Flush to a closed pipe = %v, want %v", err, io.ErrClosedPipe)
		}
		read(t, set, "secrets", "s")
		check(t, w, &out.Buffer, "a failed write", written{CacheType: "secrets", Hits: 1, Misses: 1, Fetches: 1, Entries: 1, Bytes: 1})
	})
}

func TestNilWriterWritesNothing(t *testing.T) {
	var w *metrics.Writer
	if err := errors.Join(w.Tick(), w.Flush()); err != nil {
		t.Errorf("a nil Writer = %v, want no error", err)
	}
}
