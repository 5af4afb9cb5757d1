package server

import (
	"net/url"
	"strings"
	"testing"
)

func TestQuery(t *testing.T) {
	for _, row := range []struct {
		name, input string
		want        query
	}{
		{"plain", "name=a", query{name: "a"}},
		{"slash and colon as they are", "name=arn:aws:secretsmanager:us-east-1:123456789012:secret:a/b-AbCdEf",
			query{name: "arn:aws:secretsmanager:us-east-1:123456789012:secret:a/b-AbCdEf"}},
		{"slash and colon encoded", "name=%2Fapp%2fdb%3Aurl", query{name: "/app/db:url"}},
		{"plus is a space", "name=a+b", query{name: "a b"}},
		{"%20 is a space", "name=a%20b", query{name: "a b"}},
		{"%2B is a plus", "name=a%2Bb", query{name: "a+b"}},
		{"encoded ampersand, equals sign and percent", "name=%26%3D%25", query{name: "&=%"}},
		{"equals sign as it is", "name=a=b", query{name: "a=b"}},
		{"decoded once", "name=%2541", query{name: "%41"}},
		{"encoded key", "n%61me=a", query{name: "a"}},
		{"UTF-8", "name=%C3%BC&field=/%C3%BC", query{name: "ü", field: "/ü"}},
		{"question mark", "name=a?b", query{name: "a?b"}},
		{"space alone", "name=+", query{name: " "}},
		{"empty pairs", "&&name=a&", query{name: "a"}},
		{"field", "name=a&field=/b/0/~01~10", query{name: "a", field: "/b/0/~01~10"}},
		{"empty field", "field=&name=a", query{name: "a"}},
		{"field without a value", "field&name=a", query{name: "a"}},
		{"field of the empty key", "name=a&field=/", query{name: "a", field: "/"}},
		{"refresh", "name=a&refresh=true", query{name: "a", refresh: true}},
		{"no refresh", "refresh=false&name=a", query{name: "a"}},
		{"all", "refresh=true&field=/x&name=a", query{"a", "/x", true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got, p := parseQuery("secrets", "", row.input); p != nil || got != row.want {
				t.Errorf("parseQuery(%q) = %+v, %+v, want %+v", row.input, got, p, row.want)
			}
		})
	}
}

func TestBadQuery(t *testing.T) {
	const (
		malformed = "The query is malformed: encode % as %25, & as %26, ; as %3B and + as %2B."
		noName    = "Say which entry of config.yaml to read: /secrets?name=<name>."
		pointer   = " is not a JSON pointer (RFC 6901): start it with /, and write ~ as ~0 and / in a key as ~1."
		use       = ": use name, field and refresh, and encode & in a name as %26."
	)
	for _, row := range []struct{ name, input, want string }{
		{"nothing", "", noName},
		{"no name", "field=/a", noName},
		{"empty name", "name=", noName},
		{"name without a value", "name", noName},
		{"malformed escape", "name=%zz", malformed},
		{"half an escape", "name=a%2", malformed},
		{"malformed key", "%zz=1&name=a", malformed},
		{"semicolon", "name=a;field=/b", malformed},
		{"name twice", "name=a&name=b", `The parameter "name" is given 2 times: give it once.`},
		{"name twice, the same", "name=a&name=a", `The parameter "name" is given 2 times: give it once.`},
		{"name twice, spelt otherwise", "name=a&n%61me=a", `The parameter "name" is given 2 times: give it once.`},
		{"field three times", "name=a&field=&field=&field=", `The parameter "field" is given 3 times: give it once.`},
		{"refresh twice", "name=a&refresh=true&refresh=true", `The parameter "refresh" is given 2 times: give it once.`},
		{"unknown", "name=a&verison=1", `Unknown parameter "verison"` + use},
		{"unknown, the first by name", "name=a&z=1&b=2", `Unknown parameter "b"` + use},
		{"ampersand in a name", "name=a&b", `Unknown parameter "b"` + use},
		{"other case", "Name=a", `Unknown parameter "Name"` + use},
		{"AWS's own parameter", "secretId=a", `Unknown parameter "secretId"` + use},
		{"no key", "name=a&=b", `Unknown parameter ""` + use},
		{"unprintable", "name=a&%00%ff", `Unknown parameter "\x00\xff"` + use},
		{"very long", "name=a&" + strings.Repeat("x", 300), `Unknown parameter "` + strings.Repeat("x", 256) + `…"` + use},
		{"field without slash", "name=a&field=b", `The field "b"` + pointer},
		{"field in fragment form", "name=a&field=%23/b", `The field "#/b"` + pointer},
		{"field with a bad escape", "name=a&field=/~2", `The field "/~2"` + pointer},
		{"field with half an escape", "name=a&field=/a~", `The field "/a~"` + pointer},
		{"refresh without a value", "name=a&refresh", `refresh is "": use true or false.`},
		{"empty refresh", "name=a&refresh=", `refresh is "": use true or false.`},
		{"refresh as a number", "name=a&refresh=1", `refresh is "1": use true or false.`},
		{"refresh in capitals", "name=a&refresh=TRUE", `refresh is "TRUE": use true or false.`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, p := parseQuery("secrets", "", row.input)
			if p == nil {
				t.Fatalf("parseQuery(%q) gives no problem, want %q", row.input, row.want)
			}
			if p.status != 400 || p.code != "bad_request" || p.detail != row.want {
				t.Errorf("parseQuery(%q) = %d %s %q, want 400 bad_request %q", row.input, p.status, p.code, p.detail, row.want)
			}
		})
	}
}

// TestQueryEndToEnd: a name goes through net/http as it should, and of two values neither is taken.
func TestQueryEndToEnd(t *testing.T) {
	f := newFixture(map[string]reply{"/a b:ü+c": {body: "v"}, "w": {body: "w"}}, setup{})
	for _, target := range []string{"/parameters?name=/a+b:%C3%BC%2Bc", "/parameters?name=%2Fa%20b%3a%c3%bc%2bc"} {
		f.wantBody(t, target, 200, "v")
	}
	wantProblem(t, f.ask("GET", "/parameters?name=w&name=/a+b:%C3%BC%2Bc"), 400, "bad_request", "")
	wantProblem(t, f.ask("GET", "/parameters?name=w&field=%"), 400, "bad_request", "")
}

// FuzzQuery: a query is refused with a sentence of bounded length, or read into something that reads the same when it
// is written out.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "name=a", "name=a&field=/b~0&refresh=true", "name=%zz", "a;b", "name=+%2B&&", "name=a&name=b", "=", "name=a&field=%00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, p := parseQuery("secrets", "", raw)
		if p != nil {
			if p.status != 400 || p.code != "bad_request" || p.detail == "" || len(p.detail) > 4096 {
				t.Errorf("parseQuery(%q) = problem %d %s of %d bytes", raw, p.status, p.code, len(p.detail))
			}
			return
		}
		if q.name == "" {
			t.Errorf("parseQuery(%q) gives no name and no problem", raw)
		}
		if q.field != "" && q.field[0] != '/' {
			t.Errorf("parseQuery(%q) gives the field %q", raw, q.field)
		}
		form := url.Values{"name": {q.name}, "field": {q.field}, "refresh": {"false"}}
		if q.refresh {
			form.Set("refresh", "true")
		}
		if again, p := parseQuery("secrets", "", form.Encode()); p != nil || again != q {
			t.Errorf("parseQuery(%q) = %+v, but written out again %+v, %+v", raw, q, again, p)
		}
	})
}
