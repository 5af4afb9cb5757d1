package main

import (
	"maps"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"cache-extension/extension/internal/source/awstest"
)

const (
	appConfig   = "parameters:\n  - names: [/app/url, /app/motd]\nsecrets:\n  - name: db\n"
	appFixtures = "parameters:\n  /app/url: https://example.com\nsecrets:\n  db: {value: {user: ann}}\n"
)

func TestServeOffline(t *testing.T) {
	l := newLaptop(t, appConfig, appFixtures)
	delete(l.env, "AWS_REGION") // none is needed, nor credentials or a profile that exists
	t.Setenv("AWS_PROFILE", "gone")
	s := l.serve("--offline")
	s.want("/parameters?name=/app/url", 200, "https://example.com")
	s.want("/secrets?name=db", 200, `{"user":"ann"}`)
	s.want("/parameters?name=/app/motd", 404, "There is no fixture for")
	s.want("/secrets?name=other", 404, `"undeclared"`)
	s.stderr.wait(t, `error="no fixture for it (offline)"`) // the reader was answered before the log was
	s.stop()
	if code := s.wait(); code != exitOK {
		t.Errorf("exit code %d after Ctrl-C, want 0", code)
	}
	want := "cachectl VERSION serves DIR/config.yaml at URL (Ctrl-C stops it)\n" +
		"\n" +
		"  ttl 5m  URL/parameters?name=/app/url\n" +
		"  ttl 5m  URL/parameters?name=/app/motd\n" +
		"  ttl 5m  URL/secrets?name=db\n" +
		"\n" +
		"AWS       nowhere: --offline\n" +
		"Fixtures  DIR/fixtures.yaml, 2 names; all others are missing\n" +
		"Page      URL/ shows what is held, how old it is and what fails\n" +
		"Changes   of DIR/config.yaml and DIR/fixtures.yaml are taken up when they are saved\n" +
		"\n" +
		"Stopped after TIME: 3 reads, 0 from memory; 3 fetched, 1 failed.\n"
	if got := l.neutral(s); got != want {
		t.Errorf("standard output:\n%s\nwant:\n%s", got, want)
	}
	if got := strings.Count(s.stderr.String(), "\n"); got != 1 {
		t.Errorf("standard error has %d lines, want the one of the read that failed:\n%s", got, s.stderr.String())
	}
	if n := l.aws.Count(""); n != 0 {
		t.Errorf("%d calls reached AWS, want none", n)
	}
}

func TestServeOfflineWithoutFixtures(t *testing.T) {
	t.Parallel()
	l := newLaptop(t, appConfig, "")
	s := l.serve("--offline")
	s.want("/secrets?name=db", 404, "Add it under secrets in fixtures.yaml.")
	s.stdout.wait(t, "Fixtures  none: there is no "+l.path("fixtures.yaml")+", so every name is missing\n")
	l.write("fixtures.yaml", appFixtures)
	s.stdout.wait(t, "Reloaded: 3 names, 2 fixtures.\n")
	s.want("/secrets?name=db", 200, `{"user":"ann"}`)
	if err := os.Remove(l.path("fixtures.yaml")); err != nil {
		t.Fatal(err)
	}
	s.stdout.wait(t, "Reloaded: 3 names, no fixtures.\n")
	s.want("/secrets?name=db", 404, `"missing"`)
}

// Where no Region is set, none is made up for the file.
func TestServeOfflineInventsNoVariable(t *testing.T) {
	t.Parallel()
	l := newLaptop(t, "secrets:\n  - name: db-${AWS_REGION}\n", "")
	delete(l.env, "AWS_REGION")
	s := l.serve("--offline")
	if code := s.wait(); code != exitFault {
		t.Errorf("exit code %d, want 1", code)
	}
	s.stderr.wait(t, "${AWS_REGION} is not set")
}

func TestServeSaysWhichTokenItAsksFor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		input map[string]string
		want  string
	}{
		{"Lambda's", map[string]string{"AWS_SESSION_TOKEN": "not-for-logs", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "other"}, "$AWS_SESSION_TOKEN"},
		{"a container's", map[string]string{"AWS_SESSION_TOKEN": "", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "not-for-logs"}, "$AWS_CONTAINER_AUTHORIZATION_TOKEN"},
	}
	for _, tt := range tests {
		l := newLaptop(t, "server: {token: true}\n"+appConfig, appFixtures)
		maps.Copy(l.env, tt.input)
		s := l.serve("--offline")
		got := s.stdout.wait(t, "Token ")
		if want := `-H "X-Aws-Parameters-Secrets-Token: ` + tt.want + "\"\n"; !strings.HasSuffix(got, want) {
			t.Errorf("%s: the banner says %q, want …%s", tt.name, got, want)
		}
	}
}

func TestServeAsksAWSForWhatHasNoFixture(t *testing.T) {
	profiles(t, "")
	l := newLaptop(t, appConfig, appFixtures)
	l.aws.PutParameter(region, "/app/motd", awstest.Parameter{Value: value})
	s := l.serve("--fixtures", l.path("fixtures.yaml"))
	for range 2 {
		s.want("/parameters?name=/app/url", 200, "https://example.com")
		s.want("/parameters?name=/app/motd", 200, value)
	}
	if n := l.aws.Count(""); n != 1 {
		t.Errorf("%d calls reached AWS, want the one for /app/motd", n)
	}
	s.stdout.wait(t, "AWS       http://127.0.0.1:")
	s.stdout.wait(t, ", eu-west-1, keys of the environment\n")
	s.stdout.wait(t, "2 names; all others are read from AWS\n")
	s.stdout.wait(t, "every process of this machine can read the secrets")
	s.stop()
	s.wait()
	s.stdout.wait(t, ": 4 reads, 2 from memory; 2 fetched, 0 failed.\n")
}

func TestServeTakesRegionAndKeysFromTheProfile(t *testing.T) {
	profiles(t, keysProfile)
	t.Setenv("AWS_PROFILE", "keys")
	l := newLaptop(t, "secrets:\n  - name: db\n", "")
	l.env = map[string]string{"AWS_PROFILE": "keys", "AWS_ENDPOINT_URL": l.env["AWS_ENDPOINT_URL"], "AWS_REGION": ""}
	l.aws.PutSecret("eu-north-1", "db", awstest.Secret{Text: value})
	s := l.serve()
	s.want("/secrets?name=db", 200, value)
	s.stdout.wait(t, `, eu-north-1, profile "keys"`)
}

func TestServeReloads(t *testing.T) {
	t.Parallel()
	l := newLaptop(t, appConfig, appFixtures)
	s := l.serve("--offline")
	s.want("/parameters?name=/app/url", 200, "https://example.com")

	l.write("fixtures.yaml", strings.ReplaceAll(appFixtures, "example.com", "example.org"))
	s.stdout.wait(t, "Reloaded: 3 names, 2 fixtures.\n")
	s.want("/parameters?name=/app/url", 200, "https://example.org")

	l.write("config.yaml", appConfig+"  - name: a name & more\n")
	s.stdout.wait(t, "Reloaded: 4 names, 2 fixtures.\n")
	s.stdout.wait(t, "/secrets?name=a+name+%26+more\n")
	s.want("/secrets?name=a+name+%26+more", 404, `"missing"`)
	if urls := strings.Count(s.stdout.String(), "?name=db"); urls != 1 {
		t.Errorf("the URL of a name that was there before was printed %d times, want once:\n%s", urls, s.stdout.String())
	}
	s.stop()
	s.wait()
	s.stdout.wait(t, ": 3 reads, 0 from memory; 3 fetched, 1 failed.\n") // over all three configurations
}

func TestServeKeepsWhatItHasUntilFaultsAreMended(t *testing.T) {
	t.Parallel()
	l := newLaptop(t, appConfig, appFixtures)
	s := l.serve("--offline")
	s.want("/secrets?name=db", 200, `{"user":"ann"}`)

	l.write("config.yaml", "secretz: []\nttl: 1\n"+appConfig)
	s.stderr.wait(t, ":2:6: ttl: \"1\" has no unit")
	kept := s.stderr.wait(t, "is served on until")
	if want := " The change is not taken up. What was read before is served on until this is mended.\n"; !strings.HasSuffix(kept, want) {
		t.Errorf("after a faulty change: %q, want …%q", kept, want)
	}
	if !strings.Contains(s.stderr.String(), "    1 | secretz: []\n      | ^\n") {
		t.Errorf("no caret:\n%s", s.stderr.String())
	}
	s.want("/secrets?name=db", 200, `{"user":"ann"}`)

	l.write("config.yaml", appConfig)
	s.stdout.wait(t, "Mended and reloaded: 3 names, 2 fixtures.\n")
	l.write("fixtures.yaml", "secrets:\n  db:\n    valu: 1\n")
	s.stderr.wait(t, `(did you mean "value"?)`)
	s.want("/secrets?name=db", 200, `{"user":"ann"}`)
	if err := os.Remove(l.path("config.yaml")); err != nil {
		t.Fatal(err)
	}
	s.stderr.wait(t, "config.yaml: no such file")
	l.write("config.yaml", appConfig)
	l.write("fixtures.yaml", appFixtures+"parameter:")
	s.stderr.wait(t, `unknown key "parameter"`)
	if got := strings.Count(s.stdout.String(), "eloaded"); got != 1 {
		t.Errorf("%d reloads, want the one of the mended file:\n%s", got, s.stdout.String())
	}
}

func TestServeReloadsSettings(t *testing.T) {
	t.Parallel()
	l := newLaptop(t, appConfig, appFixtures)
	l.env["AWS_SESSION_TOKEN"] = "session-not-for-logs"
	s := l.serve("--offline")
	s.want("/parameters?name=/app/motd", 404, `"missing"`)
	if line := s.stderr.wait(t, "fetch failed"); strings.Contains(line, "/app/motd") {
		t.Errorf("at the level info the log names an entry: %s", line)
	}
	l.write("config.yaml", "server: {token: true}\nlog: {level: debug}\n"+appConfig)
	s.stdout.wait(t, "Reloaded")
	s.want("/parameters?name=/app/url", 403, `"forbidden"`)
	l.write("config.yaml", "log: {level: debug}\n"+appConfig+"unknown: x")
	s.stderr.wait(t, `unknown key "unknown"`)
	s.want("/parameters?name=/app/url", 403, `"forbidden"`)
	l.write("config.yaml", "log: {level: debug}\n"+appConfig)
	s.stdout.wait(t, "Mended")
	s.want("/parameters?name=/app/motd", 404, `"missing"`)
	s.stderr.wait(t, "name=/app/motd")
}

func TestServeDoesNotChangeItsPort(t *testing.T) {
	t.Parallel()
	l := newLaptop(t, "server: {port: 0}\n"+appConfig, appFixtures)
	s := l.serveOn(nil, "--offline")
	s.want("/secrets?name=db", 200, `{"user":"ann"}`)
	l.write("config.yaml", "server: {port: 4321}\n"+appConfig)
	s.stderr.wait(t, "config.yaml: server.port was 0 and is 4321 now: restart to change the port\n")
	s.want("/secrets?name=db", 200, `{"user":"ann"}`)
}

func TestServePortFlagWins(t *testing.T) {
	t.Parallel()
	l := newLaptop(t, "server: {port: 1}\n"+appConfig, appFixtures)
	l.env["CACHE_EXTENSION_PORT"] = "2"
	s := l.serve("--offline")
	s.want("/secrets?name=db", 200, `{"user":"ann"}`)
	l.write("config.yaml", "server: {port: 3}\n"+appConfig)
	s.stdout.wait(t, "Reloaded") // the file's port does not count, so it may change
}

func TestServePortTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	s := newLaptop(t, appConfig, appFixtures).serveOn([]string{"--port", port}, "--offline")
	if code := s.wait(); code != exitFault {
		t.Errorf("exit code %d, want 1", code)
	}
	want := "cachectl: port " + port + " is taken by another process: stop it, or take a free port with --port 0\n"
	if got := s.stderr.String(); got != want || s.stdout.String() != "" {
		t.Errorf("standard error %q, want %q; standard output %q", got, want, s.stdout.String())
	}
}

func TestServeRequired(t *testing.T) {
	t.Parallel()
	const config = "secrets:\n  - name: db\n  - name: must\n    required: true\n"
	l := newLaptop(t, config, appFixtures)
	l.write("fixtures.yaml", "secrets: {db: x}\n")
	s := l.serve("--offline")
	if code := s.wait(); code != exitFault {
		t.Errorf("exit code %d, want 1", code)
	}
	s.stderr.wait(t, "cachectl: "+l.path("config.yaml")+`:3: secrets: "must" is required: no fixture for it (offline)`)

	l.write("fixtures.yaml", "secrets: {db: before, must: x}\n")
	s = l.serve("--offline")
	s.want("/secrets?name=db", 200, "before")
	l.write("fixtures.yaml", "secrets: {db: after}\n")
	s.stderr.wait(t, `"must" is required`)
	s.stderr.wait(t, "is served on until")
	s.want("/secrets?name=db", 200, "before")
	l.write("fixtures.yaml", "secrets: {db: after, must: x}\n")
	s.stdout.wait(t, "Mended")
	s.want("/secrets?name=db", 200, "after")
}

func TestServeEndsWhileItPrefetches(t *testing.T) {
	profiles(t, "")
	l := newLaptop(t, "prefetch_timeout: 1h\nsecrets:\n  - name: db\n    required: true\n", "")
	l.aws.Fail(awstest.Match{}, awstest.Fault{Hang: true})
	s := l.serve()
	s.stdout.wait(t, "Changes")
	s.stop()
	if code := s.wait(); code != exitOK || strings.Contains(s.stderr.String(), "required") {
		t.Errorf("exit code %d, want 0 and no word of required entries:\n%s", code, s.stderr.String())
	}
}

func TestServeListsTheFirstURLs(t *testing.T) {
	profiles(t, "")
	var config strings.Builder
	config.WriteString("parameters:\n  - path: /flags/\n    ttl: 90s\n  - names:\n")
	for i := range 30 {
		config.WriteString("      - p" + strconv.Itoa(i) + "\n")
	}
	l := newLaptop(t, config.String(), "")
	s := l.serve()
	s.stdout.wait(t, "  … and 11 more: cachectl check lists them, GET /stats counts their reads\n")
	s.stdout.wait(t, "  ttl 1m30s  "+s.base()+"/parameters?name=/flags/\n")
	s.stdout.wait(t, "  ttl 5m     "+s.base()+"/parameters?name=p18\n")
	if got := strings.Count(s.stdout.String(), "?name="); got != maxURLs {
		t.Errorf("%d URLs, want %d:\n%s", got, maxURLs, s.stdout.String())
	}
}
