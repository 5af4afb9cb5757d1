package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/server"
	"cache-extension/extension/internal/source"
	"cache-extension/extension/internal/source/awstest"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func TestServeTriesAgainWhatIsRequired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.PutSecret(region, "db", awstest.Secret{Text: "x"})
		fake.PutSecret(region, "must", awstest.Secret{Text: "x"})
		fake.Fail(awstest.Match{Name: "must"}, awstest.Fault{Code: "AccessDeniedException"})
		folder := &laptop{t: t, dir: t.TempDir()}
		folder.write("config.yaml", "secrets:\n  - name: db\n")

		var stdout, stderr strings.Builder
		keys := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "not-for-logs"}, nil
		})
		s := &serving{
			app:   &app{stdout: &stdout, stderr: &stderr},
			flags: serveFlags{file: folder.path("config.yaml")},
			env:   []string{"AWS_REGION=" + region},
			aws:   source.Options{HTTPClient: fake, Credentials: keys},
			log:   slog.New(slog.DiscardHandler),
		}
		first, err := s.load()
		if err != nil {
			t.Fatal(err)
		}
		s.now.Store(first)
		s.server = server.New(server.Options{Caches: first.caches.ByKind(), Log: s.log})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		files := s.follow()
		go func() { done <- s.untilDone(ctx, files, nil) }()

		folder.write("config.yaml", "secrets:\n  - name: db\n  - name: must\n    required: true\n")
		time.Sleep(3 * retryAfter)
		synctest.Wait()
		if got := strings.Count(stderr.String(), `"must" is required`); got != 1 || stdout.Len() > 0 {
			t.Errorf("the fault was told %d times, want once, and no reload:\n%s%s", got, stderr.String(), stdout.String())
		}
		folder.write("config.yaml", "ttl: 1m\nsecrets:\n  - name: db\n  - name: must\n    required: true\n")
		time.Sleep(retryAfter)
		synctest.Wait()
		if got := strings.Count(stderr.String(), `"must" is required`); got != 2 {
			t.Errorf("after another change the fault was told %d times, want twice:\n%s", got, stderr.String())
		}
		fake.Clear()
		time.Sleep(2 * retryAfter)
		synctest.Wait()
		if got := stdout.String(); !strings.Contains(got, "Mended and reloaded: 2 names.\n") {
			t.Errorf("after AWS allowed it: %q, want a reload", got)
		}
		calls := fake.Count("")
		time.Sleep(10 * retryAfter)
		synctest.Wait()
		if got := fake.Count(""); got != calls {
			t.Errorf("%d further calls after what was required had come, want none", got-calls)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestOfflineLeadsNowhere(t *testing.T) {
	s := &serving{app: &app{stdout: io.Discard, stderr: io.Discard}, flags: serveFlags{offline: true}}
	if err := s.reach(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.aws.HTTPClient.Do(nil); err == nil {
		t.Error("a request was made")
	}
	if _, err := s.aws.Credentials.Retrieve(t.Context()); err == nil {
		t.Error("there were credentials")
	}
}
