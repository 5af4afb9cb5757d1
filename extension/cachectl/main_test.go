package main

import (
	"net/http/httptest"
	"os"
	"testing"

	"cache-extension/extension/internal/source/awstest"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cachectl": main})
}

const region = "eu-west-1"

// TestScripts runs the program as a user does, from a command line; each file in testdata/script is one session. Its AWS
// is a fake. UPDATE_GOLDEN=1 writes the texts that they compare anew, for a person to read.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_GOLDEN") != "",
		Setup: func(env *testscript.Env) error {
			fake := httptest.NewServer(resources(t))
			env.Defer(fake.Close)
			env.Setenv("AWS_ENDPOINT_URL", fake.URL)
			env.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
			env.Setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
			env.Setenv("AWS_REGION", region)
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each program built with -race ends a second late
			return nil
		},
	})
}

// value is what every resource holds. Nothing that the program prints may hold it.
const value = "hunter2"

// resources is an AWS with one of each kind, and one of each failure.
func resources(t *testing.T) *awstest.Fake {
	f := awstest.New(t)
	f.PutParameter(region, "/app/url", awstest.Parameter{Value: value})
	f.PutParameter(region, "/flags/a", awstest.Parameter{Value: value})
	f.PutParameter(region, "denied", awstest.Parameter{Value: value})
	f.PutParameter(region, "sealed", awstest.Parameter{Value: value})
	f.PutSecret(region, "db", awstest.Secret{Text: value})
	f.PutSecret(region, "busy", awstest.Secret{Text: value})
	f.PutSecret(region, "broken", awstest.Secret{Text: value})
	f.PutSecret(region, "slow", awstest.Secret{Text: value})
	f.CreateTable(region, "Users", awstest.KeyAttr{Name: "tenant", Type: "S"}, awstest.KeyAttr{Name: "id", Type: "N"})
	f.PutItem(region, "Users", `{"tenant": {"S": "acme"}, "id": {"N": "42"}, "name": {"S": "`+value+`"}}`)

	f.Fail(awstest.Match{Name: "denied"}, awstest.Fault{
		Code:    "AccessDeniedException",
		Message: "User: arn:aws:iam::123456789012:user/dev is not authorized to perform: ssm:GetParameter on resource: denied",
	})
	f.Fail(awstest.Match{Name: "sealed"}, awstest.Fault{Code: "AccessDeniedException", Message: "The ciphertext refers to a key that you may not use. (Service: AWSKMS)"})
	f.Fail(awstest.Match{Name: "busy"}, awstest.Fault{Code: "ThrottlingException", Message: "Rate exceeded"})
	f.Fail(awstest.Match{Name: "broken"}, awstest.Fault{Code: "ExpiredTokenException", Message: "The security token is expired"})
	f.Fail(awstest.Match{Name: "slow"}, awstest.Fault{Hang: true})
	return f
}
