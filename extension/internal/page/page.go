// Package page decides what the status page of cachectl serve tells: all that is known of each entry but its value.
package page

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/caches"
)

// Options are what the page tells of.
type Options struct {
	Caches  func() []caches.Kind // those that are served now; a reload may change them
	Config  func() string        // the file they come from
	Started time.Time
	Version string
}

// New returns the handlers of the page and of its data by path: "/" and "/entries". They answer GET and HEAD, and leave to
// the server who may ask.
func New(o Options) map[string]http.Handler {
	policy := policy(document)
	return map[string]http.Handler{
		"/": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h.Set("Content-Type", "text/html; charset=utf-8")
			h.Set("Content-Security-Policy", policy)
			h.Set("Cross-Origin-Opener-Policy", "same-origin")
			h.Set("Cross-Origin-Resource-Policy", "same-origin")
			h.Set("Referrer-Policy", "no-referrer")
			w.Write([]byte(document))
		}),
		"/entries": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			body, err := json.Marshal(o.report(time.Now()))
			if err != nil {
				panic(err) // a bug, which the server logs and answers
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
			w.Write(body)
		}),
	}
}

// document is the whole page. It has one style and one script element, without attributes.
//
//go:embed page.html
var document string

// policy lets the browser run the document's own script, ask this server for data, and nothing else: a name that is put
// into the page the wrong way does no harm.
func policy(document string) string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src " + hash(document, "script"),
		"style-src " + hash(document, "style"),
		"connect-src 'self'",
		"img-src data:", // the icon
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; ")
}

// hash names the text of the element for the policy.
func hash(document, element string) string {
	_, rest, _ := strings.Cut(document, "<"+element+">")
	text, _, _ := strings.Cut(rest, "</"+element+">")
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// report is the answer of /entries.
type report struct {
	Version string       `json:"version"`
	Config  string       `json:"config"`
	Uptime  milliseconds `json:"uptime_ms"`
	// Since the start or the last reload. Reads do not include those of what is remembered as missing or denied.
	Reads   uint64       `json:"reads"`
	Hits    uint64       `json:"hits"` // reads answered from memory, fresh or stale
	Spared  int64        `json:"spared"`
	Saved   milliseconds `json:"saved_ms"`
	Entries []entry      `json:"entries"`
}

// entry is a cache.State, whose comments hold.
type entry struct {
	Cachetype    string       `json:"cachetype"`
	Name         string       `json:"name"`
	Line         int          `json:"line"`
	Status       cache.Status `json:"status"`
	Fetching     bool         `json:"fetching"`
	Holds        bool         `json:"holds"`
	Age          milliseconds `json:"age_ms"`
	TTL          milliseconds `json:"ttl_ms"`
	StaleIfError milliseconds `json:"stale_if_error_ms"`
	Size         int          `json:"size"`
	HoldOff      milliseconds `json:"hold_off_ms"`
	Failure      string       `json:"failure"`
	Failed       milliseconds `json:"failed_ms"`
	Reads        int64        `json:"reads"`
	Fetches      int64        `json:"fetches"`
	Took         milliseconds `json:"took_ms"`
	Spared       int64        `json:"spared"`
	Saved        milliseconds `json:"saved_ms"`
}

func (o Options) report(now time.Time) report {
	r := report{
		Version: o.Version, Config: o.Config(), Entries: []entry{},
		Uptime: milliseconds(now.Sub(o.Started)),
	}
	for _, k := range o.Caches() {
		n := k.Cache.Stats()
		r.Hits += n.Hits + n.Stale
		r.Reads += n.Hits + n.Stale + n.Misses + n.Collapsed
		for _, s := range k.Cache.Snapshot() {
			r.Spared += s.Spared
			r.Saved += milliseconds(s.Saved)
			r.Entries = append(r.Entries, newEntry(k.Name, s))
		}
	}
	return r
}

func newEntry(cachetype string, s cache.State) entry {
	return entry{
		Cachetype: cachetype, Name: s.Name, Line: s.Line, Status: s.Status, Fetching: s.Fetching, Holds: s.Holds,
		Age: milliseconds(s.Age), TTL: milliseconds(s.TTL), StaleIfError: milliseconds(s.StaleIfError), Size: s.Size,
		HoldOff: milliseconds(s.HoldOff), Failure: s.Failure, Failed: milliseconds(s.Failed),
		Reads: s.Reads, Fetches: s.Fetches, Took: milliseconds(s.Took), Spared: s.Spared, Saved: milliseconds(s.Saved),
	}
}

// milliseconds is a duration in JSON: to the microsecond, as a number of milliseconds.
type milliseconds time.Duration

// MarshalJSON writes the number.
func (d milliseconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(time.Duration(d).Microseconds())/1000, 'f', -1, 64), nil
}
