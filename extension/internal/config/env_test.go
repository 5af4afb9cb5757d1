package config

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
)

func TestExpand(t *testing.T) {
	env := environment{"NAME": "value", "EMPTY": "", "NESTED": "${NAME}", "_a1": "x"}
	for _, tt := range []struct {
		name, input string
		want, fault string
	}{
		{"nothing", "plain", "plain", ""},
		{"one", "a-${NAME}-b", "a-value-b", ""},
		{"two", "${NAME}${_a1}", "valuex", ""},
		{"never twice", "${NESTED}", "${NAME}", ""},
		{"empty", "${EMPTY}", "", ""},
		{"literal", "$${NAME}", "${NAME}", ""},
		{"dollar before a literal", "$$${NAME}", "$${NAME}", ""},
		{"dollars", "$NAME $ $$ $", "$NAME $ $$ $", ""},
		{"default", "${NONE:-standby}", "standby", ""},
		{"empty default", "${NONE:-}", "", ""},
		{"default for an empty variable", "${EMPTY:-standby}", "standby", ""},
		{"default not needed", "${NAME:-standby}", "value", ""},
		{"default of any text", "${NONE:-a:-$b{c}", "a:-$b{c", ""},
		{"default with a variable", "${NONE:-${NAME}}", "", "${NONE:-default} has ${ in its default, which is never expanded (write the default without ${)"},
		{"default that is not needed, with a variable", "${NAME:-a${NONE:-b}}", "", "${NAME:-default} has ${ in its default, which is never expanded (write the default without ${)"},
		{"default with a literal", "${NONE:-$${NAME}}", "", "${NONE:-default} has ${ in its default, which is never expanded (write the default without ${)"},
		{"unset", "${NONE}", "", "${NONE} is not set (set it, or write ${NONE:-default})"},
		{"open", "${NAME", "", "${ has no closing } (write $${ for the characters ${ themselves)"},
		{"digit first", "${1A}", "", `"${1A}" is neither ${NAME} nor ${NAME:-default} (write $${ for the characters ${ themselves)`},
		{"other operator", "${NAME-x}", "", `"${NAME-x}" is neither ${NAME} nor ${NAME:-default} (write $${ for the characters ${ themselves)`},
		{"credential", "${AWS_SESSION_TOKEN}", "", "${AWS_SESSION_TOKEN} is a credential, which has no place in a configuration"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := env.expand(tt.input)
			fault := ""
			if err != nil {
				fault = err.Error()
			}
			if got != tt.want || fault != tt.fault {
				t.Errorf("expand(%q) = %q, %q, want %q, %q", tt.input, got, fault, tt.want, tt.fault)
			}
		})
	}
}

func TestAWS(t *testing.T) {
	for _, tt := range []struct {
		name  string
		input []string
		want  AWS
	}{
		{"nothing", nil, AWS{MaxAttempts: 3}},
		{"region", []string{"AWS_REGION=us-west-2", "AWS_DEFAULT_REGION=us-east-1"}, AWS{Region: "us-west-2", MaxAttempts: 3}},
		{"default region", []string{"AWS_REGION=", "AWS_DEFAULT_REGION=us-east-1"}, AWS{Region: "us-east-1", MaxAttempts: 3}},
		{
			"keys", []string{"AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=key", "AWS_SESSION_TOKEN=token"},
			AWS{AccessKeyID: "id", SecretAccessKey: "key", SessionToken: "token", MaxAttempts: 3},
		},
		{"half of the keys", []string{"AWS_SECRET_ACCESS_KEY=key", "AWS_SESSION_TOKEN=token"}, AWS{MaxAttempts: 3}},
		{
			"ECS", []string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/x?id=1", "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://localhost/"},
			AWS{ContainerURI: "http://169.254.170.2/v2/x?id=1", MaxAttempts: 3},
		},
		{
			"EKS Pod Identity", []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://[fd00:ec2::23]/v1/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/run/token"},
			AWS{ContainerURI: "http://[fd00:ec2::23]/v1/credentials", ContainerTokenFile: "/run/token", MaxAttempts: 3},
		},
		{
			"SnapStart", []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:9001/2021-04-23/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN=token"},
			AWS{ContainerURI: "http://127.0.0.1:9001/2021-04-23/credentials", ContainerToken: "token", MaxAttempts: 3},
		},
		{"loopback by name", []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://localhost:9001/"}, AWS{ContainerURI: "http://localhost:9001/", MaxAttempts: 3}},
		{"https anywhere", []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=https://example.com/c"}, AWS{ContainerURI: "https://example.com/c", MaxAttempts: 3}},
		{
			"endpoints", []string{"AWS_ENDPOINT_URL=http://127.0.0.1:4566", "AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=false"},
			AWS{EndpointSSM: "http://127.0.0.1:4566", EndpointSecretsManager: "http://127.0.0.1:4566", EndpointDynamoDB: "http://127.0.0.1:8000", MaxAttempts: 3},
		},
		{
			"endpoint of one service", []string{"AWS_ENDPOINT_URL_SSM=https://ssm.example", "AWS_ENDPOINT_URL_SECRETS_MANAGER=https://sm.example"},
			AWS{EndpointSSM: "https://ssm.example", EndpointSecretsManager: "https://sm.example", MaxAttempts: 3},
		},
		{"endpoints ignored", []string{"AWS_ENDPOINT_URL=junk", "AWS_ENDPOINT_URL_SSM=http://127.0.0.1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true"}, AWS{MaxAttempts: 3}},
		{
			"the rest", []string{"AWS_USE_FIPS_ENDPOINT=true", "AWS_USE_DUALSTACK_ENDPOINT=TRUE", "AWS_MAX_ATTEMPTS=1", "AWS_CA_BUNDLE="},
			AWS{FIPS: true, DualStack: true, MaxAttempts: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("config.yaml", []byte("{}"), Options{Env: tt.input})
			if err != nil {
				t.Fatalf("Parse with %v = %v", tt.input, err)
			}
			if c.AWS != tt.want {
				t.Errorf("Parse with %v: AWS = %+v, want %+v", tt.input, c.AWS, tt.want)
			}
		})
	}
}

func TestContainerURIFaults(t *testing.T) {
	const plain = "AWS_CONTAINER_CREDENTIALS_FULL_URI: plain http to a host other than this one or the container agents of AWS (use https)"
	for _, tt := range []struct{ name, input, want string }{
		{"relative without slash", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=.example.com/", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: not a path that begins with /"},
		{"other host", "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.3/", plain},
		{"name that looks like loopback", "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1.example.com/", plain},
		{"no URL", "AWS_CONTAINER_CREDENTIALS_FULL_URI=/path", "AWS_CONTAINER_CREDENTIALS_FULL_URI: not an http or https URL with a host"},
		{"two headers", "AWS_CONTAINER_AUTHORIZATION_TOKEN=a\nb", "AWS_CONTAINER_AUTHORIZATION_TOKEN: holds a line break, which no header may"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("config.yaml", []byte("{}"), Options{Env: []string{tt.input}})
			if err == nil || err.Error() != tt.want {
				t.Errorf("Parse with %q = %v, want %s", tt.input, err, tt.want)
			}
		})
	}
}

// TestCABundle reads a bundle of two authorities with a remark between them, as bundles have.
func TestCABundle(t *testing.T) {
	var bundle []byte
	want := x509.NewCertPool()
	for _, name := range []string{"one", "two"} {
		cert := authority(t, name)
		want.AddCert(cert)
		bundle = append(bundle, name+"\n"...)
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := parse(t, "{}", "AWS_CA_BUNDLE="+file).AWS; !want.Equal(got.RootCAs) {
		t.Errorf("Parse with AWS_CA_BUNDLE=%s: roots %v, want %v", file, got.RootCAs, want)
	}
}

func TestCABundleFaults(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cut := authority(t, "cut").Raw[1:]
	for _, tt := range []struct{ name, input, want string }{
		{"no file", filepath.Join(dir, "none"), "cannot be read: no such file or directory"},
		{"directory", dir, "cannot be read: is a directory"},
		{"empty", file("empty", nil), "holds no certificate in PEM form"},
		{"not PEM", file("text", []byte("hunter2")), "holds no certificate in PEM form"},
		{"a key", file("key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("hunter2")})), "holds no certificate in PEM form"},
		{"broken certificate", file("cut", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cut})), "holds no certificate in PEM form"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("config.yaml", []byte("ttl: 60\n"), Options{Env: []string{"AWS_CA_BUNDLE=" + tt.input}})
			want := "config.yaml:1: ttl: \"60\" has no unit (write a unit, such as 60s)\nAWS_CA_BUNDLE: " + tt.input + " " + tt.want
			if err == nil || err.Error() != want {
				t.Errorf("Parse with AWS_CA_BUNDLE=%s = %v, want %s", tt.input, err, want)
			}
		})
	}
}

// authority returns the certificate of a made-up certificate authority.
func authority(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true}
	raw, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestServerToken(t *testing.T) {
	for _, tt := range []struct {
		name, input string
		env         []string
		want        string
	}{
		{"off", "server: {token: false}", []string{"AWS_SESSION_TOKEN=s"}, ""},
		{"session", "server: {token: true}", []string{"AWS_CONTAINER_AUTHORIZATION_TOKEN=c", "AWS_SESSION_TOKEN=s"}, "s"},
		{"container", "server: {token: true}", []string{"AWS_CONTAINER_AUTHORIZATION_TOKEN=c", "AWS_SESSION_TOKEN="}, "c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := parse(t, tt.input, tt.env...).Server.Token; got != tt.want {
				t.Errorf("Parse(%q) with %v: token %q, want %q", tt.input, tt.env, got, tt.want)
			}
		})
	}
}
