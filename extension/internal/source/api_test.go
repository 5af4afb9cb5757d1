package source

import (
	"bytes"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/config"
)

// TestClock is about answers that must not change our idea of the time.
func TestClock(t *testing.T) {
	sent := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	header := func(at time.Time) string { return at.Format(http.TimeFormat) }
	tests := []struct {
		name string
		date string
		took time.Duration
		want time.Duration // of the skew; 0 for an answer that changes nothing
	}{
		{"an hour ahead", header(sent.Add(time.Hour)), 0, time.Hour},
		{"an hour behind", header(sent.Add(-time.Hour)), 0, -time.Hour},
		{"an hour ahead in the middle of the round trip", header(sent.Add(time.Hour + time.Minute)), 2 * time.Minute, time.Hour},
		{"about right", header(sent.Add(maxSkew)), 0, 0},
		{"no date", "", 0, 0},
		{"no date that can be read", "yesterday", 0, 0},
		{"a freeze between request and answer", header(sent), time.Hour, 0},
		{"a clock that was set back meanwhile", header(sent), -time.Hour, 0},
	}
	for _, tt := range tests {
		var c client
		changed := c.setClock(tt.date, sent, sent.Add(tt.took))
		if got := time.Duration(c.skew.Load()); got != tt.want || changed != (tt.want != 0) {
			t.Errorf("%s: setClock(%q) = %t and a skew of %v, want %v", tt.name, tt.date, changed, got, tt.want)
		}
	}
}

// TestClocksOfTheirOwn keeps what one endpoint says of the time from the others.
func TestClocksOfTheirOwn(t *testing.T) {
	clients := secrets(t, nil).clients
	clients.in(secretsManager, here).skew.Store(int64(time.Hour))
	for _, c := range []*client{clients.in(secretsManager, there), clients.in(dynamoDB, here)} {
		if c.skew.Load() != 0 {
			t.Errorf("%s in %s has the skew of another", c.service, c.region)
		}
	}
}

func TestChecksum(t *testing.T) {
	const body = `{"Item": {"id": {"S": "a"}}}`
	sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(body))), 10)
	tests := []struct {
		name     string
		input    []string // checksums of the answers, the last one's from then on
		attempts int
		ok       bool
	}{
		{"right", []string{sum}, 1, true},
		{"none", []string{""}, 1, true},
		{"wrong once", []string{"1", sum}, 2, true},
		{"wrong", []string{"1"}, 3, false},
		{"no number", []string{"hush"}, 3, false},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			s := items(t, nil, item1("a"))
			attempts := 0
			s.clients.http = roundTrip(func(*http.Request) (*http.Response, error) {
				r := reply(200, body)
				r.Header.Set("X-Amz-Crc32", tt.input[min(attempts, len(tt.input)-1)])
				attempts++
				return r, nil
			})
			err := fetch(t, t.Context(), s, "a")["a"].err
			if attempts != tt.attempts || (err == nil) != tt.ok {
				t.Errorf("%s: %d attempts and error %v, want %d", tt.name, attempts, err, tt.attempts)
			}
			if want := "AWS's answer could not be read (HTTP 200)"; err != nil && err.Error() != want {
				t.Errorf("%s: error = %q, want %q", tt.name, err, want)
			}
		})
	}
}

// body is one that is as long as it says, or does not say how long it is.
type body struct {
	io.Reader
	closed *bool
}

func (b body) Close() error { *b.closed = true; return nil }

func TestSizeOfAnswers(t *testing.T) {
	value := bytes.Repeat([]byte("x"), 1<<20)
	whole := []byte(`{"SecretString": "` + string(value) + `"}`)
	endless := func() io.Reader { return io.MultiReader(bytes.NewReader(whole[:len(whole)-2]), forever{}) }
	tests := []struct {
		name   string
		length int64
		input  func() io.Reader
		want   string
	}{
		{"of known length", int64(len(whole)), func() io.Reader { return bytes.NewReader(whole) }, ""},
		{"of unknown length", -1, func() io.Reader { return bytes.NewReader(whole) }, ""},
		{"without an end", -1, endless, "AWS's answer could not be read (HTTP 200)"},
		{"too long", maxAnswer + 1, endless, "AWS's answer could not be read (HTTP 200)"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			s := secrets(t, nil, secret1("a"))
			closed, attempts := false, 0
			s.clients.http = roundTrip(func(*http.Request) (*http.Response, error) {
				attempts++
				return &http.Response{StatusCode: 200, ContentLength: tt.length, Body: body{tt.input(), &closed}}, nil
			})
			o := fetch(t, t.Context(), s, "a")["a"]
			switch {
			case tt.want == "" && (o.err != nil || !bytes.Equal(o.value.Body, value)):
				t.Errorf("%s: error %v", tt.name, o.err)
			case tt.want != "" && (o.err == nil || o.err.Error() != tt.want):
				t.Errorf("%s: error = %v, want %s", tt.name, o.err, tt.want)
			}
			if !closed || attempts != 1 {
				t.Errorf("%s: closed %t after %d attempts, want one attempt and its body closed", tt.name, closed, attempts)
			}
		})
	}
}

// forever is the letter x again and again.
type forever struct{}

func (forever) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestUserAgent(t *testing.T) {
	for version, want := range map[string]string{"": "cache-extension", "1.2.3": "cache-extension/1.2.3"} {
		synctest.Test(t, func(t *testing.T) {
			cfg := testConfig()
			cfg.Secrets = []config.Secret{secret1("a")}
			cfg.Secrets[0].Region = here
			got := ""
			clients := NewClients(cfg, Options{Version: version, HTTPClient: roundTrip(func(r *http.Request) (*http.Response, error) {
				got = r.UserAgent()
				return reply(200, `{"SecretString": "x"}`), nil
			})})
			bodies(t, NewSecrets(cfg, clients), "a")
			equal(t, "User-Agent", got, want)
		})
	}
}

// TestTokens has a service that fails for so long that the retryer's bucket is empty.
func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts, failing := 0, 0 // of the next attempts, so many fail
		s := secrets(t, nil, secret1("a"))
		s.clients.http = roundTrip(func(*http.Request) (*http.Response, error) {
			attempts++
			if failing > 0 {
				failing--
				return reply(500, `{"__type": "InternalServerError"}`), nil
			}
			return reply(200, `{"SecretString": "x"}`), nil
		})
		steps := []struct {
			name                     string
			fetches, fails, attempts int
		}{
			{"500 tokens are for 100 retries at 5 each", 100, 200, 200},
			{"none is left", 1, 1, 1},
			{"five that succeed at once bring 5", 5, 0, 5},
			{"enough for one that succeeds at its second attempt, and gets its 5 back with 1 more", 1, 1, 2},
			{"enough for another", 1, 1, 2},
			{"and another that fails for good", 1, 2, 2},
			{"which leaves 2", 1, 1, 1},
		}
		for _, step := range steps {
			attempts, failing = 0, step.fails
			for range step.fetches {
				fetch(t, t.Context(), s, "a")
			}
			equal(t, step.name+": attempts", attempts, step.attempts)
		}
	})
}
