package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"
)

// What a secret of a database looks like.
const benchBody = `{"username":"app","password":"0123456789abcdef","host":"db.internal","port":5432}`

// BenchmarkHit is a fresh value over a kept-alive connection, as a function reads it. What is ours of the time shows
// beside BenchmarkBareNetHTTP.
func BenchmarkHit(b *testing.B) {
	f := newFixture(map[string]reply{"a": {body: benchBody}}, setup{})
	benchmark(b, f.serve(b))
}

// BenchmarkBareNetHTTP is a handler that does nothing but write the same body.
func BenchmarkBareNetHTTP(b *testing.B) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	body := []byte(benchBody)
	bare := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })}
	go bare.Serve(l)
	b.Cleanup(func() { bare.Close() })
	benchmark(b, l.Addr().(*net.TCPAddr).Port)
}

// BenchmarkHandler is a fresh value without the network and net/http.
func BenchmarkHandler(b *testing.B) {
	f := newFixture(map[string]reply{"a": {body: benchBody}}, setup{})
	f.ask("GET", "/secrets?name=a")
	r := request("GET", "/secrets?name=a")
	w := discard{}
	b.ReportAllocs()
	for b.Loop() {
		clear(w)
		f.ServeHTTP(w, r)
	}
}

// discard is a ResponseWriter that keeps nothing but the header.
type discard http.Header

func (d discard) Header() http.Header         { return http.Header(d) }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// benchmark reads one value over one connection and reports the median and the 99th percentile beside the mean.
func benchmark(b *testing.B, port int) {
	conn, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	var (
		raw   = []byte(get("/secrets?name=a"))
		r     = bufio.NewReader(conn)
		asked = &http.Request{Method: "GET"}
		took  []time.Duration
	)
	once := func() {
		conn.Write(raw)
		a, err := http.ReadResponse(r, asked)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, a.Body); err != nil || a.StatusCode != 200 || int(n) != len(benchBody) {
			b.Fatalf("answer = %d with %d bytes, %v", a.StatusCode, n, err)
		}
	}
	once()
	b.ReportAllocs() // of client and server together
	for b.Loop() {
		from := time.Now()
		once()
		took = append(took, time.Since(from))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100])/1e3, "p99-µs")
}
