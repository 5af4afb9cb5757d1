package source

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source/awstest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
)

// generated is the SDK's own clients, set up as ours are. They are the oracle of this file.
type generated struct {
	ssm      *ssm.Client
	secrets  *secretsmanager.Client
	dynamodb *dynamodb.Client
}

func newGenerated(conf config.AWS, client aws.HTTPClient) generated {
	c := aws.Config{
		Region:       here,
		HTTPClient:   client,
		BaseEndpoint: orNil(conf.EndpointSSM),
		Retryer:      func() aws.Retryer { return newRetryer(conf.MaxAttempts) },
		Credentials:  newCredentials(conf, 0, nil, false),
	}
	return generated{ssm.NewFromConfig(c), secretsmanager.NewFromConfig(c), dynamodb.NewFromConfig(c, func(o *dynamodb.Options) {
		o.AccountIDEndpointMode = aws.AccountIDEndpointModeDisabled
	})}
}

// request is what of a request matters to AWS.
type request struct {
	Method, URL, Host, Target, ContentType, Encoding, Date, Token, Scope string
	Body                                                                 any
}

// recorder notes the requests that it passes on.
type recorder struct {
	aws.HTTPClient
	requests []request
}

func (r *recorder) Do(q *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	q.Body = io.NopCloser(bytes.NewReader(body))
	_, scope, _ := strings.Cut(q.Header.Get("Authorization"), "Credential=")
	scope, _, _ = strings.Cut(scope, ",")
	note := request{Method: q.Method, URL: q.URL.String(), Host: cmp.Or(q.Host, q.URL.Host), Target: q.Header.Get("X-Amz-Target"),
		ContentType: q.Header.Get("Content-Type"), Date: q.Header.Get("X-Amz-Date"), Token: q.Header.Get("X-Amz-Security-Token"), Scope: scope}
	if strings.HasPrefix(note.Target, "DynamoDB") {
		note.Encoding = q.Header.Get("Accept-Encoding") // we ask the same of all services
	}
	if err := json.Unmarshal(body, &note.Body); err != nil {
		return nil, err
	}
	r.requests = append(r.requests, note)
	return r.HTTPClient.Do(q)
}

// reads has every operation, by an entry of config.yaml and as the SDK's user would write it.
var reads = []struct {
	name    string
	entries func(*config.Config)
	sdk     func(context.Context, generated) (map[string]string, error)
}{
	{"GetParameter", func(c *config.Config) { c.Parameters = []config.Parameter{parameter1("/app/db:live")} },
		func(ctx context.Context, g generated) (map[string]string, error) {
			out, err := g.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/app/db:live"), WithDecryption: aws.Bool(true)})
			if err != nil {
				return nil, err
			}
			return map[string]string{"/app/db:live": *out.Parameter.Value}, nil
		}},
	{"GetParameters", func(c *config.Config) {
		c.Parameters = []config.Parameter{parameter1("/app/db"), parameter1("/app/00")}
	},
		func(ctx context.Context, g generated) (map[string]string, error) {
			out, err := g.ssm.GetParameters(ctx, &ssm.GetParametersInput{Names: []string{"/app/db", "/app/00"}, WithDecryption: aws.Bool(true)})
			values := make(map[string]string)
			if err == nil {
				for _, p := range out.Parameters {
					values[*p.Name] = *p.Value
				}
			}
			return values, err
		}},
	{"GetParametersByPath", func(c *config.Config) {
		c.Parameters = []config.Parameter{{Entry: config.Entry{Name: "/app"}, Path: "/app"}}
	},
		func(ctx context.Context, g generated) (map[string]string, error) { return byPath(ctx, g, "/app", nil) }},
	{"GetParametersByPath with a label", func(c *config.Config) {
		c.Parameters = []config.Parameter{{Entry: config.Entry{Name: "/app"}, Path: "/app", Label: "live"}}
	}, func(ctx context.Context, g generated) (map[string]string, error) {
		return byPath(ctx, g, "/app", []ssmtypes.ParameterStringFilter{{Key: aws.String("Label"), Option: aws.String("Equals"), Values: []string{"live"}}})
	}},
	{"GetSecretValue", func(c *config.Config) {
		c.Secrets = []config.Secret{{Entry: config.Entry{Name: "<&>"}, ID: "<&>", Stage: "AWSPREVIOUS"}}
	}, func(ctx context.Context, g generated) (map[string]string, error) {
		out, err := g.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("<&>"), VersionStage: aws.String("AWSPREVIOUS")})
		if err != nil {
			return nil, err
		}
		return map[string]string{"<&>": *out.SecretString}, nil
	}},
	{"GetSecretValue of a binary", func(c *config.Config) { c.Secrets = []config.Secret{secret1("binary")} },
		func(ctx context.Context, g generated) (map[string]string, error) {
			out, err := g.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("binary")})
			if err != nil {
				return nil, err
			}
			return map[string]string{"binary": string(out.SecretBinary)}, nil
		}},
	{"GetItem", func(c *config.Config) { c.Items = []config.Item{binaryItem("one", "\x00\xff")} },
		func(ctx context.Context, g generated) (map[string]string, error) {
			out, err := g.dynamodb.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("table"), Key: binaryKey("\x00\xff"), ConsistentRead: aws.Bool(true)})
			if err != nil {
				return nil, err
			}
			return map[string]string{"one": asJSON(out.Item)}, nil
		}},
	{"BatchGetItem", func(c *config.Config) {
		c.Items = []config.Item{binaryItem("one", "\x00\xff"), binaryItem("two", "\x01")}
	},
		func(ctx context.Context, g generated) (map[string]string, error) {
			asked := dynamodbtypes.KeysAndAttributes{Keys: []map[string]dynamodbtypes.AttributeValue{binaryKey("\x00\xff"), binaryKey("\x01")}, ConsistentRead: aws.Bool(true)}
			out, err := g.dynamodb.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]dynamodbtypes.KeysAndAttributes{"table": asked}})
			values := make(map[string]string)
			if err == nil {
				for _, found := range out.Responses["table"] {
					values[found["name"].(*dynamodbtypes.AttributeValueMemberS).Value] = asJSON(found)
				}
			}
			return values, err
		}},
}

func binaryItem(name, hash string) config.Item {
	return config.Item{Entry: config.Entry{Name: name}, Table: "table", Consistent: true,
		Hash: config.KeyPart{Name: "pk", Type: "B", Value: hash}, Sort: number("sk", "-1.50")}
}

func binaryKey(hash string) map[string]dynamodbtypes.AttributeValue {
	return map[string]dynamodbtypes.AttributeValue{
		"pk": &dynamodbtypes.AttributeValueMemberB{Value: []byte(hash)}, "sk": &dynamodbtypes.AttributeValueMemberN{Value: "-1.50"}}
}

func byPath(ctx context.Context, g generated, path string, filters []ssmtypes.ParameterStringFilter) (map[string]string, error) {
	members := make(map[string]string)
	pages := ssm.NewGetParametersByPathPaginator(g.ssm, &ssm.GetParametersByPathInput{Path: aws.String(path), Recursive: aws.Bool(true),
		WithDecryption: aws.Bool(true), MaxResults: aws.Int32(10), ParameterFilters: filters})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Parameters {
			members[strings.TrimPrefix(*p.Name, path+"/")] = *p.Value
		}
	}
	body, err := json.Marshal(members)
	return map[string]string{path: string(body)}, err
}

// asJSON is what is served of an item, by encoding/json. Sets are those of the fixture, in order already.
func asJSON(item map[string]dynamodbtypes.AttributeValue) string {
	var plain func(dynamodbtypes.AttributeValue) any
	plain = func(v dynamodbtypes.AttributeValue) any {
		switch v := v.(type) {
		case *dynamodbtypes.AttributeValueMemberS:
			return v.Value
		case *dynamodbtypes.AttributeValueMemberN:
			return json.Number(v.Value)
		case *dynamodbtypes.AttributeValueMemberBOOL:
			return v.Value
		case *dynamodbtypes.AttributeValueMemberNULL:
			return nil
		case *dynamodbtypes.AttributeValueMemberB:
			return v.Value
		case *dynamodbtypes.AttributeValueMemberSS:
			return v.Value
		case *dynamodbtypes.AttributeValueMemberBS:
			return v.Value
		case *dynamodbtypes.AttributeValueMemberNS:
			var numbers []json.Number
			for _, n := range v.Value {
				numbers = append(numbers, json.Number(n))
			}
			return numbers
		case *dynamodbtypes.AttributeValueMemberL:
			list := []any{}
			for _, e := range v.Value {
				list = append(list, plain(e))
			}
			return list
		case *dynamodbtypes.AttributeValueMemberM:
			m := make(map[string]any)
			for name, e := range v.Value {
				m[name] = plain(e)
			}
			return m
		default:
			panic(fmt.Sprintf("an attribute of type %T", v))
		}
	}
	body, err := json.Marshal(plain(&dynamodbtypes.AttributeValueMemberM{Value: item}))
	if err != nil {
		panic(err)
	}
	return string(body)
}

func oracleFake(t *testing.T) *awstest.Fake {
	fake := awstest.New(t)
	fake.PutParameter(here, "/app/db", awstest.Parameter{Value: "old \u2028 \"", Labels: []string{"live"}})
	fake.PutParameter(here, "/app/db", awstest.Parameter{Value: "new", Type: "SecureString"})
	for i := range 12 {
		fake.PutParameter(here, fmt.Sprintf("/app/%02d", i), awstest.Parameter{Value: fmt.Sprint(i)})
	}
	fake.PutSecret(here, "<&>", awstest.Secret{Text: "first"})
	fake.PutSecret(here, "<&>", awstest.Secret{Text: "second"})
	fake.PutSecret(here, "binary", awstest.Secret{Binary: []byte{0, 0xff}})
	fake.CreateTable(here, "table", awstest.KeyAttr{Name: "pk", Type: "B"}, awstest.KeyAttr{Name: "sk", Type: "N"})
	for name, hash := range map[string]string{"one": "\x00\xff", "two": "\x01"} {
		fake.PutItem(here, "table", fmt.Sprintf(`{"pk": {"B": %q}, "sk": {"N": "-1.50"}, "name": {"S": %q},
			"yes": {"BOOL": true}, "nothing": {"NULL": true}, "big": {"N": "9.9999999999999999999999999999999999999E+125"},
			"m": {"M": {"z": {"N": "1"}, "a": {"L": [{"S": ""}, {"L": []}, {"M": {}}]}}},
			"ss": {"SS": ["a", "b"]}, "ns": {"NS": ["-1", "0.5", "10"]}, "bs": {"BS": ["AA==", "/w=="]}}`,
			base64.StdEncoding.EncodeToString([]byte(hash)), name))
	}
	return fake
}

// complementAll gives the entries of cfg lines and regions.
func complementAll(cfg *config.Config) {
	for i := range cfg.Parameters {
		complement(&cfg.Parameters[i].Entry, i)
	}
	for i := range cfg.Secrets {
		complement(&cfg.Secrets[i].Entry, i)
	}
	for i := range cfg.Items {
		complement(&cfg.Items[i].Entry, i)
	}
}

// read fetches the entries of cfg from AWS or its like.
func read(t *testing.T, cfg *config.Config, client aws.HTTPClient) map[string]outcome {
	t.Helper()
	complementAll(cfg)
	clients := NewClients(cfg, Options{HTTPClient: client})
	all := make(map[string]outcome)
	for _, s := range []cache.Source{NewParameters(cfg, clients), NewSecrets(cfg, clients), NewItems(cfg, clients)} {
		var names []string
		for _, k := range s.Keys() {
			names = append(names, k.Name)
		}
		for name, o := range fetch(t, t.Context(), s, names...) {
			all[name] = o
		}
	}
	return all
}

func TestSameRequestsAndValuesAsTheSDK(t *testing.T) {
	for _, tt := range reads {
		synctest.Test(t, func(t *testing.T) {
			fake := oracleFake(t)
			fake.KeepOrder = true
			cfg := testConfig()
			tt.entries(cfg)
			ours, theirs := &recorder{HTTPClient: fake}, &recorder{HTTPClient: fake}
			want, err := tt.sdk(t.Context(), newGenerated(cfg.AWS, theirs))
			if err != nil {
				t.Fatal(err)
			}
			got := make(map[string]string)
			for name, o := range read(t, cfg, ours) {
				if o.err != nil {
					t.Fatalf("%s: %s: %v", tt.name, name, o.err)
				}
				got[name] = string(o.value.Body)
			}
			equal(t, tt.name+": values", got, want)
			equal(t, tt.name+": requests", ours.requests, theirs.requests)
		})
	}
}

func TestSameURLWithAPrefixAsTheSDK(t *testing.T) {
	for _, own := range []string{"http://localhost:4566", "http://user@localhost/a/", "https://example.com:443/a%20b/ü", "http://localhost/a%2Fb"} {
		synctest.Test(t, func(t *testing.T) {
			cfg := testConfig()
			cfg.AWS.EndpointSSM, cfg.AWS.EndpointSecretsManager, cfg.AWS.EndpointDynamoDB = own, own, own
			reads[0].entries(cfg)
			answer := roundTrip(func(*http.Request) (*http.Response, error) { return reply(200, `{"Parameter": {"Value": "x"}}`), nil })
			ours, theirs := &recorder{HTTPClient: answer}, &recorder{HTTPClient: answer}
			if _, err := reads[0].sdk(t.Context(), newGenerated(cfg.AWS, theirs)); err != nil {
				t.Fatal(err)
			}
			read(t, cfg, ours)
			equal(t, own, ours.requests, theirs.requests)
		})
	}
}

// BenchmarkCall reads a secret and an item by us and by the SDK, without a network: what differs is all but the transport.
func BenchmarkCall(b *testing.B) {
	answers := map[string]string{
		"secretsmanager.GetSecretValue": `{"Name": "<&>", "SecretString": "{\"username\": \"app\", \"password\": \"x\"}", "VersionStages": ["AWSCURRENT"]}`,
		"DynamoDB_20120810.GetItem": `{"Item": {"pk": {"B": "AP8="}, "sk": {"N": "-1.50"}, "name": {"S": "one"}, "tags": {"SS": ["a", "b"]},
			"m": {"M": {"x": {"N": "1"}, "y": {"BOOL": true}}}, "l": {"L": [{"S": "x"}, {"S": "y"}]}}}`,
	}
	service := roundTrip(func(r *http.Request) (*http.Response, error) {
		return reply(200, answers[r.Header.Get("X-Amz-Target")]), nil
	})
	for _, i := range []int{4, 6} {
		cfg := testConfig()
		reads[i].entries(cfg)
		complementAll(cfg)
		clients := NewClients(cfg, Options{HTTPClient: service})
		var source cache.Source = NewSecrets(cfg, clients)
		if cfg.Items != nil {
			source = NewItems(cfg, clients)
		}
		names := []string{source.Keys()[0].Name}
		b.Run(reads[i].name+"/ours", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				source.Fetch(b.Context(), names, func(_ string, _ *cache.Value, err error) {
					if err != nil {
						b.Error(err)
					}
				})
			}
		})
		b.Run(reads[i].name+"/sdk", func(b *testing.B) {
			g := newGenerated(cfg.AWS, service)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := reads[i].sdk(b.Context(), g); err != nil {
					b.Error(err)
				}
			}
		})
	}
}

// sdkClass is the class of an error of the SDK, by its code alone.
func sdkClass(err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return nil
	}
	if _, ok := retry.DefaultThrottleErrorCodes[api.ErrorCode()]; ok {
		return cache.ErrThrottled
	}
	return classes[api.ErrorCode()]
}

// TestSameAttemptsAsTheSDK leaves out a body cut short without a sign of it: of the two, only ours asks again.
func TestSameAttemptsAsTheSDK(t *testing.T) {
	faults := []awstest.Fault{
		{Code: "ResourceNotFoundException"}, {Code: "AccessDeniedException"}, {Code: "ThrottlingException"}, {Code: "RequestTimeout"},
		{Code: "ProvisionedThroughputExceededException"}, {Code: "InternalServerError", Status: 500}, {Code: "Odd", Status: 418},
		{Status: 404}, {Status: 429}, {Status: 500}, {Status: 502}, {Status: 503}, {Status: 504}, {Status: 307},
		{Err: awstest.ErrRefused}, {Err: io.ErrUnexpectedEOF}, {Err: errors.New("odd")}, {Drop: true}, {NotJSON: true},
		{Code: "ThrottlingException", Drop: true},
	}
	for _, tt := range []int{0, 4, 6} { // a single read of each service
		for _, fault := range faults {
			for _, times := range []int{1, 0} {
				synctest.Test(t, func(t *testing.T) {
					name := fmt.Sprintf("%s, %+v, %d times", reads[tt].name, fault, times)
					fake := oracleFake(t)
					cfg := testConfig()
					reads[tt].entries(cfg)
					fake.Fail(awstest.Match{Op: reads[tt].name, Times: times}, fault)
					_, wantErr := reads[tt].sdk(t.Context(), newGenerated(cfg.AWS, fake))
					want := fake.Count(reads[tt].name)
					fake.Reset()
					fake.Clear()
					fake.Fail(awstest.Match{Op: reads[tt].name, Times: times}, fault)
					for _, o := range read(t, cfg, fake) {
						switch want := sdkClass(wantErr); {
						case want == cache.ErrDenied && o.err == nil: // the source has tried the other way, which has no fault here
						case (o.err == nil) != (wantErr == nil):
							t.Errorf("%s: error %v, want %v", name, o.err, wantErr)
						case o.err != nil:
							wantClass(t, name, o.err, want)
						}
					}
					equal(t, name+": attempts", fake.Count(reads[tt].name), want)
				})
			}
		}
	}
}

func TestSameErrorCodesAsTheSDK(t *testing.T) {
	tests := []struct {
		name, header, input string
	}{
		{"in the body", "", `{"__type": "AccessDeniedException", "Message": "m"}`},
		{"with a namespace", "", `{"__type": "com.amazonaws.ssm#AccessDeniedException", "message": "m"}`},
		{"with a URI", "", `{"__type": "AccessDeniedException:http://internal.amazon.com/coral/com.amazon.coral.service/", "message": "m"}`},
		{"with both", "", `{"__type": "aws.json#AccessDeniedException:http://amazon.com/#x", "message": "m"}`},
		{"in the header", "AccessDeniedException", `{"message": "m"}`},
		{"in the header with a URI", "aws.json#AccessDeniedException:http://amazon.com/", `{}`},
		{"in the header and the body", "AccessDeniedException", `{"__type": "ThrottlingException", "code": "Odd"}`},
		{"as code", "", `{"code": "AccessDeniedException", "message": "m"}`},
		{"as type and code", "", `{"__type": "AccessDeniedException", "code": "Odd"}`},
		{"as a number", "", `{"code": 403, "message": "m"}`},
		{"nowhere", "", `{"message": "m"}`},
		{"nothing at all", "", ``},
		{"in the header alone", "AccessDeniedException", ``},
		{"a web page", "", `<html>m</html>`},
		{"a web page and a header", "AccessDeniedException", `<html>m</html>`},
		{"an array", "", `["m"]`},
		{"a type that is no text", "", `{"__type": 1}`},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			answered := roundTrip(func(*http.Request) (*http.Response, error) {
				r := reply(400, tt.input)
				r.Header.Set("X-Amzn-Errortype", tt.header)
				r.Header.Set("X-Amzn-Requestid", "ID")
				return r, nil
			})
			cfg := testConfig()
			_, err := reads[4].sdk(t.Context(), newGenerated(cfg.AWS, answered))
			want := "AWS's answer could not be read (HTTP 400, request ID)"
			if api := smithy.APIError(nil); errors.As(err, &api) {
				want = api.ErrorCode() + " (HTTP 400, request ID)"
				if m := api.ErrorMessage(); m != "" && m != "UnknownError" {
					want += ": " + m
				}
			}
			reads[4].entries(cfg)
			for _, o := range read(t, cfg, answered) {
				if o.err == nil || o.err.Error() != want {
					t.Errorf("%s: error = %v, want %s", tt.name, o.err, want)
				}
			}
		})
	}
}

// TestSameClockCorrectionAsTheSDK has a service whose clock is another one than ours.
func TestSameClockCorrectionAsTheSDK(t *testing.T) {
	codes := []string{"InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure", "RequestTimeTooSkewed", "AccessDeniedException"}
	for _, code := range codes {
		synctest.Test(t, func(t *testing.T) {
			var ahead time.Duration
			attempts := 0
			service := roundTrip(func(r *http.Request) (*http.Response, error) {
				attempts++
				now := time.Now().UTC().Add(ahead)
				signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
				answer := reply(200, `{"SecretString": "x"}`)
				if err != nil || now.Sub(signed).Abs() > 5*time.Minute {
					answer = reply(403, `{"__type": "`+code+`"}`)
				}
				answer.Header.Set("Date", now.Format(http.TimeFormat))
				return answer, nil
			})
			cfg := testConfig()
			s := secrets(t, nil, secret1("<&>"))
			s.clients.http = service
			sdk := newGenerated(cfg.AWS, service)
			for _, ahead = range []time.Duration{0, time.Hour, time.Hour + 3*time.Minute, -time.Hour, 0, 4 * time.Minute} {
				attempts = 0
				_, wantErr := reads[4].sdk(t.Context(), sdk)
				want := attempts
				attempts = 0
				err := fetch(t, t.Context(), s, "<&>")["<&>"].err
				if attempts != want || (err == nil) != (wantErr == nil) {
					t.Errorf("%s, clock %v ahead: %d attempts and error %v, want %d and %v", code, ahead, attempts, err, want, wantErr)
				}
			}
		})
	}
}
