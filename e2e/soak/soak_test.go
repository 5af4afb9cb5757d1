//go:build linux

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestConfigFileDeclaresEveryTarget(t *testing.T) {
	file := configFile()
	seen := make(map[string]bool)
	for _, target := range declare() {
		if seen[target.path] {
			t.Errorf("%s is declared twice", target.path)
		}
		seen[target.path] = true
		if name := strings.TrimPrefix(target.asked, table+"-"); !strings.Contains(file, name) {
			t.Errorf("config.yaml lacks %q", name)
		}
	}
	if got := len(seen); got < 300 {
		t.Errorf("%d names, want hundreds", got)
	}
}

// What the soak is for: each way in which an answer can be wrong is found.
func TestWrongAnswersAreFound(t *testing.T) {
	now := time.Now()
	name := served("secrets", 3, 1)
	ago := func(d time.Duration) string { return valueOf(name, now.Add(-d)) }
	status := func(s string) http.Header {
		return http.Header{"Age": {"0"}, "Cache-Status": {"cache-extension; " + s}}
	}
	w := &weather{phases: []phase{
		{span: span{now.Add(-50 * time.Second), now.Add(-40 * time.Second)}, fault: missing, all: true},
		{span: span{from: now.Add(-time.Second)}, fault: denied, all: true},
	}}
	for _, c := range []struct {
		name   string
		header http.Header
		status int
		body   string
		want   string // in the error; empty where the answer is right
	}{
		{"fresh", status("hit; ttl=1"), 200, ago(time.Millisecond), ""},
		{"fetched for this read", status("fwd=uri-miss; stored"), 200, ago(-time.Millisecond), ""},
		{"old, with its age", http.Header{"Age": {"3"}}, 200, ago(3200 * time.Millisecond), ""},
		{"denied while denied", nil, 403, `{"code":"denied"}`, ""},
		{"throttled", http.Header{"Retry-After": {"1"}}, 503, `{"code":"throttled"}`, ""},
		{"of another name", status("hit; ttl=1"), 200, valueOf("secrets-name-3-02", now), "the value is of"},
		{"no value", status("hit; ttl=1"), 200, "", "the value is of"},
		{"older than its windows", http.Header{"Age": {"9"}}, 200, ago(9 * time.Second), "its windows end at 3.5s"},
		{"older than the one before", http.Header{"Age": {"3"}}, 200, ago(3400 * time.Millisecond), "older than the one before"},
		{"not fetched for this read", status("fwd=stale; stored"), 200, ago(20 * time.Millisecond), "is older"},
		{"made younger by a failure", status("hit; ttl=1"), 200, ago(3100 * time.Millisecond), "something made it younger"},
		{"an Age of nowhere", http.Header{"Age": {"7"}}, 200, ago(time.Second), "Age is 7"},
		{"no Age", nil, 200, ago(0), "no Age"},
		{"from the future", status("hit; ttl=1"), 200, ago(-time.Hour), "from the future"},
		{"missing long after", nil, 404, `{"code":"missing"}`, "there all the time"},
		{"a code under another's status", nil, 502, `{"code":"denied"}`, "unexpected problem"},
		{"a fault of the program", nil, 500, `{"code":"internal"}`, "unexpected problem"},
		{"no problem", nil, 502, "Bad Gateway", "not a problem"},
		{"no Retry-After", nil, 503, `{"code":"throttled"}`, "without Retry-After"},
	} {
		target := newTarget("secrets", name, groups()[3])
		seen := history{name: now.Add(-3300 * time.Millisecond)}
		if c.name == "older than its windows" {
			seen = make(history)
		}
		r := reading{target: target, sent: now, got: now.Add(10 * time.Millisecond), status: c.status, header: c.header, body: []byte(c.body)}
		if r.header == nil {
			r.header = make(http.Header)
		}
		_, _, err := newTally(w).check(r, seen)
		if c.want == "" && err != nil || c.want != "" && !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: check = %v, want %q", c.name, err, c.want)
		}
	}
}

func TestFreezeExplainsAnAge(t *testing.T) {
	now := time.Now()
	w := &weather{freezes: []span{{now.Add(-5 * time.Second), now.Add(-3 * time.Second)}}}
	for _, c := range []struct {
		name string
		made time.Time
		want time.Duration
	}{
		{"just before", now.Add(-5100 * time.Millisecond), landing + longestFreeze},
		{"during", now.Add(-4 * time.Second), landing + longestFreeze},
		{"long before", now.Add(-8 * time.Second), landing},
		{"after", now, landing},
	} {
		if got := w.underway(c.made); got != c.want {
			t.Errorf("%s: underway = %v, want %v", c.name, got, c.want)
		}
	}
}

func TestGrowthIsFound(t *testing.T) {
	for _, c := range []struct {
		name        string
		rss         int
		descriptors int
		want        string
	}{
		{"flat", 0, 0, ""},
		{"memory", 1 << 10, 0, "RSS in KiB grew"},
		{"descriptors", 0, 1, "descriptors grew"},
	} {
		var samples []sample
		for i := range 90 {
			samples = append(samples, sample{rss: 20<<10 + i*c.rss, descriptors: 300 + i*c.descriptors})
		}
		if err := flat(samples); c.want == "" && err != nil || c.want != "" && !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: flat = %v, want %q", c.name, err, c.want)
		}
	}
}

func TestValuesTellWhoseTheyAre(t *testing.T) {
	now := time.Now()
	name, made, ok := parseValue(valueOf("a", now))
	if name != "a" || !made.Equal(now) || !ok {
		t.Errorf("parseValue(valueOf(a, now)) = %q, %v, %t", name, made, ok)
	}
	for _, text := range []string{"", marker, marker + " a", marker + " a b", "x a 1"} {
		if _, _, ok := parseValue(text); ok {
			t.Errorf("parseValue(%q) is ok, want not", text)
		}
	}
}
