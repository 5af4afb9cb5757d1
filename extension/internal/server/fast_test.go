package server

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cache-extension/extension/internal/cache"
)

// talk sends raw to a server that holds a few values, in two pieces cut at cut, and returns all that it answers.
func talk(t testing.TB, slow bool, token, raw string, cut int) string {
	f := newFixture(map[string]reply{
		"a":      {body: "plain"},
		"/app/j": {body: `{"k":1}`},
		"bin":    {body: "\x00\xff", binary: true},
		"empty":  {},
		"big":    {body: strings.Repeat("0123456789", smallBody/10+1)},
		"gone":   {err: cache.ErrMissing},
		"/tree/": {body: `{"x":"1"}`, members: map[string]*cache.Value{"x": {Body: []byte("1")}}},
	}, setup{token: token})
	for _, k := range f.src.keys {
		for _, c := range f.used.Load().caches {
			c.Get(t.Context(), k.Name, false)
		}
	}
	f.tagKey, f.slow = [32]byte{}, slow
	p := f.servePipes(t, 3)
	client := p.dial(t)
	var got strings.Builder
	read := make(chan struct{})
	go func() {
		io.Copy(&got, client.Conn)
		close(read)
	}()
	for _, part := range []string{raw[:cut], raw[cut:]} {
		go io.WriteString(client.Conn, part) // it may not be read
		synctest.Wait()
		time.Sleep(time.Second)
	}
	time.Sleep(2 * readHeaderTimeout)
	synctest.Wait()
	client.Close()
	<-read
	return got.String()
}

// wantSame compares the two ways of answering.
func wantSame(t *testing.T, token, raw string, cut int) {
	t.Helper()
	var fast, slow string
	synctest.Test(t, func(t *testing.T) { fast = talk(t, false, token, raw, cut) })
	synctest.Test(t, func(t *testing.T) { slow = talk(t, true, token, raw, cut) })
	if fast != slow {
		t.Errorf("to %q cut at %d\nthe fast path answers %.2000q\nnet/http alone       %.2000q", raw, cut, fast, slow)
	}
}

// requests are of all kinds that the fast path has to tell apart.
var requests = []string{
	get("/secrets?name=a"),
	get("/secrets?name=a") + get("/parameters?name=/app/j") + get("/dynamodb?name=bin"),
	get("/secrets?name=empty"),
	get("/secrets?name=big"),
	get("/secrets?name=gone"),
	get("/secrets?name=nobody"),
	get("/secrets?name=/tree/x"),
	get("/secrets?name=/tree/"),
	get("/secrets?name=a&field=/k"),
	get("/secrets?name=%61"),
	get("/secrets?name=a+b"),
	get("/secrets?name="),
	get("/secrets"),
	get("/other?name=a"),
	get("/stats"),
	get("//secrets?name=a"),
	get("/secrets?name=a", "Connection: keep-alive", "Accept: */*", "User-Agent: node", "Sec-Fetch-Mode: cors"),
	get("/secrets?name=a", "Connection: close") + get("/secrets?name=a"),
	get("/secrets?name=a", "If-None-Match: *"),
	get("/secrets?name=a", "Origin: http://evil.example"),
	get("/secrets?name=a", "Sec-Fetch-Site: cross-site"),
	get("/secrets?name=a", "X-Forwarded-For: 1.2.3.4"),
	get("/secrets?name=a", "Forwarded: for=1.2.3.4"),
	get("/secrets?name=a", "Via: 1.1 proxy"),
	get("/secrets?name=a", "vIA:"),
	get("/secrets?name=a", "X-Aws-Parameters-Secrets-Token: right"),
	get("/secrets?name=a", "x-aws-parameters-secrets-token:\tright \t"),
	get("/secrets?name=a", "X-Aws-Parameters-Secrets-Token: wrong"),
	get("/secrets?name=a", "X-Aws-Parameters-Secrets-Token: right", "X-Aws-Parameters-Secrets-Token: wrong"),
	get("/secrets?name=a", "Expect: 100-continue"),
	get("/secrets?name=a", "Content-Length: 0") + get("/secrets?name=a"),
	get("/secrets?name=a", "Content-Length: 5") + "GET /" + get("/secrets?name=a"),
	get("/secrets?name=a", "Transfer-Encoding: chunked") + "3\r\nGET\r\n0\r\n\r\n" + get("/secrets?name=a"),
	get("/secrets?name=a", "Host: localhost"),
	get("/secrets?name=a", "Bad Name: x"),
	get("/secrets?name=a", " folded: x"),
	get("/secrets?name=a", "X: a\x00b"),
	get("/secrets?name=a", "X: \xc3\xa9"),
	get("/secrets?name=a", "Upgrade: h2c", "Connection: Upgrade"),
	lead("GET", "/secrets?name=a", "Host: evil.example"),
	lead("GET", "/secrets?name=a", "Host: 127.0.0.1:4000") + get("/secrets?name=a"),
	lead("GET", "/secrets?name=a", "Host:"),
	lead("GET", "/secrets?name=a"),
	lead("HEAD", "/secrets?name=a", "Host: localhost") + get("/secrets?name=a"),
	lead("POST", "/secrets?name=a", "Host: localhost", "Content-Length: 40") + get("/secrets?name=a") + get("/secrets?name=a"),
	lead("get", "/secrets?name=a", "Host: localhost"),
	lead("GET", "http://localhost/secrets?name=a", "Host: localhost"),
	strings.ReplaceAll(get("/secrets?name=a"), "\r\n", "\n"),
	strings.Replace(get("/secrets?name=a"), "HTTP/1.1", "HTTP/1.0", 1) + get("/secrets?name=a"),
	strings.Replace(get("/secrets?name=a"), "GET ", "GET  ", 1),
	"\r\n" + get("/secrets?name=a"),
	get("/secrets?name=nobody") + get("/secrets?name=a"),
	get("/secrets?name=nobody") + "GET /secrets?na",
	get("/secrets?name=a")[:30],
	"garbage\r\n\r\n" + get("/secrets?name=a"),
}

func TestFastPathAnswersLikeNetHTTP(t *testing.T) {
	for _, raw := range requests {
		for _, token := range []string{"", "right"} {
			wantSame(t, token, raw, len(raw))
		}
		wantSame(t, "", raw, len(raw)/2)
		wantSame(t, "", raw, len(raw)-1)
		wantSame(t, "", get("/stats")+raw, len(get("/stats")))
	}
}

func FuzzFastPath(f *testing.F) {
	for i, raw := range requests {
		f.Add(raw, i, i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, raw string, cut int, token bool) {
		if len(raw) > 4<<10 {
			return
		}
		if cut < 0 || cut > len(raw) {
			cut = len(raw)
		}
		want := ""
		if token {
			want = "right"
		}
		wantSame(t, want, raw, cut)
	})
}

// TestHitsPassNetHTTPBy: a hit never gets to the handler, not even after requests that did.
func TestHitsPassNetHTTPBy(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: "v"}}, setup{})
	seen := 0
	f.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen++
		f.ServeHTTP(w, r)
	})
	c := dial(t, f.serve(t))
	for _, step := range []struct {
		raw  string
		seen int
	}{
		{get("/secrets?name=a"), 1}, // a miss
		{get("/secrets?name=a"), 1},
		{get("/secrets?name=a&field="), 2},
		{get("/secrets?name=a"), 2},
		{get("/secrets?name=a", "Accept: */*", "Connection: keep-alive"), 2},
	} {
		c.send(step.raw)
		c.want(200, "v")
		if seen != step.seen {
			t.Errorf("after %q the handler has seen %d requests, want %d", step.raw, seen, step.seen)
		}
	}
}

// TestUse has a kept connection read from one configuration, then from another, on both ways of answering.
func TestUse(t *testing.T) {
	for _, slow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(map[string]reply{"a": {body: "old"}}, setup{})
			f.slow = slow
			c := f.servePipes(t, 3).dial(t)
			for range 2 { // the miss, the hit
				c.ask("a")
				c.want(200, "old")
			}
			later := newFixture(map[string]reply{"a": {body: "new"}}, setup{})
			f.Use(later.used.Load().caches, "")
			for range 2 {
				c.ask("a")
				c.want(200, "new")
			}
			f.Use(later.used.Load().caches, "t")
			c.ask("a")
			c.want(403, "")
		})
	}
}

// TestQuickClientStaysFast: a request that comes before net/http is through with the last one is a hit all the same.
func TestQuickClientStaysFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		f := newFixture(map[string]reply{"a": {body: "v"}, "slow": {body: "s", hold: hold}}, setup{})
		f.used.Load().caches["secrets"].Get(t.Context(), "a", false)
		seen := 0
		f.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen++
			f.ServeHTTP(w, r)
		})
		c := f.servePipes(t, 3).dial(t)
		c.ask("slow")
		go io.WriteString(c.Conn, get("/secrets?name=a"))
		synctest.Wait()
		close(hold)
		c.want(200, "s")
		c.want(200, "v")
		if seen != 1 {
			t.Errorf("the handler has seen %d requests, want the miss alone", seen)
		}
	})
}

// TestBoundsAfterAHit: the bound on the first header ends with it, and a header that comes later has one of its own.
func TestBoundsAfterAHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(map[string]reply{"a": {body: "v"}}, setup{})
		f.used.Load().caches["secrets"].Get(t.Context(), "a", false)
		c := f.servePipes(t, 3).dial(t)
		c.read("a", "v")
		time.Sleep(30 * time.Second)
		c.read("a", "v")
		go io.WriteString(c.Conn, "GET /secrets?name=a HTTP/1.1\r\nHost: loc")
		began := time.Now()
		c.wantClosed()
		if took := time.Since(began); took != readHeaderTimeout {
			t.Errorf("half a header was waited on for %v, want %v", took, readHeaderTimeout)
		}
	})
}

func TestHitOverTheWireAllocates(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: "v"}}, setup{})
	f.used.Load().caches["secrets"].Get(t.Context(), "a", false)
	raw := []byte(get("/secrets?name=a", "Connection: keep-alive"))
	c := newConn(sink{}, f.Server)
	h := parseHead(raw)
	if got := testing.AllocsPerRun(100, func() {
		if !c.answer(h) {
			t.Fatal("no hit")
		}
	}); got > 1 {
		t.Errorf("a hit allocates %v times, want at most once, for the name", got)
	}
}

// sink is a net.Conn to write to.
type sink struct{ net.Conn }

func (sink) Write(b []byte) (int, error) { return len(b), nil }
