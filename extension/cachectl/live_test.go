package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source"
	"cache-extension/extension/internal/source/awstest"
)

func TestReadLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.Latency(50 * time.Millisecond)
		text := "secrets:\n"
		for i := range 20 {
			name := fmt.Sprintf("s%d", i)
			fake.PutSecret(region, name, awstest.Secret{Text: value})
			text += "  - name: " + name + "\n"
		}
		text += "  - {name: s0, as: again}\n" // one key of the cache, and one read
		cfg, err := config.Parse("config.yaml", []byte(text), config.Options{
			Env: []string{"AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=not-a-secret"},
		})
		if err != nil {
			t.Fatal(err)
		}
		all := names(cfg)
		start := time.Now()
		if faults := readLive(t.Context(), cfg, source.Options{HTTPClient: fake}, all); len(faults) > 0 {
			t.Errorf("readLive = %v, want no faults", faults)
		}
		if took := time.Since(start); took != 150*time.Millisecond {
			t.Errorf("20 reads of 50ms took %v, want three rounds of 8", took)
		}
		if got := fake.Count("GetSecretValue"); got != 20 {
			t.Errorf("%d reads, want 20", got)
		}
		if got := fake.MaxParallel(); got != maxReads {
			t.Errorf("%d reads at a time, want %d", got, maxReads)
		}
		want := reading{Result: "found", Bytes: len(value), Milliseconds: 50}
		for _, n := range all {
			if got := *n.Live; got.cells() != want.cells() {
				t.Errorf("%s: %+v, want %+v", n.Name, got, want)
			}
		}
	})
}

func TestLacking(t *testing.T) {
	tests := []struct {
		name, operation, text string
		want                  []string
	}{
		{"what the operation takes", "GetSecretValue", "AccessDeniedException", []string{"secretsmanager:GetSecretValue"}},
		{"either of two", "BatchGetItem", "User: x is not authorized to perform: dynamodb:GetItem on resource: y", []string{"dynamodb:GetItem", "dynamodb:BatchGetItem"}},
		{"another service's", "GetParameter", "User: x is not authorized to perform: secretsmanager:GetSecretValue on resource: y", []string{"secretsmanager:GetSecretValue"}},
		{"that of a key", "GetSecretValue", "User: x is not authorized to perform: kms:Decrypt on resource: y", []string{"kms:Decrypt"}},
		{"that of a key, in a service's own words", "GetParameters", "Access to KMS is not allowed", []string{"kms:Decrypt"}},
		{"a path", "GetParametersByPath", "AccessDeniedException", []string{"ssm:GetParametersByPath"}},
	}
	for _, tt := range tests {
		if got := lacking(tt.operation, tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("%s: lacking(%q, %q) = %q, want %q", tt.name, tt.operation, tt.text, got, tt.want)
		}
	}
}

func TestCheckIsInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // until then, the server does not see that the client is gone
		interrupt()
		<-r.Context().Done()
	}))
	defer fake.Close()
	var stdout, stderr bytes.Buffer
	environ := []string{"AWS_ENDPOINT_URL=" + fake.URL, "AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=not-a-secret"}
	t.Setenv("AWS_PROFILE", "") // the SDK reads it from the process
	code := run(ctx, []string{"check", "--live", "../../config.yaml"}, environ, &stdout, &stderr)
	if code != exitFault || stdout.Len() > 0 || stderr.String() != "cachectl: interrupted\n" {
		t.Errorf("check --live, interrupted, = %d, %q, %q, want %d and no table", code, &stdout, &stderr, exitFault)
	}
}

// What cannot be written is no success.
func TestCheckIntoFullDisk(t *testing.T) {
	for _, args := range []string{"check ../../config.yaml", "check --json ../../config.yaml", "policy --sam ../../config.yaml", "schema", "version", "--help", "check --help", "help", "help check"} {
		var stderr bytes.Buffer
		environ := []string{"AWS_REGION=" + region}
		if code := run(t.Context(), strings.Fields(args), environ, full{}, &stderr); code != exitFault || stderr.String() != "cachectl: disk full\n" {
			t.Errorf("%s into a full disk = %d, %q, want %d and why", args, code, &stderr, exitFault)
		}
	}
}

// full is a writer that has no room left.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, fmt.Errorf("disk full") }
