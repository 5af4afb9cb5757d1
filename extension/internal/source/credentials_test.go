package source

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source/awstest"
)

// roundTrip is an aws.HTTPClient made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) Do(r *http.Request) (*http.Response, error) { return f(r) }

// container answers requests for credentials, and leaves the others to fake.
func container(fake *awstest.Fake, answer roundTrip) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "169.254.170.23" {
			return answer(r)
		}
		return fake.Do(r)
	}
}

func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

func containerConfig() *config.Config {
	cfg := testConfig()
	cfg.AWS.AccessKeyID, cfg.AWS.SecretAccessKey, cfg.AWS.SessionToken = "", "", ""
	cfg.AWS.ContainerURI = "http://169.254.170.23/v1/credentials"
	cfg.Secrets = []config.Secret{secret1("a")}
	cfg.Secrets[0].Region, cfg.Secrets[0].Line = here, 1
	return cfg
}

func TestContainerCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.PutSecret(here, "a", awstest.Secret{Text: "x"})
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte("first\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := containerConfig()
		cfg.AWS.ContainerToken, cfg.AWS.ContainerTokenFile = "not this one", file
		var tokens []string
		clients := NewClients(cfg, Options{HTTPClient: container(fake, func(r *http.Request) (*http.Response, error) {
			tokens = append(tokens, r.Header.Get("Authorization"))
			expires := time.Now().Add(time.Hour).Format(time.RFC3339)
			return reply(200, `{"AccessKeyId": "AKIDCONTAINER", "SecretAccessKey": "s", "Token": "t", "Expiration": "`+expires+`"}`), nil
		})})
		if tokens != nil {
			t.Error("credentials were asked for before a call needed them")
		}
		s := NewSecrets(cfg, clients)
		bodies(t, s, "a")
		bodies(t, s, "a")
		if err := os.WriteFile(file, []byte("second"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - expiryWindow + time.Second)
		bodies(t, s, "a")
		equal(t, "tokens", tokens, []string{"first", "second"})
	})
}

func TestContainerToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		fake.PutSecret(here, "a", awstest.Secret{Text: "x"})
		cfg := containerConfig()
		cfg.AWS.ContainerToken = "token"
		attempts := 0
		clients := NewClients(cfg, Options{HTTPClient: container(fake, func(r *http.Request) (*http.Response, error) {
			equal(t, "Authorization", r.Header.Get("Authorization"), "token")
			equal(t, "Accept", r.Header.Get("Accept"), "application/json")
			if attempts++; attempts == 1 {
				return reply(503, `{"code": "Busy", "message": "hush"}`), nil
			}
			return reply(200, `{"AccessKeyId": "AKIDCONTAINER", "SecretAccessKey": "s", "Token": "t"}`), nil
		})})
		bodies(t, NewSecrets(cfg, clients), "a")
		equal(t, "attempts", attempts, 2)
	})
}

func TestNoCredentials(t *testing.T) {
	tests := []struct {
		name   string
		answer roundTrip
		change func(*config.AWS)
		want   string // of the error, or a class
		class  error
	}{
		{"none at all", nil, func(c *config.AWS) { c.ContainerURI = "" },
			"no AWS credentials: neither AWS_ACCESS_KEY_ID nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set", nil},
		{"denied by the container, which is not AWS's denial", func(*http.Request) (*http.Response, error) {
			return reply(403, `{"code": "AccessDeniedException", "message": "hush"}`), nil
		}, nil, "the container credentials endpoint answered with HTTP 403", nil},
		{"not JSON", func(*http.Request) (*http.Response, error) { return reply(200, `hush`), nil }, nil,
			"what the container credentials endpoint answered is not credentials", nil},
		{"no secret key", func(*http.Request) (*http.Response, error) { return reply(200, `{"AccessKeyId": "hush"}`), nil }, nil,
			"what the container credentials endpoint answered is not credentials", nil},
		{"refused", func(*http.Request) (*http.Response, error) { return nil, awstest.ErrRefused }, nil,
			"the container credentials endpoint could not be read: dial tcp: connect: connection refused", nil},
		{"no token file", nil, func(c *config.AWS) { c.ContainerTokenFile = "/none/token" },
			"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: open /none/token: no such file or directory", nil},
		{"silence", func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }, nil,
			"no AWS credentials in time: AWS was not asked", cache.ErrTimeout},
		{"a panic", func(*http.Request) (*http.Response, error) { panic("hush") }, nil, "panic of type string", nil},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			cfg := containerConfig()
			if tt.change != nil {
				tt.change(&cfg.AWS)
			}
			clients := NewClients(cfg, Options{HTTPClient: container(awstest.New(t), tt.answer)})
			err := fetch(t, t.Context(), NewSecrets(cfg, clients), "a")["a"].err
			wantClass(t, tt.name, err, tt.class)
			if err == nil || err.Error() != tt.want {
				t.Errorf("%s: error = %v, want %s", tt.name, err, tt.want)
			}
			var panicked *cache.PanicError
			if errors.As(err, &panicked) != (tt.name == "a panic") {
				t.Errorf("%s: error = %v", tt.name, err)
			}
		})
	}
}

func TestContainerEndpointNeedsNoProxy(t *testing.T) {
	var asked atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(true)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"AccessKeyId": "AKIDCONTAINER", "SecretAccessKey": "s", "Token": "t"}`)
	}))
	defer server.Close()
	cfg := containerConfig()
	cfg.AWS.ContainerURI = server.URL
	clients := NewClients(cfg, Options{})
	creds, err := clients.credentials.Retrieve(t.Context())
	if err != nil || creds.AccessKeyID != "AKIDCONTAINER" || !asked.Load() {
		t.Errorf("Retrieve = %q, %v", creds.AccessKeyID, err)
	}
	base := newTransport(nil, cfg.Timeout)
	if base.Proxy == nil || withoutProxy(base).Proxy != nil {
		t.Error("want a proxy for AWS's endpoints alone")
	}
}

func TestCLICredentials(t *testing.T) {
	const hint = "no AWS credentials: "
	tests := []struct{ name, script, want string }{
		{"signed in", `[ "$*" = "configure export-credentials --format process" ] || exit 9
			echo '{"Version": 1, "AccessKeyId": "AKIDCLI", "SecretAccessKey": "s", "SessionToken": "t"}'`, ""},
		{"signed out", "exit 255", hint + "`aws configure export-credentials` ended with exit status 255; what it wrote says why"},
		{"something else", "echo hush", hint + "what `aws configure export-credentials` printed is not credentials"},
		{"another version", `echo '{"Version": 2, "AccessKeyId": "AKIDCLI", "SecretAccessKey": "hush"}'`,
			hint + "what `aws configure export-credentials` printed is not credentials"},
		{"no secret key", `echo '{"Version": 1, "AccessKeyId": "AKIDCLI"}'`, hint + "what `aws configure export-credentials` printed is not credentials"},
		{"not installed", "", hint + "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or install the AWS CLI (version 2) " +
			"and sign in with it, for its profiles are read through it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.script != "" {
				if err := os.WriteFile(filepath.Join(dir, "aws"), []byte("#!/bin/sh\n"+tt.script+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", dir)
			cfg := containerConfig()
			cfg.AWS.ContainerURI = ""
			clients := NewClients(cfg, Options{HTTPClient: awstest.New(t), Local: true})
			creds, err := clients.credentials.Retrieve(context.Background())
			if tt.want == "" {
				if err != nil || creds.AccessKeyID != "AKIDCLI" {
					t.Errorf("Retrieve = %q, %v", creds.AccessKeyID, err)
				}
				return
			}
			if err == nil || classify(err).Error() != tt.want {
				t.Errorf("Retrieve error = %v, want %s", err, tt.want)
			}
		})
	}
}
