package main

import (
	"strings"
	"testing"

	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
)

func TestUpstream(t *testing.T) {
	in := func(region string) config.Entry { return config.Entry{Region: region} }
	two := config.Config{
		Parameters: []config.Parameter{{Entry: in("us-west-2")}, {Entry: in("eu-west-1")}},
		Secrets:    []config.Secret{{Entry: in("us-west-2")}},
	}
	local := two
	local.AWS.EndpointSSM, local.AWS.EndpointSecretsManager = "http://localhost:4566", "http://localhost:4566"
	mixed := two
	mixed.AWS.EndpointSSM = "https://user:not-for-logs@proxy.example/path?key=not-for-logs"
	profile := source.Options{Credentials: explained{profile: awsconfig.SharedConfig{Profile: "dev"}}}
	tests := []struct {
		name    string
		cfg     config.Config
		aws     source.Options
		offline bool
		want    string
	}{
		{"AWS itself", two, profile, false, `eu-west-1, us-west-2, profile "dev"`},
		{"an emulator", local, source.Options{}, false, "http://localhost:4566, eu-west-1, us-west-2, keys of the environment"},
		{"one service elsewhere", mixed, source.Options{Credentials: explained{}}, false, "AWS, https://proxy.example, eu-west-1, us-west-2, without a profile"},
		{"no names", config.Config{}, profile, false, "not asked: there are no names"},
		{"offline", two, profile, true, "nowhere: --offline"},
	}
	for _, test := range tests {
		s := &serving{flags: serveFlags{offline: test.offline}, aws: test.aws}
		if got := s.upstream(&test.cfg); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestEscape(t *testing.T) {
	tests := []struct{ name, want string }{
		{"/app/db-url:3", "/app/db-url:3"},
		{"arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf"},
		{"Users-ann@example.com", "Users-ann@example.com"},
		{"a b&c=d%2F+e#f?g", "a+b%26c%3Dd%252F%2Be%23f%3Fg"},
		{"ü\x1b[2J", "%C3%BC%1B%5B2J"},
	}
	for _, test := range tests {
		if got := escape(test.name); got != test.want {
			t.Errorf("escape(%q) = %q, want %q", test.name, got, test.want)
		}
	}
}
func TestURLsOfPlaceholders(t *testing.T) {
	var out strings.Builder
	s := &serving{app: &app{stdout: &out}, url: "http://localhost:4000"}
	s.printURLs([]served{{Cachetype: "parameters", Name: "/a&b c/\x1b[31m/{id}", OnDemand: true}})
	if got, want := out.String(), "http://localhost:4000/parameters?name=/a%26b+c/%1B%5B31m/{id}\n"; !strings.HasSuffix(got, want) {
		t.Errorf("printed %q, want it to end in %q", got, want)
	}
}
