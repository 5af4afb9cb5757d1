package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// profiles gives the test a home of its own with the given AWS configuration file, and an environment without AWS in it.
func profiles(t *testing.T, text string) {
	t.Helper()
	home := t.TempDir()
	file := filepath.Join(home, "config")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // for the SDK, as if it were not set
		}
	}
	for name, value := range map[string]string{
		"HOME":                        home,
		"AWS_CONFIG_FILE":             file,
		"AWS_SHARED_CREDENTIALS_FILE": filepath.Join(home, "credentials"),
		"AWS_EC2_METADATA_DISABLED":   "true",
		"AWS_MAX_ATTEMPTS":            "1",
	} {
		t.Setenv(name, value)
	}
}

const (
	keysProfile = "[profile keys]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = not-for-logs\nregion = eu-north-1\n"
	roleProfile = "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/reader\nsource_profile = keys\nregion = eu-west-3\n"
	ssoProfile  = `[profile sso]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = reader
region = eu-west-1
[sso-session corp]
sso_region = eu-west-1
sso_start_url = https://corp.example/start
`
)

func TestCredentialsOfProfiles(t *testing.T) {
	process := func(script string) string { return "[profile own]\ncredential_process = " + script + "\n" }
	tests := []struct {
		name, profile, config string
		want                  string // the access key, or the error
		region                string
	}{
		{"keys", "keys", keysProfile, "AKIDPROFILE", "eu-north-1"},
		{"default profile", "", strings.ReplaceAll(keysProfile, "profile keys", "default"), "AKIDPROFILE", "eu-north-1"},
		{"role", "role", keysProfile + roleProfile, "AKIDROLE", "eu-west-3"},
		{"process", "own", process(`echo '{"Version":1,"AccessKeyId":"AKIDPROCESS","SecretAccessKey":"not-for-logs"}'`), "AKIDPROCESS", ""},
		{"process fails", "own", process("exit 3"), `no credentials: the credential_process of profile "own" ended with exit status 3; what it wrote says why`, ""},
		{"process prints nonsense", "own", process("echo not-for-logs"), `no credentials: the credential_process of profile "own" did not print credentials`, ""},
		{"no session", "sso", ssoProfile, "no credentials: profile \"sso\" is not signed in, or no longer: run `aws sso login --profile sso`", "eu-west-1"},
		{
			"default profile without a session", "", strings.ReplaceAll(ssoProfile, "profile sso", "default"),
			"no credentials: profile \"default\" is not signed in, or no longer: run `aws sso login`", "eu-west-1",
		},
		{
			"old form of single sign-on", "old", "[profile old]\nsso_start_url = https://corp.example/start\nsso_region = eu-west-1\nsso_account_id = 123456789012\nsso_role_name = reader\n",
			"no credentials: profile \"old\" is not signed in, or no longer: run `aws sso login --profile old`", "",
		},
		{
			"role of a profile without a session", "role", ssoProfile + strings.ReplaceAll(roleProfile, "keys", "sso"),
			"no credentials: profile \"role\" is not signed in, or no longer: run `aws sso login --profile sso`", "eu-west-3",
		},
		{
			"aws login", "console", "[profile console]\nlogin_session = arn:aws:iam::123456789012:user/ann\nregion = eu-west-1\n",
			"no credentials: profile \"console\" is not signed in, or no longer: run `aws login --profile console`", "eu-west-1",
		},
		{
			"refused role", "role", keysProfile + strings.ReplaceAll(roleProfile, "reader", "refused"),
			"no credentials: STS AssumeRole: AccessDenied: not for you", "eu-west-3",
		},
		{
			"nothing", "", "",
			"no credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or sign in with `aws sso login` (with --offline and fixtures none are needed)", "",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			profiles(t, test.config)
			t.Setenv("AWS_PROFILE", test.profile)
			t.Setenv("AWS_ENDPOINT_URL_STS", newSTS(t).URL)
			o, region, err := new(app).awsOptions(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if region != test.region {
				t.Errorf("region %q, want %q", region, test.region)
			}
			c, err := o.Credentials.Retrieve(t.Context())
			got := c.AccessKeyID
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("Retrieve: got %q, want %q", got, test.want)
			}
		})
	}
}

// newSTS returns a service that gives out the role "reader" and refuses any other.
func newSTS(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Form.Get("Action") != "AssumeRole" {
			t.Errorf("STS was asked for %v (%v)", r.Form, err)
		}
		if !strings.HasSuffix(r.Form.Get("RoleArn"), "/reader") {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not for you</Message></Error></ErrorResponse>")
			return
		}
		fmt.Fprintf(w, "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKIDROLE</AccessKeyId>"+
			"<SecretAccessKey>not-for-logs</SecretAccessKey><SessionToken>not-for-logs</SessionToken><Expiration>%s</Expiration>"+
			"</Credentials></AssumeRoleResult></AssumeRoleResponse>", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(s.Close)
	return s
}

func TestCredentialsOfAServiceThatIsDown(t *testing.T) {
	profiles(t, keysProfile+roleProfile)
	t.Setenv("AWS_PROFILE", "role")
	s := newSTS(t)
	s.Close()
	t.Setenv("AWS_ENDPOINT_URL_STS", s.URL)
	o, _, err := new(app).awsOptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.Credentials.Retrieve(t.Context())
	if want := "no credentials: no connection to STS: dial tcp "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Retrieve: %v, want %s…", err, want)
	}
}

func TestKeysOfTheEnvironmentAreLeftToTheConfiguration(t *testing.T) {
	profiles(t, keysProfile)
	t.Setenv("AWS_PROFILE", "keys")
	o, region, err := (&app{environ: []string{"AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b"}}).awsOptions(t.Context())
	if err != nil || o.Credentials != nil || region != "eu-north-1" {
		t.Errorf("awsOptions = %v, %q, %v; want no credentials of the profile but its region", o.Credentials, region, err)
	}
}

func TestProfilesThatCannotBeUsed(t *testing.T) {
	tests := []struct{ name, config, want string }{
		{"dev", keysProfile, "there is no AWS profile \"dev\", which AWS_PROFILE or a source_profile names (`aws configure list-profiles` prints those there are)"},
		{"role", roleProfile, "there is no AWS profile \"keys\", which AWS_PROFILE or a source_profile names (`aws configure list-profiles` prints those there are)"},
		{
			"role", keysProfile + roleProfile + "mfa_serial = arn:aws:iam::123456789012:mfa/ann\n",
			"the role of the AWS profile demands an MFA code, which is asked for in a terminal only (use keys or a session of your own, or --offline)",
		},
		{
			"role", keysProfile + roleProfile + "credential_source = Environment\n",
			"the AWS profile cannot be used: only one credential type may be specified per profile: source profile, credential source, credential process, web identity token",
		},
	}
	for _, test := range tests {
		profiles(t, test.config)
		t.Setenv("AWS_PROFILE", test.name)
		_, _, err := new(app).awsOptions(context.Background())
		if err == nil || err.Error() != test.want {
			t.Errorf("profile %q: error %v, want %s", test.name, err, test.want)
		}
	}
}
