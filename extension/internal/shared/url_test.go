package shared

import (
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	tests := []struct {
		name, input string
		want        server
	}{
		{"host alone", "redis://cache.local", server{host: "cache.local", port: "6379"}},
		{"valkey", "valkey://cache.local:6380/", server{host: "cache.local", port: "6380"}},
		{"TLS", "rediss://cache.local", server{host: "cache.local", port: "6379", tls: true}},
		{"everything", "valkeys://app:p%40ss%2F@cache.local:1/2", server{"cache.local", "1", true, "app", "p@ss/", 2}},
		{"user alone", "redis://app@h", server{host: "h", port: "6379", user: "app"}},
		{"password alone", "redis://:secret@[::1]:1", server{host: "::1", port: "1", password: "secret"}},
	}
	for _, c := range tests {
		if got, err := parseURL(c.input); got != c.want || err != nil {
			t.Errorf("%s: parseURL(%q) = %+v, %v, want %+v", c.name, c.input, got, err, c.want)
		}
	}
}

func TestParseURLErrors(t *testing.T) {
	tests := []struct{ name, input, want string }{
		{"empty", "", "no scheme"},
		{"host alone", "cache.local", "no scheme"},
		{"no slashes", "cache.local:6379", `unknown scheme "cache.local"`},
		{"http", "http://cache.local", `unknown scheme "http"`},
		{"no host", "redis://", "no host"},
		{"no host but a port", "redis://:6379", "no host"},
		{"database in words", "redis://h/one", "the database is a number"},
		{"database below 0", "redis://h/-1", "the database is a number"},
		{"database beyond all", "redis://h/99999999999999999999", "the database is a number"},
		{"options", "redis://h?db=1", "? and # have no meaning"},
		{"slash in the password", "redis://app:hunter2/hunter2@h", "not a URL"},
		{"number and slash in the password", "redis://app:22/hunter2@h", "the database is a number"},
		{"hash in the password", "redis://app:22#hunter2@h", "? and # have no meaning"},
		{"question mark in the password", "redis://app:22?hunter2@h", "? and # have no meaning"},
		{"bad escape in the password", "redis://app:hunter2%zz@h", "not a URL"},
	}
	for _, c := range tests {
		_, err := New(Options{URL: c.input, Timeout: 1})
		if err == nil || !strings.HasPrefix(err.Error(), "shared: url: "+c.want) || !strings.Contains(err.Error(), "redis://[user:password@]host") {
			t.Errorf("%s: New(%q) = %v, want an error with %q that says what to write", c.name, c.input, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: New(%q) = %v, which has a password in it", c.name, c.input, err)
		}
	}
}

func TestNewWantsATimeout(t *testing.T) {
	if _, err := New(Options{URL: "redis://h"}); err == nil || err.Error() != "shared: timeout: it must be more than 0" {
		t.Errorf("New without a timeout = %v", err)
	}
}
