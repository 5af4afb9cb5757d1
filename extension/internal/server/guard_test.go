package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

const (
	wrongHost  = "The Host header must be localhost, 127.0.0.1 or [::1]: ask http://localhost directly, not through another name."
	wrongSite  = "The Origin header names another site: only a page from here may read values."
	wrongFetch = "A browser sent this for another site (Sec-Fetch-Site): only a page from here may read values."
	noToken    = "server.token is on: send the value of AWS_SESSION_TOKEN (else of AWS_CONTAINER_AUTHORIZATION_TOKEN) in the header X-Aws-Parameters-Secrets-Token."
	readOnly   = "This is read only: use GET or HEAD."
)

func proxied(header string) string {
	return "A request with the header " + header + " came through a proxy: exempt localhost from it (NO_PROXY=localhost,127.0.0.1)."
}

// wantGuard compares the answer to a request of /secrets?name=a with the detail of a refusal; empty means 200.
func wantGuard(t *testing.T, f *fixture, method, host string, header []string, want string) {
	t.Helper()
	r := request(method, "/secrets?name=a", header...)
	r.Host = host
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	switch want {
	case "":
		if w.Code != 200 || w.Body.String() != secretText {
			t.Errorf("%s with Host %q and %q = %d %s, want 200", method, host, header, w.Code, w.Body)
		}
	case readOnly:
		wantProblem(t, w, 405, "method", want)
	default:
		wantProblem(t, w, 403, "forbidden", want)
	}
}

func TestGuardHost(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: secretText}}, setup{})
	for _, row := range []struct {
		input string
		want  bool
	}{
		{"localhost", true},
		{"localhost:4000", true},
		{"localhost.", true},
		{"LOCALHOST.:80", true},
		{"LocalHost", true},
		{"127.0.0.1", true},
		{"127.0.0.1:4000", true},
		{"127.9.9.9", true},
		{"127.255.255.255:1", true},
		{"[::1]", true},
		{"[::1]:4000", true},
		{"::1", true},
		{"[0:0:0:0:0:0:0:1]:4000", true},

		{"", false},
		{":4000", false},
		{".", false},
		{"localhost..", false},
		{"example.com", false},
		{"127.0.0.1.evil.example", false},
		{"localhost.evil.example", false},
		{"evil.example:4000", false},
		{"evil-localhost", false},
		{"localhost.localdomain", false},
		{"a.localhost", false},
		{"user@localhost", false},
		{"localhost@evil.example", false},
		{"2130706433", false},
		{"0x7f000001", false},
		{"127.1", false},
		{"127.0.0.01", false},
		{"0177.0.0.1", false},
		{"0.0.0.0", false},
		{"128.0.0.1", false},
		{"126.255.255.255", false},
		{"192.168.0.1:4000", false},
		{"169.254.169.254", false},
		{"[::]", false},
		{"[::2]:4000", false},
		{"[::ffff:127.0.0.1]", false},
		{"[::1%25lo]:4000", false},
		{"::1%lo", false},
		{"[fe80::1]", false},
		{"127.0.0.1, evil.example", false},
		{" localhost", false},
	} {
		t.Run(row.input, func(t *testing.T) {
			want := wrongHost
			if row.want {
				want = ""
			}
			wantGuard(t, f, "GET", row.input, nil, want)
		})
	}
}

func TestGuardHeaders(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: secretText}}, setup{})
	for _, row := range []struct {
		name  string
		input []string
		want  string
	}{
		{"X-Forwarded-For", []string{"X-Forwarded-For", "127.0.0.1"}, proxied("X-Forwarded-For")},
		{"X-Forwarded-For, empty", []string{"X-Forwarded-For", ""}, proxied("X-Forwarded-For")},
		{"X-Forwarded-For, other case", []string{"x-forwarded-for", "10.0.0.1"}, proxied("X-Forwarded-For")},
		{"Forwarded", []string{"Forwarded", "for=127.0.0.1"}, proxied("Forwarded")},
		{"Forwarded, empty", []string{"Forwarded", ""}, proxied("Forwarded")},
		{"Via", []string{"Via", "1.1 proxy"}, proxied("Via")},
		{"Via, empty", []string{"Via", ""}, proxied("Via")},

		{"own Origin", []string{"Origin", "http://localhost:4000"}, ""},
		{"own Origin, other case", []string{"Origin", "HTTP://LOCALHOST:4000"}, ""},
		{"Origin null", []string{"Origin", "null"}, wrongSite},
		{"Origin empty", []string{"Origin", ""}, wrongSite},
		{"Origin on another port", []string{"Origin", "http://localhost:4001"}, wrongSite},
		{"Origin without a port", []string{"Origin", "http://localhost"}, wrongSite},
		{"Origin by another name", []string{"Origin", "http://127.0.0.1:4000"}, wrongSite},
		{"Origin without a scheme", []string{"Origin", "localhost:4000"}, wrongSite},
		{"Origin elsewhere", []string{"Origin", "https://evil.example"}, wrongSite},
		{"Origin that begins like ours", []string{"Origin", "http://localhost:4000.evil.example"}, wrongSite},
		{"Origin with ours as user", []string{"Origin", "http://localhost:4000@evil.example"}, wrongSite},
		{"Origin with ours as path", []string{"Origin", "http://evil.example/localhost:4000"}, wrongSite},
		{"Origin that does not parse", []string{"Origin", "http://%zz"}, wrongSite},
		{"two Origins, one of them ours", []string{"Origin", "http://localhost:4000", "Origin", "https://evil.example"}, wrongSite},

		{"Sec-Fetch-Site none", []string{"Sec-Fetch-Site", "none"}, ""},
		{"Sec-Fetch-Site same-origin", []string{"Sec-Fetch-Site", "same-origin"}, ""},
		{"Sec-Fetch-Site same-site", []string{"Sec-Fetch-Site", "same-site"}, wrongFetch},
		{"Sec-Fetch-Site cross-site", []string{"Sec-Fetch-Site", "cross-site"}, wrongFetch},
		{"Sec-Fetch-Site empty", []string{"Sec-Fetch-Site", ""}, wrongFetch},
		{"Sec-Fetch-Site unknown", []string{"Sec-Fetch-Site", "x"}, wrongFetch},
		{"two Sec-Fetch-Sites", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Site", "cross-site"}, wrongFetch},

		{"a token nobody asked for", []string{"X-Aws-Parameters-Secrets-Token", "x"}, ""},
		{"other headers", []string{"User-Agent", "x", "X-Real-Ip", "10.0.0.1", "Accept", "text/html"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			wantGuard(t, f, "GET", "localhost:4000", row.input, row.want)
		})
	}
}

func TestGuardToken(t *testing.T) {
	const header = "X-Aws-Parameters-Secrets-Token"
	f := newFixture(map[string]reply{"a": {body: secretText}}, setup{token: "the-token=="})
	for _, row := range []struct {
		name  string
		input []string
		want  string
	}{
		{"the token", []string{header, "the-token=="}, ""},
		{"header in AWS's spelling", []string{"X-AWS-Parameters-Secrets-Token", "the-token=="}, ""},
		{"none", nil, noToken},
		{"empty", []string{header, ""}, noToken},
		{"prefix", []string{header, "the-token="}, noToken},
		{"longer", []string{header, "the-token==="}, noToken},
		{"other case", []string{header, "The-Token=="}, noToken},
		{"under another header", []string{"Authorization", "the-token=="}, noToken},
	} {
		t.Run(row.name, func(t *testing.T) {
			wantGuard(t, f, "GET", "localhost:4000", row.input, row.want)
		})
	}
	f.wantBody(t, "/healthz", 200, "ok")
	for _, target := range []string{"/stats", "/nosuch", "/healthz/", "/secrets", "/"} {
		wantProblem(t, f.ask("GET", target), 403, "forbidden", noToken)
	}
	for _, w := range []*httptest.ResponseRecorder{
		f.ask("GET", "/healthz", "Via", "x"), f.ask("GET", "/healthz", "Origin", "null"), f.ask("GET", "/healthz", "Sec-Fetch-Site", "cross-site"),
	} {
		wantProblem(t, w, 403, "forbidden", "") // free of the token only
	}
	wantProblem(t, f.ask("POST", "/healthz"), 405, "method", readOnly)
}

func TestGuardPages(t *testing.T) {
	said := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
	}
	f := newFixture(nil, setup{token: "t", pages: map[string]http.Handler{"/": said("page"), "/entries": said("entries")}})
	f.wantBody(t, "/", 200, "page") // a browser sends no token with it
	wantProblem(t, f.ask("GET", "/entries"), 403, "forbidden", noToken)
	if w := f.ask("GET", "/entries", tokenHeader, "t"); w.Body.String() != "entries" {
		t.Errorf("GET /entries with the token = %d %q, want it", w.Code, w.Body)
	}
	wantProblem(t, f.ask("GET", "/entries/", tokenHeader, "t"), 404, "no_route", "")
	wantProblem(t, f.ask("GET", "/", "Sec-Fetch-Site", "cross-site"), 403, "forbidden", "")
	wantProblem(t, f.ask("POST", "/"), 405, "method", readOnly)
}

// TestGuardOrder begins with all that can be wrong and rights one thing after the other.
func TestGuardOrder(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: secretText}}, setup{token: "t"})
	host, method := "evil.example", "POST"
	header := []string{"X-Forwarded-For", "x", "Origin", "https://evil.example.net", "Sec-Fetch-Site", "cross-site"}
	wantGuard(t, f, method, host, header, wrongHost)
	host = "localhost"
	wantGuard(t, f, method, host, header, proxied("X-Forwarded-For"))
	header = header[2:]
	wantGuard(t, f, method, host, header, wrongSite)
	header = header[2:]
	wantGuard(t, f, method, host, header, wrongFetch)
	header = nil
	wantGuard(t, f, method, host, header, noToken)
	header = []string{"X-Aws-Parameters-Secrets-Token", "t"}
	wantGuard(t, f, method, host, header, readOnly)
	method = "GET"
	wantGuard(t, f, method, host, header, "")
	if got := f.src.count("a"); got != 1 {
		t.Errorf("%d calls were made, want that of the last request alone", got)
	}
}

// TestGuardBeforeRoutes: one who may not ask does not learn what there is.
func TestGuardBeforeRoutes(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: secretText}}, setup{})
	for _, target := range []string{"/healthz", "/stats", "/nosuch", "/secrets", "/secrets?name=%zz"} {
		wantProblem(t, f.ask("GET", target, "Via", "x"), 403, "forbidden", proxied("Via"))
		wantProblem(t, f.ask("DELETE", target), 405, "method", readOnly)
	}
}

func TestMethods(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: secretText}}, setup{})
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "NOSUCH"} {
		w := httptest.NewRecorder()
		r := request("GET", "/secrets?name=a")
		r.Method = method
		f.ServeHTTP(w, r)
		wantProblem(t, w, 405, "method", readOnly)
		wantHeader(t, w.Header(), "Allow", "GET, HEAD")
	}
}

// FuzzGuard: no Host that a resolver may point elsewhere is let in, and no Origin but that of Host. Hosts and origins are
// limited to ASCII, which is all that net/http lets through in a Host.
func FuzzGuard(f *testing.F) {
	for _, seed := range [][2]string{
		{"localhost:4000", "http://localhost:4000"}, {"127.0.0.1", "null"}, {"[::1]:4000", ""}, {"[localhost]:1", "http://[localhost]:1"},
		{"localhost.evil.example", ""}, {"127.0.0.1.evil.example:80", "x://127.0.0.1.evil.example:80"}, {"2130706433", "//2130706433"},
		{"[::ffff:127.0.0.1]", ""}, {"::1%lo", ""}, {"localhost:4000", "http://u@localhost:4000/x"}, {"localhost", "http://localhost.evil.example"},
	} {
		f.Add(seed[0], seed[1])
	}
	fixture := newFixture(map[string]reply{"a": {body: secretText}}, setup{})
	f.Fuzz(func(t *testing.T, host, origin string) {
		for _, c := range []byte(host + origin) {
			if c >= 0x80 {
				return
			}
		}
		r := request("GET", "/secrets?name=a", "Origin", origin)
		r.Host = host
		if p := fixture.guard(r); p != nil {
			if p.status != 403 || p.code != "forbidden" {
				t.Errorf("guard with Host %q and Origin %q = %d %s, want 403 forbidden", host, origin, p.status, p.code)
			}
		} else {
			if !ours(host) {
				t.Errorf("guard lets in the Host %q, which may be elsewhere", host)
			}
			if _, site, _ := strings.Cut(strings.ToLower(origin), "//"); !strings.Contains(site, strings.ToLower(host)) {
				t.Errorf("guard lets in the Origin %q with the Host %q", origin, host)
			}
		}
		delete(r.Header, "Origin")
		if p := fixture.guard(r); p != nil && clearlyOurs(host) {
			t.Errorf("guard refuses the Host %q", host)
		}
	})
}

// ours is an oracle: whatever way a port is cut off host, what remains may be this machine.
func ours(host string) bool {
	names := []string{host}
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		names = append(names, host[:i])
	}
	for _, name := range names {
		if clearlyOurs(strings.Trim(name, "[]")) {
			return true
		}
	}
	return false
}

// clearlyOurs says whether a name without a port is this machine.
func clearlyOurs(name string) bool {
	switch strings.ToLower(name) {
	case "localhost", "localhost.", "::1":
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && (netip.MustParsePrefix("127.0.0.0/8").Contains(addr) || addr == netip.MustParseAddr("::1"))
}
