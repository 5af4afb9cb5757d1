package source

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source/awstest"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

func TestClassesOfFailure(t *testing.T) {
	const said = ": " + awstest.Message
	tests := []struct {
		name     string
		input    awstest.Fault
		want     error
		attempts int
		text     string
	}{
		{"missing parameter", awstest.Fault{Code: "ParameterNotFound"}, cache.ErrMissing, 1, "ParameterNotFound (HTTP 400, request ID)" + said},
		{"missing version", awstest.Fault{Code: "ParameterVersionNotFound"}, cache.ErrMissing, 1, "ParameterVersionNotFound (HTTP 400, request ID)" + said},
		{"missing resource", awstest.Fault{Code: "ResourceNotFoundException"}, cache.ErrMissing, 1, "ResourceNotFoundException (HTTP 400, request ID)" + said},
		{"deleted", awstest.Fault{Code: "InvalidRequestException", Message: "It was marked for deletion."}, cache.ErrMissing, 1,
			"InvalidRequestException (HTTP 400, request ID): It was marked for deletion."},
		{"the text of one and the code of another", awstest.Fault{Code: "ValidationException", Message: "It was marked for deletion."}, nil, 1,
			"ValidationException (HTTP 400, request ID): It was marked for deletion."},
		{"invalid", awstest.Fault{Code: "InvalidRequestException"}, nil, 1, "InvalidRequestException (HTTP 400, request ID)" + said},
		{"denied", awstest.Fault{Code: "AccessDeniedException"}, cache.ErrDenied, 1, "AccessDeniedException (HTTP 400, request ID)" + said},
		{"denied by KMS", awstest.Fault{Code: "AccessDenied", Status: 403}, cache.ErrDenied, 1, "AccessDenied (HTTP 403, request ID)" + said},
		{"a status is no class", awstest.Fault{Code: "Odd", Status: 403}, nil, 1, "Odd (HTTP 403, request ID)" + said},
		{"not found by a proxy", awstest.Fault{Status: 404}, nil, 1, "AWS's answer could not be read (HTTP 404)"},
		{"throttled by a proxy", awstest.Fault{Status: 429}, nil, 1, "AWS's answer could not be read (HTTP 429)"},
		{"expired", awstest.Fault{Code: "ExpiredTokenException"}, nil, 1, "ExpiredTokenException (HTTP 400, request ID)"},
		{"unknown caller", awstest.Fault{Code: "UnrecognizedClientException"}, nil, 1, "UnrecognizedClientException (HTTP 400, request ID)"},
		{"bad signature", awstest.Fault{Code: "InvalidSignatureException"}, nil, 1, "InvalidSignatureException (HTTP 400, request ID)"},
		{"not decrypted", awstest.Fault{Code: "DecryptionFailure"}, nil, 1, "DecryptionFailure (HTTP 400, request ID)" + said},
		{"no such key", awstest.Fault{Code: "InvalidKeyId"}, nil, 1, "InvalidKeyId (HTTP 400, request ID)" + said},
		{"validation", awstest.Fault{Code: "ValidationException"}, nil, 1, "ValidationException (HTTP 400, request ID)" + said},
		{"server error", awstest.Fault{Code: "InternalServiceError", Status: 500}, nil, 3, "InternalServiceError (HTTP 500, request ID)" + said},
		{"unavailable", awstest.Fault{Status: 503}, nil, 3, "AWS's answer could not be read (HTTP 503)"},
		{"refused", awstest.Fault{Err: awstest.ErrRefused}, nil, 3, "no connection to AWS: dial tcp: connect: connection refused"},
		{"no such host", awstest.Fault{Err: &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "aws", IsNotFound: true}}}, nil, 1,
			"no connection to AWS: dial tcp: lookup aws: no such host"},
		{"a connection that quotes what came", awstest.Fault{Err: errors.New("malformed HTTP response \"hush\"")}, nil, 3, "no connection to AWS: broken"},
		{"a proxy that cannot be", awstest.Fault{Err: errProxy}, nil, 3,
			"no connection to AWS: the proxy address in HTTPS_PROXY or HTTP_PROXY could not be read"},
		{"dropped", awstest.Fault{Drop: true}, nil, 3, "AWS's answer could not be read (HTTP 200, request ID)"},
		{"truncated", awstest.Fault{Truncate: true}, nil, 3, "AWS's answer could not be read (HTTP 200, request ID)"},
		{"a web page", awstest.Fault{NotJSON: true}, nil, 1, "AWS's answer could not be read (HTTP 200)"},
		{"silence", awstest.Fault{Hang: true}, cache.ErrTimeout, 1, "no answer from AWS in time"},
	}
	for code := range retry.DefaultThrottleErrorCodes {
		tests = append(tests, struct {
			name     string
			input    awstest.Fault
			want     error
			attempts int
			text     string
		}{code, awstest.Fault{Code: code}, cache.ErrThrottled, 3, code + " (HTTP 400, request ID)" + said})
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			fake := awstest.New(t)
			fake.PutSecret(here, "hush", awstest.Secret{Text: "hush hush"})
			fake.Fail(awstest.Match{}, tt.input)
			start := time.Now()
			err := fetch(t, t.Context(), secrets(t, fake, secret1("hush")), "hush")["hush"].err
			wantClass(t, tt.name, err, tt.want)
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("%s: took %v, want the timeout of 2s at most", tt.name, took)
			}
			if got := fake.Count(""); got != tt.attempts {
				t.Errorf("%s: %d attempts, want %d", tt.name, got, tt.attempts)
			}
			if err == nil {
				return
			}
			text := err.Error()
			if _, id, ok := strings.Cut(text, "request "); ok && strings.Contains(text, "(HTTP") {
				id, _, _ = strings.Cut(id, ")")
				text = strings.Replace(text, id, "ID", 1)
			}
			if want := tt.text; text != want {
				t.Errorf("%s: error %q, want %q", tt.name, text, want)
			}
			if strings.Contains(text, "hush") {
				t.Errorf("%s: error %q has the value", tt.name, text)
			}
		})
	}
}

func TestLastErrorWinsOverDeadline(t *testing.T) {
	tests := []struct {
		name   string
		faults []awstest.Fault // of the attempts; the last one's from then on
		want   error
	}{
		{"throttled until the end", []awstest.Fault{{Code: "ThrottlingException", Delay: 900 * time.Millisecond}}, cache.ErrThrottled},
		{"throttled, then silence", []awstest.Fault{{Code: "ThrottlingException"}, {Hang: true}}, cache.ErrThrottled},
		{"refused, then silence", []awstest.Fault{{Err: awstest.ErrRefused}, {Hang: true}}, nil},
		{"refused, throttled, then silence", []awstest.Fault{{Err: awstest.ErrRefused}, {Code: "SlowDown"}, {Hang: true}}, cache.ErrThrottled},
		{"silence", []awstest.Fault{{Hang: true}}, cache.ErrTimeout},
		{"an answer too late", []awstest.Fault{{Code: "ThrottlingException", Delay: 3 * time.Second}}, cache.ErrTimeout},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			fake := awstest.New(t)
			for i, f := range tt.faults {
				m := awstest.Match{Times: 1}
				if i == len(tt.faults)-1 {
					m.Times = 0
				}
				fake.Fail(m, f)
			}
			start := time.Now()
			err := fetch(t, t.Context(), secrets(t, fake, secret1("a")), "a")["a"].err
			wantClass(t, tt.name, err, tt.want)
			equal(t, tt.name+": time taken", time.Since(start), 2*time.Second)
		})
	}
}

func TestMaxAttempts(t *testing.T) {
	for _, attempts := range []int{1, 2, 7} {
		synctest.Test(t, func(t *testing.T) {
			fake := awstest.New(t)
			fake.Fail(awstest.Match{}, awstest.Fault{Status: 500})
			cfg := testConfig()
			cfg.AWS.MaxAttempts = attempts
			cfg.Secrets = []config.Secret{secret1("a")}
			cfg.Secrets[0].Region = here
			start := time.Now()
			fetch(t, t.Context(), NewSecrets(cfg, testClients(t, cfg, fake)), "a")
			wantCalls(t, fake, map[string]int{"GetSecretValue": attempts})
			if took, most := time.Since(start), time.Duration(attempts-1)*maxBackoff; took > most {
				t.Errorf("%d attempts took %v, want pauses of %v at most", attempts, took, maxBackoff)
			}
		})
	}
}

func TestEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := awstest.New(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s := secrets(t, fake, secret1("a"), secret1("b"))
		for name, o := range fetch(t, ctx, s, "a", "b") {
			wantClass(t, name, o.err, cache.ErrTimeout)
		}
		wantCalls(t, fake, map[string]int{})

		fake.Fail(awstest.Match{}, awstest.Fault{Hang: true})
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		wantClass(t, "a, given up on", fetch(t, ctx, s, "a")["a"].err, cache.ErrTimeout)
		equal(t, "time until then", time.Since(start), time.Second)
	})
}

func TestNoRequestPossible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.AWS.FIPS, cfg.AWS.EndpointSecretsManager = true, "http://localhost:1"
		cfg.Secrets = []config.Secret{secret1("a")}
		cfg.Secrets[0].Region = here
		err := fetch(t, t.Context(), NewSecrets(cfg, testClients(t, cfg, awstest.New(t))), "a")["a"].err
		wantClass(t, "FIPS and an endpoint", err, nil)
		if !strings.Contains(err.Error(), "FIPS and custom endpoint are not supported") {
			t.Errorf("error = %q, want the reason", err)
		}
	})
}

func TestAnswersThatAreNone(t *testing.T) {
	path := config.Parameter{Entry: config.Entry{Name: "/app"}, Path: "/app"}
	tests := []struct {
		name, input string
		source      func(*testing.T) cache.Source
	}{
		{"a parameter without a value", `{"Parameter": {"Name": "a"}}`, func(t *testing.T) cache.Source { return parameters(t, nil, parameter1("a")) }},
		{"no parameter", `{}`, func(t *testing.T) cache.Source { return parameters(t, nil, parameter1("a")) }},
		{"parameters without a value", `{"Parameters": [{"Name": "a"}]}`, func(t *testing.T) cache.Source { return parameters(t, nil, parameter1("a"), parameter1("b")) }},
		{"a parameter of another path", `{"Parameters": [{"Name": "/apple", "Value": "x"}]}`, func(t *testing.T) cache.Source { return parameters(t, nil, path) }},
		{"no secret", `{}`, func(t *testing.T) cache.Source { return secrets(t, nil, secret1("a")) }},
		{"an attribute without a type", `{"Item": {"a": {}}}`, func(t *testing.T) cache.Source { return items(t, nil, item1("a")) }},
		{"items of another table", `{"Item": {"a": {}}, "Responses": {"other": [{"x": {"S": "y"}}]}}`,
			func(t *testing.T) cache.Source { return items(t, nil, item1("a"), item1("b")) }},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			s := tt.source(t)
			answer := roundTrip(func(*http.Request) (*http.Response, error) { return reply(200, tt.input), nil })
			switch s := s.(type) {
			case *Parameters:
				s.clients.http = answer
			case *Secrets:
				s.clients.http = answer
			case *Items:
				s.clients.http = answer
			}
			var names []string
			for _, k := range s.Keys() {
				names = append(names, k.Name)
			}
			for name, o := range fetch(t, t.Context(), s, names...) {
				wantClass(t, tt.name+": "+name, o.err, nil)
			}
		})
	}
}

func TestBatchOfOneThatMatchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := items(t, nil, item1("a"))
		s.clients.http = roundTrip(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetItem") {
				return reply(400, `{"__type": "AccessDeniedException"}`), nil
			}
			return reply(200, `{"Responses": {"table": [{"id": {"S": "b"}}]}}`), nil
		})
		err := fetch(t, t.Context(), s, "a")["a"].err
		wantClass(t, "a", err, nil)
		if want := "AWS's answer is not about what was asked"; err == nil || err.Error() != want {
			t.Errorf("error = %v, want %s", err, want)
		}
	})
}

func TestEndpoints(t *testing.T) {
	tests := []struct {
		name  string
		input config.AWS
		want  []string // of parameters, secrets, dynamodb
	}{
		{"AWS's own", config.AWS{}, []string{"ssm.eu-west-1.amazonaws.com", "secretsmanager.eu-west-1.amazonaws.com", "dynamodb.eu-west-1.amazonaws.com"}},
		{"FIPS", config.AWS{FIPS: true},
			[]string{"ssm-fips.eu-west-1.amazonaws.com", "secretsmanager-fips.eu-west-1.amazonaws.com", "dynamodb-fips.eu-west-1.amazonaws.com"}},
		// The plain name of Secrets Manager has addresses of both kinds.
		{"dual stack", config.AWS{DualStack: true},
			[]string{"ssm.eu-west-1.api.aws", "secretsmanager.eu-west-1.amazonaws.com", "dynamodb.eu-west-1.api.aws"}},
		{"of the services", config.AWS{EndpointSSM: "http://localhost:1", EndpointSecretsManager: "http://localhost:2", EndpointDynamoDB: "http://localhost:3"},
			[]string{"localhost:1", "localhost:2", "localhost:3"}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			fake := awstest.New(t)
			cfg := testConfig()
			tt.input.AccessKeyID, tt.input.SecretAccessKey, tt.input.MaxAttempts = "AKIDEXAMPLE", "not-a-secret", 1
			cfg.AWS = tt.input
			e := config.Entry{Name: "a", Region: here}
			cfg.Parameters = []config.Parameter{{Entry: e, ID: "a"}}
			cfg.Secrets = []config.Secret{{Entry: e, ID: "a"}}
			cfg.Items = []config.Item{{Entry: e, Table: "table", Hash: text("id", "a")}}
			clients := testClients(t, cfg, fake)
			for _, s := range []cache.Source{NewParameters(cfg, clients), NewSecrets(cfg, clients), NewItems(cfg, clients)} {
				wantClass(t, tt.name, fetch(t, t.Context(), s, "a")["a"].err, cache.ErrMissing)
			}
			var got []string
			for _, c := range fake.Calls() {
				got = append(got, c.Host)
			}
			equal(t, tt.name, got, tt.want)
		})
	}
}

// TestSignatureIsNotQuoted: of a wrong signature AWS tells what it should have signed, the session token among it.
func TestSignatureIsNotQuoted(t *testing.T) {
	for _, a := range []answer{
		{status: 400, code: "InvalidSignatureException", message: "The Canonical String should have been 'POST /\nx-amz-security-token:hush'"},
		{status: 403, code: "AccessDeniedException", message: "not authorized: X-Amz-Security-Token=hush"},
		{status: 400, code: "ValidationException", message: "AWS4-HMAC-SHA256 Credential=hush/20260101, Signature=hush"},
		{status: 400, code: "ExpiredTokenException", message: "hush"},
	} {
		if got := a.Error(); strings.Contains(got, "hush") || !strings.HasPrefix(got, a.code) {
			t.Errorf("%s = %q, want the code and nothing that was sent", a.code, got)
		}
	}
}
