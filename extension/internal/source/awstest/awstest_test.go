package awstest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
)

const west = "us-west-2"

var _ aws.HTTPClient = (*Fake)(nil)

func config(client aws.HTTPClient) aws.Config {
	return aws.Config{
		Region:     west,
		HTTPClient: client,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret", SessionToken: "token"}, nil
		}),
		RetryMaxAttempts: 1,
	}
}

// code returns what an SDK client says went wrong.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	if err != nil {
		return "not an API error: " + err.Error()
	}
	return ""
}

func TestGetParameter(t *testing.T) {
	f := New(t)
	f.PutParameter(west, "p", Parameter{Value: "one", Labels: []string{"live", "old"}})
	f.PutParameter(west, "p", Parameter{Value: "two", Type: "SecureString", Labels: []string{"live"}})
	f.PutParameter(west, "/app/list", Parameter{Value: "a,b", Type: "StringList"})
	f.PutParameter(west, "/gone", Parameter{Value: "x"})
	f.DeleteParameter(west, "/gone")
	f.PutSecret(west, "s", Secret{Text: "first"})
	f.PutSecret(west, "s", Secret{Text: "second"})
	f.PutSecret(west, "b", Secret{Binary: []byte{1}})
	client := ssm.NewFromConfig(config(f))

	tests := []struct{ name, input, want string }{
		{"newest", "p", "p  2 SecureString two"},
		{"version", "p:1", "p :1 1 String one"},
		{"label", "p:old", "p :old 1 String one"},
		{"label that moved", "p:live", "p :live 2 SecureString two"},
		{"unknown version", "p:3", "ParameterVersionNotFound"},
		{"unknown label", "p:none", "ParameterVersionNotFound"},
		{"ARN", "arn:aws:ssm:us-west-2:123456789012:parameter/app/list", "/app/list  1 StringList a,b"},
		{"ARN of a name without a slash", "arn:aws:ssm:us-west-2:123456789012:parameter/p:1", "p :1 1 String one"},
		{"unknown", "q", "ParameterNotFound"},
		{"deleted", "/gone", "ParameterNotFound"},
		{"secret", "/aws/reference/secretsmanager/s", "/aws/reference/secretsmanager/s  0 SecureString second"},
		{"stage of a secret", "/aws/reference/secretsmanager/s:AWSPREVIOUS", "/aws/reference/secretsmanager/s :AWSPREVIOUS 0 SecureString first"},
		{"unknown secret", "/aws/reference/secretsmanager/t", "ParameterNotFound"},
		{"binary secret", "/aws/reference/secretsmanager/b", "ParameterNotFound"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			out, err := client.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &tt.input, WithDecryption: aws.Bool(true)})
			if got = code(err); err == nil {
				p := out.Parameter
				got = fmt.Sprintf("%s %s %d %s %s", *p.Name, aws.ToString(p.Selector), p.Version, p.Type, *p.Value)
			}
			if got != tt.want {
				t.Errorf("GetParameter(%q) = %q, want %q", tt.input, got, tt.want)
			}
		})
	}
}

func TestGetParameters(t *testing.T) {
	f := New(t)
	f.ShortReferenceNames = true
	f.PutParameter(west, "p", Parameter{Value: "one"})
	f.PutSecret(west, "s", Secret{Text: "secret"})
	out, err := ssm.NewFromConfig(config(f)).GetParameters(t.Context(), &ssm.GetParametersInput{
		Names: []string{"p", "p:9", "/aws/reference/secretsmanager/s", "q"}, WithDecryption: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range out.Parameters {
		got = append(got, *p.Name+" "+*p.Value)
	}
	if want := []string{"s secret", "p one"}; !slices.Equal(got, want) {
		t.Errorf("Parameters = %q, want %q", got, want)
	}
	if want := []string{"p:9", "q"}; !slices.Equal(out.InvalidParameters, want) {
		t.Errorf("InvalidParameters = %q, want %q", out.InvalidParameters, want)
	}
}

func TestGetParametersByPath(t *testing.T) {
	f := New(t)
	for i := range 12 {
		f.PutParameter(west, fmt.Sprintf("/app/%02d/x", i), Parameter{Value: "old", Labels: []string{"live"}})
	}
	f.PutParameter(west, "/app/00/x", Parameter{Value: "new"})
	f.PutParameter(west, "/apple", Parameter{Value: "elsewhere"})
	client := ssm.NewFromConfig(config(f))

	in := ssm.GetParametersByPathInput{Path: aws.String("/app/"), Recursive: aws.Bool(true), WithDecryption: aws.Bool(true)}
	pages := func() (sizes []int, first string) {
		in.NextToken = nil
		for {
			out, err := client.GetParametersByPath(t.Context(), &in)
			if err != nil {
				t.Fatal(err)
			}
			if sizes = append(sizes, len(out.Parameters)); len(out.Parameters) > 0 && first == "" {
				first = *out.Parameters[0].Value
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				return sizes, first
			}
		}
	}
	if sizes, first := pages(); !slices.Equal(sizes, []int{10, 2}) || first != "new" {
		t.Errorf("pages of %d, the first value %q; want 10 and 2, %q", sizes, first, "new")
	}
	in.ParameterFilters = []ssmtypes.ParameterStringFilter{{Key: aws.String("Label"), Values: []string{"live"}}}
	if sizes, first := pages(); !slices.Equal(sizes, []int{10, 2}) || first != "old" {
		t.Errorf("pages by label of %d, the first value %q; want 10 and 2, %q", sizes, first, "old")
	}
	in.ParameterFilters[0].Values = []string{"none"}
	if sizes, _ := pages(); !slices.Equal(sizes, []int{0, 0}) {
		t.Errorf("pages by an unknown label of %d, want two empty ones", sizes)
	}
	in.NextToken = aws.String("made up")
	if _, err := client.GetParametersByPath(t.Context(), &in); code(err) != "InvalidNextToken" {
		t.Errorf("with an invalid token: %v, want InvalidNextToken", err)
	}
}

func TestGetSecretValue(t *testing.T) {
	f := New(t)
	f.PutSecret(west, "s", Secret{Text: "one"})
	f.PutSecret(west, "s", Secret{Text: "two", Stages: []string{"blue"}})
	arn, id := f.PutSecret(west, "s", Secret{Text: "three"})
	f.PutSecret(west, "binary", Secret{Binary: []byte{0, 255}})
	f.PutSecret(west, "deleted", Secret{Text: "x"})
	f.MarkSecretDeleted(west, "deleted")
	client := secretsmanager.NewFromConfig(config(f))

	tests := []struct{ name, id, version, stage, want string }{
		{"name", "s", "", "", "three"},
		{"ARN", arn, "", "", "three"},
		{"ARN without its end", strings.TrimSuffix(arn, arn[len(arn)-7:]), "", "", "three"},
		{"previous", "s", "", "AWSPREVIOUS", "two"},
		{"own stage", "s", "", "blue", "two"},
		{"version without a stage", "s", "00000000-0000-4000-8000-000000000001", "", "one"},
		{"version and its stage", "s", id, "AWSCURRENT", "three"},
		{"version and another's stage", "s", id, "blue", "InvalidRequestException"},
		{"unknown stage", "s", "", "green", "ResourceNotFoundException"},
		{"binary", "binary", "", "", "\x00\xff"},
		{"unknown", "t", "", "", "ResourceNotFoundException"},
		{"unknown ARN", arn + "x", "", "", "ResourceNotFoundException"},
		{"deleted", "deleted", "", "", "InvalidRequestException"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := &secretsmanager.GetSecretValueInput{SecretId: &tt.id}
			if tt.version != "" {
				in.VersionId = &tt.version
			}
			if tt.stage != "" {
				in.VersionStage = &tt.stage
			}
			out, err := client.GetSecretValue(t.Context(), in)
			got := code(err)
			if err == nil {
				got = aws.ToString(out.SecretString) + string(out.SecretBinary)
			}
			if got != tt.want {
				t.Errorf("GetSecretValue(%q, %q, %q) = %q, want %q", tt.id, tt.version, tt.stage, got, tt.want)
			}
		})
	}
}

func text(s string) types.AttributeValue   { return &types.AttributeValueMemberS{Value: s} }
func digits(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }

func TestGetItem(t *testing.T) {
	f := New(t)
	f.CreateTable(west, "T", KeyAttr{"id", "N"}, KeyAttr{"at", "S"})
	f.PutItem(west, "T", `{"id": {"N": "42"}, "at": {"S": "x"}, "a.b": {"L": [{"NS": ["1.50"]}, {"NULL": true}]}}`)
	f.PutItem(west, "T", `{"id": {"N": "1"}, "at": {"S": "x"}}`)
	f.DeleteItem(west, "T", `{"id": {"N": "1.0"}, "at": {"S": "x"}}`)
	client := dynamodb.NewFromConfig(config(f))

	type key = map[string]types.AttributeValue
	tests := []struct {
		name, table string
		key         key
		field       string
		want        string
	}{
		{"whole", "T", key{"id": digits("4.2e1"), "at": text("x")}, "", "[a.b at id]"},
		{"by ARN", "arn:aws:dynamodb:us-west-2:123456789012:table/T", key{"id": digits("42.0"), "at": text("x")}, "", "[a.b at id]"},
		{"projected", "T", key{"id": digits("42"), "at": text("x")}, "a.b", "[a.b]"},
		{"projected to nothing", "T", key{"id": digits("42"), "at": text("x")}, "c", "[]"},
		{"missing", "T", key{"id": digits("43"), "at": text("x")}, "", "no item"},
		{"deleted", "T", key{"id": digits("1"), "at": text("x")}, "", "no item"},
		{"no sort key", "T", key{"id": digits("42")}, "", "ValidationException"},
		{"wrong type", "T", key{"id": text("42"), "at": text("x")}, "", "ValidationException"},
		{"wrong name", "T", key{"id": digits("42"), "on": text("x")}, "", "ValidationException"},
		{"empty key", "T", key{"id": digits("42"), "at": text("")}, "", "ValidationException"},
		{"no such table", "U", key{"id": digits("42")}, "", "ResourceNotFoundException"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := &dynamodb.GetItemInput{TableName: &tt.table, Key: tt.key}
			if tt.field != "" {
				in.ProjectionExpression = aws.String("#f")
				in.ExpressionAttributeNames = map[string]string{"#f": tt.field}
			}
			out, err := client.GetItem(t.Context(), in)
			got := code(err)
			if err == nil {
				if got = "no item"; out.Item != nil {
					got = fmt.Sprint(slices.Sorted(maps.Keys(out.Item)))
				}
			}
			if got != tt.want {
				t.Errorf("GetItem(%s, %v) = %s, want %s", tt.table, tt.key, got, tt.want)
			}
		})
	}
	if got, want := f.Calls()[0].Names, []string{"T-42-x"}; !slices.Equal(got, want) {
		t.Errorf("Call.Names = %q, want %q", got, want)
	}
}

func TestPutItemRefuses(t *testing.T) {
	tests := []struct{ name, input string }{
		{"no key", `{"v": {"S": "x"}}`},
		{"key of another type", `{"k": {"N": "1"}}`},
		{"unknown type", `{"k": {"S": "x"}, "v": {"M": {"w": {"STRING": "x"}}}}`},
		{"value of another type", `{"k": {"S": "x"}, "v": {"L": [{"N": 1}]}}`},
		{"not JSON", `{"k"`},
	}
	f := New(t)
	f.CreateTable(west, "T", KeyAttr{"k", "S"}, KeyAttr{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Errorf("PutItem(%s) did not panic", tt.input)
				}
			}()
			f.PutItem(west, "T", tt.input)
		})
	}
}

func TestBatchGetItem(t *testing.T) {
	f := New(t)
	f.CreateTable(west, "T", KeyAttr{"k", "B"}, KeyAttr{})
	var keys []map[string]types.AttributeValue
	for i := range 60 {
		k := []byte{byte(i)}
		keys = append(keys, map[string]types.AttributeValue{"k": &types.AttributeValueMemberB{Value: k}})
		f.PutItem(west, "T", fmt.Sprintf(`{"k": {"B": "%s"}, "v": {"S": "%s"}}`, base64.StdEncoding.EncodeToString(k), strings.Repeat("x", 380<<10)))
	}
	client := dynamodb.NewFromConfig(config(f))
	in := &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"T": {
		Keys: keys, ConsistentRead: aws.Bool(true),
		ProjectionExpression: aws.String("#k"), ExpressionAttributeNames: map[string]string{"#k": "k"},
	}}}
	want := []int{43, 17}
	for _, n := range want {
		out, err := client.BatchGetItem(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		got := out.Responses["T"]
		if len(got) != n {
			t.Fatalf("%d items, want %d", len(got), n)
		}
		if _, ok := got[0]["v"]; ok {
			t.Error("the projection let an attribute pass")
		}
		in.RequestItems = out.UnprocessedKeys
	}
	if len(in.RequestItems) != 0 {
		t.Errorf("UnprocessedKeys = %v, want none", in.RequestItems)
	}

	f.Fail(Match{Op: "BatchGetItem", Name: "T", Times: 1}, Fault{Unprocessed: 2})
	in.RequestItems = map[string]types.KeysAndAttributes{"T": {Keys: keys[:3]}}
	out, err := client.BatchGetItem(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(out.UnprocessedKeys["T"].Keys); got != 2 || len(out.Responses["T"]) != 1 {
		t.Errorf("%d keys unprocessed and %d items, want 2 and 1", got, len(out.Responses["T"]))
	}
}

func TestNumber(t *testing.T) {
	tests := []struct{ name, input, want string }{
		{"plain", "42", "42"},
		{"zeros", "-042.50", "-42.5"},
		{"exponents", "4.2E+1", "42"},
		{"small", "1e-3", "0.001"},
		{"zero", "-0.0", "0"},
		{"38 digits", "0." + strings.Repeat("9", 38), "0." + strings.Repeat("9", 38)},
		{"39 digits", strings.Repeat("9", 39), "error"},
		{"not decimal", "0x1F", "error"},
		{"empty", "", "error"},
	}
	for _, tt := range tests {
		got, err := number(tt.input)
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%s: number(%q) = %q, want %q", tt.name, tt.input, got, tt.want)
		}
	}
}

// TestFaults has every fault seen by an SDK client, in process and over a connection.
func TestFaults(t *testing.T) {
	tests := []struct {
		name  string
		fault Fault
		want  func(error) bool
	}{
		{"none", Fault{}, func(err error) bool { return err == nil }},
		{"delay", Fault{Delay: time.Millisecond}, func(err error) bool { return err == nil }},
		{"code", Fault{Code: "AccessDeniedException"}, func(err error) bool {
			return code(err) == "AccessDeniedException" && strings.Contains(err.Error(), Message)
		}},
		{"code and status", Fault{Code: "InternalServerError", Status: 500, Message: "own words"}, func(err error) bool {
			return code(err) == "InternalServerError" && strings.Contains(err.Error(), "StatusCode: 500") && strings.Contains(err.Error(), "own words")
		}},
		{"status", Fault{Status: 503}, func(err error) bool { return err != nil && strings.Contains(err.Error(), "StatusCode: 503") }},
		{"broken error", Fault{Code: "ThrottlingException", Truncate: true}, func(err error) bool { return err != nil && code(err) != "ThrottlingException" }},
		{"drop", Fault{Drop: true}, func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"truncate", Fault{Truncate: true}, func(err error) bool { return err != nil }},
		{"not JSON", Fault{NotJSON: true}, func(err error) bool { return err != nil }},
		{"hang", Fault{Hang: true}, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
	}
	f := New(t)
	f.PutSecret(west, "s", Secret{Text: "value"})
	server := httptest.NewServer(f)
	defer server.Close()
	defer server.Client().CloseIdleConnections()
	remote := config(server.Client())
	remote.BaseEndpoint = &server.URL

	for side, client := range map[string]*secretsmanager.Client{
		"client": secretsmanager.NewFromConfig(config(f)), "server": secretsmanager.NewFromConfig(remote),
	} {
		for _, tt := range tests {
			t.Run(side+"/"+tt.name, func(t *testing.T) {
				f.Clear()
				f.Fail(Match{Name: "another"}, Fault{Code: "NotThisOne"})
				f.Fail(Match{Op: "GetSecretValue", Region: west, Name: "s", Times: 1}, tt.fault)
				limit := time.Minute
				if tt.fault.Hang {
					limit = 50 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				in := &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")}
				if _, err := client.GetSecretValue(ctx, in); !tt.want(err) {
					t.Errorf("with %+v: %v", tt.fault, err)
				}
				if _, err := client.GetSecretValue(t.Context(), in); err != nil {
					t.Errorf("after %+v: %v, want no error", tt.fault, err)
				}
			})
		}
	}
}

func TestRefusedAndPanic(t *testing.T) {
	f := New(t)
	client := secretsmanager.NewFromConfig(config(f))
	in := &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")}
	f.Fail(Match{Times: 1}, Fault{Err: ErrRefused})
	if _, err := client.GetSecretValue(t.Context(), in); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("with ErrRefused: %v, want ECONNREFUSED", err)
	}
	f.Fail(Match{Times: 1}, Fault{Panic: true})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		client.GetSecretValue(t.Context(), in)
	}()
	if _, err := client.GetSecretValue(t.Context(), in); code(err) != "ResourceNotFoundException" {
		t.Errorf("after the panic: %v, want ResourceNotFoundException", err)
	}
}

func TestLatencyAndMaxParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(t)
		f.Latency(50 * time.Millisecond)
		client := secretsmanager.NewFromConfig(config(f))
		start := time.Now()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")})
			})
		}
		wg.Wait()
		if got := time.Since(start); got != 50*time.Millisecond {
			t.Errorf("five calls took %v, want 50ms", got)
		}
		if f.MaxParallel() != 5 || f.Count("GetSecretValue") != 5 || f.Count("") != 5 {
			t.Errorf("MaxParallel %d, Count %d, want 5", f.MaxParallel(), f.Count(""))
		}
		if c := f.Calls()[0]; c.Region != west || !c.At.Equal(start) || c.Host != "secretsmanager.us-west-2.amazonaws.com" || c.Body != `{"SecretId":"s"}` {
			t.Errorf("Calls()[0] = %+v", c)
		}
		f.Reset()
		if f.MaxParallel() != 0 || f.Count("") != 0 {
			t.Error("Reset did not forget")
		}
	})
}

// recorder is a test that notes its errors.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestViolations(t *testing.T) {
	const (
		one   = "AmazonSSM.GetParameter"
		many  = "AmazonSSM.GetParameters"
		path  = "AmazonSSM.GetParametersByPath"
		item  = "DynamoDB_20120810.GetItem"
		batch = "DynamoDB_20120810.BatchGetItem"
	)
	good := `{"Name":"p","WithDecryption":true}`
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	keys := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"id":{"N":"%d"}}`, i))
		}
		return `{"RequestItems":{"T":{"Keys":[` + strings.Join(all, ",") + `]}}}`
	}
	tests := []struct {
		name, target, body string
		spoil              func(*http.Request)
		want               string
	}{
		{"method", one, good, func(r *http.Request) { r.Method = "PUT" }, "not a POST to /"},
		{"path", one, good, func(r *http.Request) { r.URL.Path = "/x" }, "not a POST to /"},
		{"content type", one, good, header("Content-Type", "application/json"), "Content-Type"},
		{"version of JSON", item, good, header("Content-Type", json11), "Content-Type"},
		{"target", "AmazonSSM.DeleteParameter", good, nil, "unknown X-Amz-Target"},
		{"unsigned", one, good, func(r *http.Request) { r.Header.Del("Authorization") }, "Authorization"},
		{"service", item, good, func(r *http.Request) { sign(r, "ssm", west) }, "signed for service"},
		{"token not signed", one, good, header("X-Amz-Security-Token", "t"), "not signed"},
		{"old date", one, good, header("X-Amz-Date", time.Now().Add(-time.Hour).UTC().Format("20060102T150405Z")), "is not now"},
		{"no date", one, good, header("X-Amz-Date", ""), "ISO 8601"},
		{"region", one, good, func(r *http.Request) { r.Host = "ssm.eu-west-1.amazonaws.com" }, "signed for region"},
		{"not JSON", one, `{`, nil, "body"},
		{"unknown member", one, `{"Name":"p","WithDecryption":true,"Key":1}`, nil, `unknown member "Key"`},
		{"spelling", one, `{"name":"p","WithDecryption":true}`, nil, `unknown member "name"`},
		{"no decryption", one, `{"Name":"p"}`, nil, "WithDecryption"},
		{"foreign ARN", one, `{"Name":"arn:aws:ssm:eu-west-1:123456789012:parameter/p","WithDecryption":true}`, nil, "is not an ARN of ssm in us-west-2"},
		{"no names", many, `{"Names":[],"WithDecryption":true}`, nil, "0 names"},
		{"11 names", many, `{"Names":["a","b","c","d","e","f","g","h","i","j","k"],"WithDecryption":true}`, nil, "11 names"},
		{"name twice", many, `{"Names":["a","a"],"WithDecryption":true}`, nil, "asked for twice"},
		{"page of 11", path, `{"Path":"/","Recursive":true,"WithDecryption":true,"MaxResults":11}`, nil, "MaxResults 11"},
		{"not recursive", path, `{"Path":"/","WithDecryption":true}`, nil, "Recursive"},
		{"filter", path, `{"Path":"/","Recursive":true,"WithDecryption":true,"ParameterFilters":[{"Key":"Type","Values":["String"]}]}`, nil, "want one, Label Equals"},
		{"no secret", "secretsmanager.GetSecretValue", `{}`, nil, "no SecretId"},
		{"bare name", item, `{"TableName":"T","Key":{"id":{"N":"1"}},"ProjectionExpression":"name"}`, nil, `"name", which is no defined placeholder`},
		{"undefined placeholder", item, `{"TableName":"T","Key":{"id":{"N":"1"}},"ProjectionExpression":"#a"}`, nil, `"#a", which is no defined placeholder`},
		{"unused placeholder", item, `{"TableName":"T","Key":{"id":{"N":"1"}},"ProjectionExpression":"#a","ExpressionAttributeNames":{"#a":"a","#b":"b"}}`, nil, "not used"},
		{"field twice", item, `{"TableName":"T","Key":{"id":{"N":"1"}},"ProjectionExpression":"#a,#b","ExpressionAttributeNames":{"#a":"a","#b":"a"}}`, nil, "twice"},
		{"placeholder for nothing", item, `{"TableName":"T","Key":{"id":{"N":"1"}},"ExpressionAttributeNames":{"#a":"a"}}`, nil, "without an expression"},
		{"no table", item, `{"Key":{"id":{"N":"1"}}}`, nil, "no table named"},
		{"no key", batch, `{"RequestItems":{"T":{"Keys":[]}}}`, nil, "no keys"},
		{"no request", batch, `{"RequestItems":{}}`, nil, "0 keys"},
		{"101 keys", batch, keys(101), nil, "101 keys"},
		{"key twice", batch, `{"RequestItems":{"T":{"Keys":[{"id":{"N":"10"}},{"id":{"N":"1e1"}}]}}}`, nil, "duplicate key of T-10"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tb := &recorder{TB: t}
			f := New(tb)
			f.CreateTable(west, "T", KeyAttr{"id", "N"}, KeyAttr{})
			r := httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
			r.Host = "127.0.0.1:1"
			r.Header.Set("X-Amz-Target", tt.target)
			r.Header.Set("Content-Type", operations[tt.target].contentType)
			r.Header.Set("X-Amz-Date", time.Now().UTC().Format("20060102T150405Z"))
			sign(r, operations[tt.target].service, west)
			if tt.spoil != nil {
				tt.spoil(r)
			}
			w := httptest.NewRecorder()
			f.ServeHTTP(w, r)
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "ProtocolViolation") {
				t.Errorf("answer %d %s, want 400 ProtocolViolation", w.Code, w.Body)
			}
			if len(tb.errors) != 1 || !strings.Contains(tb.errors[0], tt.want) {
				t.Errorf("errors %q, want one with %q", tb.errors, tt.want)
			}
			if n := f.Count(""); n != 0 {
				t.Errorf("%d calls noted, want none", n)
			}
		})
	}
}

func sign(r *http.Request, service, region string) {
	r.Header.Set("Authorization", fmt.Sprintf(
		"AWS4-HMAC-SHA256 Credential=AKID/%s/%s/%s/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=%s",
		time.Now().UTC().Format("20060102"), region, service, strings.Repeat("0", 64)))
}
