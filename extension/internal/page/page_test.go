package page

import (
	"encoding/json"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"cache-extension/extension/internal/caches"
)

// get asks the handler at path.
func (w *world) get(path string) *httptest.ResponseRecorder {
	pages := New(Options{
		Caches:  func() []caches.Kind { return w.kinds },
		Config:  func() string { return "config.yaml" },
		Started: time.Now(), Version: "0.1.0",
	})
	rec := httptest.NewRecorder()
	pages[path].ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
	return rec
}

func TestEntries(t *testing.T) {
	w := newWorld(t, "secrets", "a", "parameters", "b", "dynamodb", "c")
	w.aws["secrets"].set("a", reply{size: 10, took: 20500 * time.Microsecond})
	w.read("secrets", "a", 3)
	w.clock.pass(time.Minute)
	rec := w.get("/entries")
	uptime := regexp.MustCompile(`"uptime_ms":[0-9.]+`)
	got := uptime.ReplaceAllString(rec.Body.String(), `"uptime_ms":0`)
	const want = `{"version":"0.1.0","config":"config.yaml","uptime_ms":0,"reads":3,"hits":2,"spared":2,"saved_ms":41,"entries":[` +
		`{"cachetype":"dynamodb","name":"c","line":12,"status":"not read yet","fetching":false,"holds":false,"age_ms":0,"ttl_ms":300000,"stale_if_error_ms":0,"size":0,` +
		`"hold_off_ms":0,"failure":"","failed_ms":0,"reads":0,"fetches":0,"took_ms":0,"spared":0,"saved_ms":0},` +
		`{"cachetype":"parameters","name":"b","line":11,"status":"not read yet","fetching":false,"holds":false,"age_ms":0,"ttl_ms":300000,"stale_if_error_ms":0,"size":0,` +
		`"hold_off_ms":0,"failure":"","failed_ms":0,"reads":0,"fetches":0,"took_ms":0,"spared":0,"saved_ms":0},` +
		`{"cachetype":"secrets","name":"a","line":10,"status":"fresh","fetching":false,"holds":true,"age_ms":60000,"ttl_ms":300000,"stale_if_error_ms":3600000,"size":10,` +
		`"hold_off_ms":0,"failure":"","failed_ms":0,"reads":3,"fetches":1,"took_ms":20.5,"spared":2,"saved_ms":41}]}`
	if rec.Code != 200 || got != want {
		t.Errorf("GET /entries = %d %s\nwant 200 %s", rec.Code, got, want)
	}
	if got := rec.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type = %q, want application/json", got)
	}
}

func TestEntriesOfNothing(t *testing.T) {
	var got struct{ Entries []any }
	if err := json.Unmarshal(newWorld(t).get("/entries").Body.Bytes(), &got); err != nil || got.Entries == nil {
		t.Errorf("entries = %v, %v, want an empty list", got.Entries, err)
	}
}

func TestEntriesHoldNoValue(t *testing.T) {
	if body := busy(t).get("/entries").Body.String(); strings.Contains(body, secret) {
		t.Errorf("GET /entries tells a value: %s", body)
	}
}

func TestPageHeaders(t *testing.T) {
	h := newWorld(t).get("/").Header()
	hash := `'sha256-[A-Za-z0-9+/]{43}='`
	want := regexp.MustCompile(`^default-src 'none'; script-src ` + hash + `; style-src ` + hash + `; connect-src 'self'; img-src data:; ` +
		`base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'$`)
	if got := h.Get("Content-Security-Policy"); !want.MatchString(got) {
		t.Errorf("Content-Security-Policy = %s, want it to match %s", got, want)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

// What the policy would stop must not be there in the first place.
func TestDocumentNeedsNothingElse(t *testing.T) {
	for _, tt := range []struct {
		name, input string
		want        int
	}{
		{"style elements", `<style>`, 1},
		{"script elements", `<script>`, 1},
		{"styles and scripts with attributes", `<(style|script)\s`, 0},
		{"style attributes", `\sstyle=`, 0},
		{"event attributes", `\son[a-z]+=`, 0},
		{"addresses of others", `(src|href|action)="(//|http)|url\(|@import|import\(`, 0},
		{"ways to put HTML", `innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(`, 0},
		{"what outlives the page", `localStorage|sessionStorage|indexedDB|cookie`, 0},
	} {
		if got := regexp.MustCompile(tt.input).FindAllString(document, -1); len(got) != tt.want {
			t.Errorf("%s: found %q, want %d", tt.name, got, tt.want)
		}
	}
}

func TestMilliseconds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		input time.Duration
		want  string
	}{
		{"nothing", 0, "0"},
		{"whole", 300 * time.Second, "300000"},
		{"part", 1500 * time.Microsecond, "1.5"},
		{"less than a microsecond", 900, "0"},
		{"a year", 365 * 24 * time.Hour, "31536000000"},
	} {
		if got, err := json.Marshal(milliseconds(tt.input)); err != nil || string(got) != tt.want {
			t.Errorf("%s: json.Marshal(%v) = %s, %v, want %s", tt.name, tt.input, got, err, tt.want)
		}
	}
}
