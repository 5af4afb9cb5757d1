package server

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/cache"
)

func TestBodies(t *testing.T) {
	const (
		text   = "text/plain; charset=utf-8"
		json   = "application/json"
		octets = "application/octet-stream"
	)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, row := range []struct {
		name  string
		input reply
		want  string // Content-Type
	}{
		{"text", reply{body: "hello"}, text},
		{"empty", reply{body: ""}, text},
		{"empty binary", reply{body: "", binary: true}, octets},
		{"object", reply{body: `{"a":1}`}, json},
		{"array", reply{body: `[1,2]`}, json},
		{"space around", reply{body: " \r\n\t{ }\n"}, json},
		{"space alone", reply{body: " \n"}, text},
		{"number", reply{body: "42"}, text},
		{"string in quotes", reply{body: `"a"`}, text},
		{"null", reply{body: "null"}, text},
		{"nearly an object", reply{body: `{"a":1`}, text},
		{"two objects", reply{body: `{}{}`}, text},
		{"other spaces", reply{body: "\u00a0{}"}, text},
		{"line ends and NUL", reply{body: "a\r\nb\n\x00<html>"}, text},
		{"not UTF-8", reply{body: "\xff\xfe"}, text},
		{"all bytes", reply{body: string(every), binary: true}, octets},
		{"an object in bytes", reply{body: "{}", binary: true}, octets},
		{"64 KiB", reply{body: strings.Repeat("0123456789abcdef", 4096)}, text},
		{"member order and digits", reply{body: `{"b":12345678901234567890123456789012345678,"a":1.10e+2}`}, json},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(map[string]reply{"a": row.input}, setup{})
			for _, way := range []string{"fetched", "from memory", "with an empty field"} {
				target := "/secrets?name=a"
				if way == "with an empty field" {
					target += "&field="
				}
				w := f.wantBody(t, target, 200, row.input.body)
				wantHeader(t, w.Header(), "Content-Type", row.want)
				wantHeader(t, w.Header(), "Content-Length", fmt.Sprint(len(row.input.body)))
				if t.Failed() {
					t.Fatal(way)
				}
			}
		})
	}
}

func TestBelowAPath(t *testing.T) {
	members := map[string]*cache.Value{"on": {Body: []byte("true")}, "rules": {Body: []byte(`{"a":"b"}`)}}
	f := newFixture(map[string]reply{"/flags/": {body: `{"on":"true"}`, members: members}}, setup{})
	for _, row := range []struct{ name, input, want, contentType string }{
		{"the path", "/flags/", `{"on":"true"}`, "application/json"},
		{"a name", "/flags/on", "true", "text/plain; charset=utf-8"},
		{"a name with JSON", "/flags/rules", `{"a":"b"}`, "application/json"},
		{"a field of a name", "/flags/rules&field=/a", "b", "text/plain; charset=utf-8"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := f.wantBody(t, "/parameters?name="+row.input, 200, row.want)
			wantHeader(t, w.Header(), "Content-Type", row.contentType)
		})
	}
	if got := f.src.count("/flags/"); got != 1 {
		t.Errorf("%d calls were made, want 1", got)
	}
}

func TestETag(t *testing.T) {
	replies := map[string]reply{
		"a": {body: `{"k":"v","n":[1]}`}, "same": {body: `{"k":"v","n":[1]}`}, "v": {body: "v"}, "n": {body: "[1]"}, "empty": {},
	}
	f := newFixture(replies, setup{})
	tag := func(f *fixture, query string) string {
		return f.ask("GET", "/secrets?name="+query).Header().Get("ETag")
	}

	a := tag(f, "a")
	if !regexp.MustCompile(`^"[!#-~]{16,}"$`).MatchString(a) {
		t.Errorf("ETag = %s, want a strong one", a)
	}
	for _, row := range []struct {
		name, input, like string
		want              bool
	}{
		{"again", "a", "a", true},
		{"the same bytes under another name", "same", "a", true},
		{"refreshed, unchanged", "a&refresh=true", "a", true},
		{"empty field", "a&field=", "a", true},
		{"a field is what is sent", "a&field=/k", "v", true},
		{"so is one that is not a string", "a&field=/n", "n", true},
		{"a field is not the whole", "a&field=/k", "a", false},
		{"other bytes", "v", "a", false},
		{"no bytes", "empty", "v", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got, like := tag(f, row.input), tag(f, row.like); (got == like) != row.want {
				t.Errorf("ETag of %s is %s and that of %s is %s: same must be %t", row.input, got, row.like, like, row.want)
			}
		})
	}
	if other := tag(newFixture(replies, setup{}), "a"); other == a {
		t.Errorf("the ETag of another process is %s, too: whoever sees it can try values against it", other)
	}
}

func TestETagChangesWithValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(map[string]reply{"a": {body: "v1"}}, setup{})
		old := f.ask("GET", "/secrets?name=a").Header().Get("ETag")
		f.src.set("a", reply{body: "v2"})
		time.Sleep(time.Minute)
		if w := f.ask("GET", "/secrets?name=a", "If-None-Match", old); w.Code != 200 || w.Body.String() != "v2" {
			t.Errorf("GET with the old tag = %d %q, want 200 %q", w.Code, w.Body, "v2")
		}
	})
}

func TestIfNoneMatch(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: `{"k":"v"}`}}, setup{})
	tag := f.ask("GET", "/secrets?name=a").Header().Get("ETag")
	inner := strings.Trim(tag, `"`)
	for _, row := range []struct {
		name  string
		input []string // the fields
		want  int
	}{
		{"none", nil, 200},
		{"the tag", []string{tag}, 304},
		{"weak", []string{"W/" + tag}, 304},
		{"star", []string{"*"}, 304},
		{"last of a list", []string{`"x", W/"y",` + tag}, 304},
		{"first of a list", []string{tag + `, "x"`}, 304},
		{"no space", []string{`"x",` + tag + `,"y"`}, 304},
		{"empty elements", []string{`, ,` + tag + `,`}, 304},
		{"second field", []string{`"x"`, tag}, 304},
		{"field after a bad one", []string{`nonsense`, tag}, 304},
		{"comma within a tag", []string{`"x,y", ` + tag}, 304},
		{"another", []string{`"x"`}, 200},
		{"empty", []string{""}, 200},
		{"empty tag", []string{`""`}, 200},
		{"no quotes", []string{inner}, 200},
		{"half a quote", []string{`"` + inner}, 200},
		{"within another", []string{`"x` + inner + `"`}, 200},
		{"prefix", []string{`"` + inner[:8] + `"`}, 200},
		{"weak in lower case", []string{"w/" + tag}, 200},
		{"star within a tag", []string{`"*"`}, 200},
		{"weak star", []string{"W/*"}, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			var header []string
			for _, v := range row.input {
				header = append(header, "If-None-Match", v)
			}
			w := f.ask("GET", "/secrets?name=a", header...)
			if w.Code != row.want {
				t.Errorf("If-None-Match: %q gives %d, want %d", row.input, w.Code, row.want)
			}
			wantHeader(t, w.Header(), "ETag", tag)
		})
	}
	if w := f.ask("GET", "/secrets?name=a&field=/k", "If-None-Match", tag); w.Code != 200 {
		t.Errorf("a field with the tag of the whole = %d, want 200", w.Code)
	}
}

func TestCacheStatus(t *testing.T) {
	for _, row := range []struct {
		name  string
		input cache.Answer
		want  string
	}{
		{"fresh", cache.Answer{How: cache.Hit, TTL: 27 * time.Second}, "cache-extension; hit; ttl=27"},
		{"fresh, rounded down", cache.Answer{How: cache.Hit, TTL: 27999 * time.Millisecond}, "cache-extension; hit; ttl=27"},
		{"fresh to the last", cache.Answer{How: cache.Hit, TTL: 1}, "cache-extension; hit; ttl=0"},
		{"first fetch", cache.Answer{How: cache.Missed, TTL: time.Minute}, "cache-extension; fwd=uri-miss; stored"},
		{"expired", cache.Answer{How: cache.Expired, TTL: time.Minute}, "cache-extension; fwd=stale; stored"},
		{"requested", cache.Answer{How: cache.Requested, TTL: time.Minute}, "cache-extension; fwd=request; stored"},
		{"first fetch, joined", cache.Answer{How: cache.Missed, Collapsed: true}, "cache-extension; fwd=uri-miss; stored; collapsed"},
		{"expired, joined", cache.Answer{How: cache.Expired, Collapsed: true}, "cache-extension; fwd=stale; stored; collapsed"},
		{"requested, joined", cache.Answer{How: cache.Requested, Collapsed: true}, "cache-extension; fwd=request; stored; collapsed"},
		{"first fetch, from the shared tier", cache.Answer{How: cache.Missed, Shared: true}, "shared; hit, cache-extension; fwd=uri-miss; stored"},
		{"the attempt failed, shared", cache.Answer{How: cache.StaleIfError, TTL: -time.Second, Shared: true}, "shared; hit, cache-extension; fwd=stale; ttl=-1; detail=stale-if-error"},
		{"being refreshed", cache.Answer{How: cache.Revalidating, TTL: -3 * time.Second}, "cache-extension; hit; ttl=-3; detail=stale-while-revalidate"},
		{"just expired", cache.Answer{How: cache.Revalidating, TTL: -1}, "cache-extension; hit; ttl=-1; detail=stale-while-revalidate"},
		{"the attempt failed", cache.Answer{How: cache.StaleIfError, TTL: -412 * time.Second}, "cache-extension; fwd=stale; ttl=-412; detail=stale-if-error"},
		{"held off", cache.Answer{How: cache.HeldOff, TTL: -412 * time.Second}, "cache-extension; hit; ttl=-412; detail=stale-if-error"},
		{"refresh limited", cache.Answer{How: cache.RefreshLimited, TTL: 27 * time.Second}, "cache-extension; hit; ttl=27; detail=refresh-limited"},
		{"refresh failed", cache.Answer{How: cache.RefreshFailed, TTL: 27 * time.Second}, "cache-extension; fwd=request; ttl=27; detail=refresh-failed"},
		{"refresh failed, expired", cache.Answer{How: cache.RefreshFailedExpired, TTL: -2500 * time.Millisecond}, "cache-extension; fwd=request; ttl=-3; detail=stale-if-error"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := string(appendCacheStatus(nil, row.input)); got != row.want {
				t.Errorf("cacheStatus(%+v) = %q, want %q", row.input, got, row.want)
			}
		})
	}
}

// TestLifeOfAValue reads one value through its ages, with AWS well and not.
func TestLifeOfAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(map[string]reply{"a": {body: "v1"}}, setup{cache: cache.Options{StaleWhileRevalidate: 5 * time.Second}})
		read := func(query, body, age, status string) {
			t.Helper()
			w := f.wantBody(t, "/secrets?name="+query, 200, body)
			wantHeader(t, w.Header(), "Age", age)
			wantHeader(t, w.Header(), "Cache-Status", "cache-extension; "+status)
		}
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		read("a", "v1", "0", "fwd=uri-miss; stored")
		read("a&refresh=true", "v1", "0", "hit; ttl=60; detail=refresh-limited")
		pass(33*time.Second + 500*time.Millisecond)
		read("a", "v1", "33", "hit; ttl=26")
		f.src.set("a", reply{body: "v2"})
		read("a&refresh=false", "v1", "33", "hit; ttl=26")
		read("a&refresh=true", "v2", "0", "fwd=request; stored")
		pass(62 * time.Second)
		f.src.set("a", reply{body: "v3"})
		read("a", "v2", "62", "hit; ttl=-2; detail=stale-while-revalidate")
		pass(0)
		read("a", "v3", "0", "hit; ttl=60")
		pass(65 * time.Second)
		f.src.set("a", reply{body: "v4"})
		read("a", "v4", "0", "fwd=stale; stored")
		pass(10 * time.Second)
		f.src.set("a", reply{err: cache.ErrThrottled})
		read("a&refresh=true", "v4", "10", "fwd=request; ttl=50; detail=refresh-failed")
		pass(60 * time.Second)
		read("a", "v4", "70", "fwd=stale; ttl=-10; detail=stale-if-error")
		read("a", "v4", "70", "hit; ttl=-10; detail=stale-if-error") // held off since the second failure
		pass(30 * time.Second)
		read("a&refresh=true", "v4", "100", "fwd=request; ttl=-40; detail=stale-if-error")
		pass(30 * time.Second)
		f.src.set("a", reply{hang: true})
		read("a", "v4", "130", "fwd=stale; ttl=-71; detail=stale-if-error") // after waiting 500 ms
		pass(2 * time.Hour)
		f.src.set("a", reply{body: "v5"})
		read("a", "v5", "0", "fwd=stale; stored")
	})
}

// TestCollapsed: who joined says so, and a read is made once.
func TestCollapsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		f := newFixture(map[string]reply{"a": {body: "v", hold: hold}}, setup{})
		const readers = 200
		answers := make(chan *httptest.ResponseRecorder, readers)
		for range readers {
			go func() { answers <- f.ask("GET", "/secrets?name=a") }()
		}
		synctest.Wait()
		close(hold)
		got := make(map[string]int)
		for range readers {
			w := <-answers
			if w.Code != 200 || w.Body.String() != "v" {
				t.Errorf("a reader got %d %q, want 200 %q", w.Code, w.Body, "v")
			}
			got[w.Header().Get("Cache-Status")]++
		}
		if first, joined := got["cache-extension; fwd=uri-miss; stored"], got["cache-extension; fwd=uri-miss; stored; collapsed"]; first != 1 || joined != readers-1 {
			t.Errorf("Cache-Status = %v, want 1 first fetch and %d that joined", got, readers-1)
		}
		if got := f.src.count("a"); got != 1 {
			t.Errorf("%d calls were made, want 1", got)
		}
	})
}
