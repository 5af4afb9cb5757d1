package shared

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/shared/redistest"
)

// slack is what a busy machine may add to a bound.
const slack = time.Second

// within fails the test when do takes longer than bound.
func within(t *testing.T, bound time.Duration, do func()) {
	t.Helper()
	began := time.Now()
	do()
	if took := time.Since(began); took > bound {
		t.Errorf("it took %v, want at most %v", took, bound)
	}
}

func TestServerGoesAndComesBack(t *testing.T) {
	const timeout = 150 * time.Millisecond
	tests := []struct {
		name       string
		goes, back func(*redistest.Server)
		why        string
	}{
		{"killed", (*redistest.Server).Kill, (*redistest.Server).Restart, "connection refused"},
		{"stopped", (*redistest.Server).Stop, (*redistest.Server).Continue, "no answer within 150ms"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			srv := redistest.Start(t, redistest.Options{})
			clock := &clock{now: cache.Clock()}
			up := newUpstream(t, plain("a"))
			tier, log := ours(t, Options{URL: srv.URL("", ""), Timeout: timeout, Clock: clock.Now})
			s := tier.Source("parameters", up)
			wantRead(t, s, "a", upstreamA)
			wantRead(t, s, "a", upstreamA+", shared")

			c.goes(srv)
			within(t, timeout+slack, func() { wantRead(t, s, "a", upstreamA) })
			within(t, slack, func() {
				for range 100 {
					wantRead(t, s, "a", upstreamA)
				}
			})
			clock.wait(1500 * time.Millisecond) // past the first pause: one probes
			within(t, timeout+slack, func() {
				for range 100 {
					wantRead(t, s, "a", upstreamA)
				}
			})
			if log.count("\n") != 1 || log.count("the shared tier failed") != 1 || log.count(c.why) != 1 {
				t.Errorf("it said\n%swant once, with %q", log, c.why)
			}
			if got := tier.Stats(); got.Errors != 2 || !got.Open {
				t.Errorf("Stats() = %+v, want the errors of the first and the probe, and open", got)
			}

			c.back(srv)
			clock.wait(10 * time.Second)
			read(t, s, "a") // fills it, where it is empty
			wantRead(t, s, "a", upstreamA+", shared")
			if log.count("\n") != 2 || log.count("the shared tier answers again") != 1 {
				t.Errorf("it said\n%swant once that it answers again", log)
			}
		})
	}
}

// The exchanges are bounded by the reader's time too: a long timeout leaves AWS enough of it.
func TestHungServerLeavesTimeForAWS(t *testing.T) {
	url := lying(t, func([]string) string { return "" })
	up := newUpstream(t, plain("a"))
	tier, log := ours(t, Options{URL: url, Timeout: time.Second})
	if got := show(fetchAll(t, bound(t, 400*time.Millisecond), tier.Source("parameters", up), "a")["a"]); got != upstreamA {
		t.Errorf("a reader with 400 ms reads %q, want %q", got, upstreamA)
	}
	if log.count("the shared tier failed") != 1 {
		t.Errorf("it said\n%swant that the tier failed", log)
	}
}

// A Fetch whose time is over says nothing about the server.
func TestFetchThatIsTooLateLeavesTheServer(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"))
	tier, log := ours(t, Options{URL: srv.URL("", "")})
	if got := show(fetchAll(t, bound(t, 0), tier.Source("parameters", up), "a")["a"]); got != cache.ErrTimeout.Error() {
		t.Errorf("a is %q, want %q", got, cache.ErrTimeout)
	}
	wantStats(t, tier, Stats{})
	if log.String() != "" {
		t.Errorf("it said %s", log)
	}
}

// A server that restarts, and one that closes idle connections, costs nothing.
func TestClosedConnectionsAreMadeAnew(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"))
	tier, log := ours(t, Options{URL: srv.URL("", "")})
	s := tier.Source("parameters", up)
	wantRead(t, s, "a", upstreamA)
	srv.Restart()
	wantRead(t, s, "a", upstreamA)
	wantRead(t, s, "a", upstreamA+", shared")
	srv.CLI("client", "kill", "type", "normal")
	wantRead(t, s, "a", upstreamA+", shared")
	if log.String() != "" {
		t.Errorf("it said %s", log)
	}
}

func TestThawedSandboxConnectsAnew(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	clock := &clock{now: cache.Clock()}
	up := newUpstream(t, plain("a"))
	tier, log := ours(t, Options{URL: srv.URL("", ""), Clock: clock.Now})
	s := tier.Source("parameters", up)
	connections := func() string {
		_, after, _ := strings.Cut(srv.CLI("client", "info"), "id=")
		id, _, _ := strings.Cut(after, " ")
		return id
	}
	wantRead(t, s, "a", upstreamA)
	wantRead(t, s, "a", upstreamA+", shared")
	before, err := strconv.Atoi(connections())
	if err != nil {
		t.Fatal(err)
	}
	clock.wait(10 * time.Second)
	wantRead(t, s, "a", upstreamA+", shared")
	if got := connections(); got != strconv.Itoa(before+1) { // the one that asks
		t.Errorf("connection %s comes after %d: one was made without a freeze", got, before)
	}
	clock.freeze(10 * time.Second)
	wantRead(t, s, "a", upstreamA+", shared")
	if got := connections(); got != strconv.Itoa(before+3) {
		t.Errorf("connection %s comes after %d: want one of ours between, made after the freeze", got, before)
	}
	if log.String() != "" {
		t.Errorf("it said %s", log)
	}
}

func TestFullServerIsStillRead(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	clock := &clock{now: cache.Clock()}
	up := newUpstream(t, plain("a"), plain("b"))
	tier, log := ours(t, Options{URL: srv.URL("", ""), Clock: clock.Now})
	s := tier.Source("parameters", up)
	wantRead(t, s, "a", upstreamA)
	srv.CLI("config", "set", "maxmemory-policy", "noeviction")
	srv.CLI("config", "set", "maxmemory", "1")
	for range 5 {
		wantRead(t, s, "b", "value of id b")
		wantRead(t, s, "a", upstreamA+", shared")
		clock.wait(3 * time.Second)
	}
	if log.count("\n") != 1 || log.count("the shared tier takes no values") != 1 || log.count("OOM: its memory is full") != 1 {
		t.Errorf("it said\n%swant once that the server is full", log)
	}
	srv.CLI("config", "set", "maxmemory", "0")
	clock.wait(30 * time.Second)
	wantRead(t, s, "b", "value of id b")
	wantRead(t, s, "b", "value of id b, shared")
	if log.count("\n") != 2 || log.count("takes values again") != 1 {
		t.Errorf("it said\n%swant once that it takes values again", log)
	}
}

// A use that says nothing about writing leaves the next one free to try it.
func TestWritingIsTriedAgainAfterAnotherFailure(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	clock := &clock{now: cache.Clock()}
	up := newUpstream(t, plain("a"), plain("b"))
	tier, _ := ours(t, Options{URL: srv.URL("", ""), Clock: clock.Now})
	s := tier.Source("parameters", up)
	del := func(b valkey.Builder) valkey.Commands { return valkey.Commands{b.Del().Key("test/x").Build()} }
	full := func(is string) { srv.CLI("config", "set", "maxmemory", is) }
	full("1")
	read(t, s, "a")
	srv.Kill()
	clock.wait(2 * time.Second) // writing may be tried, and meets a server that is away
	read(t, s, "a")
	tier.do(time.Minute, true, del)
	srv.Restart()
	clock.wait(3 * time.Second)
	tier.do(time.Minute, true, del)
	wantRead(t, s, "a", upstreamA)
	wantRead(t, s, "a", upstreamA+", shared")

	full("1")
	read(t, s, "b")
	srv.Kill()
	clock.wait(40 * time.Second)
	if _, err := tier.do(time.Minute, true, del); err == nil || err == errAway {
		t.Errorf("the killed server: %v, want a failure", err)
	}
	srv.Restart()
	clock.wait(40 * time.Second)
	wantRead(t, s, "b", "value of id b")
	wantRead(t, s, "b", "value of id b, shared")
}

// spared is a source whose first connection has come up too late for who asked for it; each connection is noted.
func spared(t *testing.T, clock *clock) (s cache.Source, accepted <-chan struct{}) {
	srv := redistest.Start(t, redistest.Options{TLS: true})
	pem, err := os.ReadFile(srv.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	late, accepts := make(chan struct{}), make(chan struct{}, 10)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			accepts <- struct{}{}
			go func() {
				<-late
				out, err := net.Dial("tcp4", srv.Addr)
				if err != nil {
					in.Close()
					return
				}
				go func() { io.Copy(out, in); out.Close() }()
				io.Copy(in, out)
				in.Close()
			}()
		}
	}()
	up := newUpstream(t, plain("a"))
	tier, _ := ours(t, Options{URL: "rediss://" + l.Addr().String(), RootCAs: roots, Timeout: 100 * time.Millisecond, Clock: clock.Now})
	s = tier.Source("parameters", up)
	within(t, 100*time.Millisecond+slack, func() { wantRead(t, s, "a", upstreamA) })
	close(late)
	until(t, func() bool { return len(tier.link.spare) == 1 })
	return s, accepts
}

// A connection that comes up too late is not lost: with a TLS handshake longer than the timeout the tier still comes into use.
func TestLateConnectionIsKept(t *testing.T) {
	clock := &clock{now: cache.Clock()}
	s, accepted := spared(t, clock)
	clock.wait(2 * time.Second)
	wantRead(t, s, "a", upstreamA)
	if got := len(accepted); got != 1 { // now: the value is yet to be written, and who reads meanwhile takes a second one
		t.Errorf("%d connections were made, want the first to be used", got)
	}
	wantRead(t, s, "a", upstreamA+", shared")
}

func TestLateConnectionIsNotKeptThroughAFreeze(t *testing.T) {
	clock := &clock{now: cache.Clock()}
	s, accepted := spared(t, clock)
	clock.freeze(10 * time.Second)
	wantRead(t, s, "a", upstreamA)
	if got := len(accepted); got < 2 {
		t.Errorf("%d connections were made, want one more after the freeze", got)
	}
}

// lying is a server that takes the commands of the protocol and answers each as answer says: with bytes, or with nothing
// where that is "". A command that the tier has no business to send fails the test.
func lying(t *testing.T, answer func(args []string) string) (url string) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() { l.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(t.Context(), func() { c.Close() })
			serving.Go(func() {
				defer stop()
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					args, err := command(in)
					if err != nil {
						if errors.Is(err, errCommand) {
							t.Error(err)
						}
						return
					}
					switch strings.ToLower(args[0]) {
					case "hello", "get", "set", "del", "eval":
					default:
						t.Errorf("the server was sent %q", args)
					}
					a := answer(args)
					if a == hangUp {
						return
					}
					if _, err := io.WriteString(c, a); err != nil {
						return
					}
				}
			})
		}
	})
	return "redis://" + l.Addr().String()
}

// hangUp as an answer closes the connection.
const hangUp = "hang up"

var errCommand = errors.New("not a command")

// command reads one command: an array of strings.
func command(in *bufio.Reader) ([]string, error) {
	number := func(kind string) (int, error) {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0, err
		}
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(line, kind), "\r\n"))
		if err != nil || !strings.HasPrefix(line, kind) || n < 0 {
			return 0, fmt.Errorf("%w: %q", errCommand, line)
		}
		return n, nil
	}
	n, err := number("*")
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := number("$")
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(in, b); err != nil {
			return nil, err
		}
		args[i] = string(b[:size])
	}
	return args, nil
}

const hello = "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n"

func TestGarbageCostsNothingButTheTier(t *testing.T) {
	tests := []struct{ name, answer string }{
		{"another protocol", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"},
		{"a length beyond memory", "$999999999999999\r\n"},
		{"a length that is too large", "$99999999\r\nx"},
		{"an array beyond memory", "*4000000000\r\n"},
		{"a negative length", "$-2\r\n"},
		{"nesting without end", strings.Repeat("*1\r\n", 100_000)},
		{"a line without end", "+" + strings.Repeat("a", 100_000)},
		{"a body without its end", "$1\r\nabcdef\r\n"},
		{"a push that nobody asked for", ">2\r\n+message\r\n+x\r\n"},
		{"an attribute", "|1\r\n+a\r\n+b\r\n$-1\r\n"},
		{"a chunked body", "$?\r\n;3\r\nabc\r\n;0\r\n"},
		{"no line end", "+OK\n"},
		{"zeros", strings.Repeat("\x00", 100)},
		{"an error that quotes", "-ERR unknown command, with args beginning with: 'value of id a'\r\n"},
		{"a number", ":1\r\n"},
		{"an array", "*2\r\n+a\r\n+b\r\n"},
		{"an empty map", "%0\r\n"},
		{"nothing and the end of the connection", ""},
	}
	for _, c := range tests {
		for _, at := range []string{"hello", "get", "set"} {
			t.Run(c.name+" for "+at, func(t *testing.T) {
				url := lying(t, func(args []string) string {
					switch command := strings.ToLower(args[0]); {
					case command == at:
						return c.answer
					case command == "hello":
						return hello
					case command == "get":
						return "$-1\r\n"
					}
					return "+OK\r\n"
				})
				up := newUpstream(t, plain("a"))
				tier, log := ours(t, Options{URL: url, Timeout: 100 * time.Millisecond})
				s := tier.Source("parameters", up)
				within(t, 200*time.Millisecond+slack, func() {
					for range 10 {
						wantRead(t, s, "a", upstreamA)
					}
				})
				if log.count("\n") > 1 || strings.Contains(log.String(), "value of") {
					t.Errorf("it said more than once, or a value:\n%s", log)
				}
			})
		}
	}
}

// What belongs to another answer is taken for none of ours.
func TestAnswersOutOfOrder(t *testing.T) {
	var writer *seal
	recordOfB, err := writer.write(resource{"parameters", "id b"}, text("value of id b"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	url := lying(t, func(args []string) string {
		switch strings.ToLower(args[0]) {
		case "hello":
			return hello + "+OK\r\n" // one too many
		case "get":
			return fmt.Sprintf("$%d\r\n%s\r\n", len(recordOfB), recordOfB)
		}
		return "+OK\r\n"
	})
	up := newUpstream(t, plain("a"), plain("b"))
	tier, _ := ours(t, Options{URL: url})
	s := tier.Source("parameters", up)
	for range 5 {
		wantRead(t, s, "a", upstreamA)
		g := fetchAll(t, bound(t, ample), s, "a", "b")
		if string(g["a"].v.Body) != upstreamA || string(g["b"].v.Body) != "value of id b" {
			t.Errorf("a is %q, b is %q", show(g["a"]), show(g["b"]))
		}
	}
}

// A connection that breaks between a command and its answer leaves open what was done: a lease that is ours is found by its token.
func TestLeaseWhoseAnswerWasLost(t *testing.T) {
	var mu sync.Mutex // guards token
	var token string
	url := lying(t, func(args []string) string {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case args[0] == "HELLO":
			return hello
		case args[0] == "SET" && strings.Contains(args[1], "lease:") && token == "":
			token = args[2]
			return hangUp
		case args[0] == "GET" && strings.Contains(args[1], "lease:"):
			return fmt.Sprintf("$%d\r\n%s\r\n", len(token), token)
		case args[0] == "EVAL":
			if got := args[len(args)-1]; got != token {
				t.Errorf("a lease with %q is released, want %q", got, token)
			}
			return ":1\r\n"
		case args[0] == "GET", slices.Contains(args, "NX"):
			return "$-1\r\n"
		}
		return "+OK\r\n"
	})
	up := newUpstream(t, plain("a"))
	tier, _ := ours(t, Options{URL: url})
	within(t, slack, func() {
		if got := show(fetchAll(t, bound(t, 30*time.Second), tier.Source("parameters", up), "a")["a"]); got != upstreamA {
			t.Errorf("a is %q, want %q", got, upstreamA)
		}
	})
}

// Between our look for a value and our claim its holder may have written it and released its lease.
func TestValueThatCameBeforeTheClaim(t *testing.T) {
	var open *seal
	record, err := open.write(resource{"parameters", "id a"}, text(upstreamA), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // guards what follows
	var claimed, released string
	url := lying(t, func(args []string) string {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case args[0] == "HELLO":
			return hello
		case args[0] == "GET" && claimed != "":
			return fmt.Sprintf("$%d\r\n%s\r\n", len(record), record)
		case args[0] == "GET":
			return "$-1\r\n"
		case args[0] == "SET" && slices.Contains(args, "NX"):
			claimed = args[2]
			return "+OK\r\n"
		case args[0] == "EVAL":
			released = args[len(args)-1]
			return ":1\r\n"
		}
		t.Errorf("the server was sent %q", args)
		return "+OK\r\n"
	})
	up := newUpstream(t, plain("a"))
	tier, _ := ours(t, Options{URL: url})
	wantRead(t, tier.Source("parameters", up), "a", upstreamA+", shared")
	mu.Lock()
	defer mu.Unlock()
	if up.count("a") != 0 || claimed == "" || claimed != released {
		t.Errorf("AWS was asked %d times, want none; claimed with %q and released with %q", up.count("a"), claimed, released)
	}
}

// Those who wait ask the server for little, however many names they wait for.
func TestWaitingIsCheap(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	var keys []*cache.Key
	var names []string
	for i := range 60 {
		keys, names = append(keys, plain(name(i))), append(names, name(i))
		srv.CLI("set", "test/lease:parameters:id "+name(i), rand.Text())
	}
	tier, _ := ours(t, Options{URL: srv.URL("", "")})
	fetchAll(t, bound(t, 3*time.Second), tier.Source("parameters", newUpstream(t, keys...)), names...)
	_, after, _ := strings.Cut(srv.CLI("info", "commandstats"), "cmdstat_get:calls=")
	calls, err := strconv.Atoi(after[:strings.Index(after, ",")])
	if err != nil || calls > 120+20*2*maxPolled {
		t.Errorf("in a second, which is at most 20 polls, the server was asked for %d keys, %v", calls, err)
	}
}

// While the server is left alone nothing of the tier is in the way, its key included.
func TestKeyIsNotReadWhileTheServerIsAway(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"))
	var reads atomic.Int64
	tier, _ := ours(t, Options{URL: srv.URL("", ""), Key: func(ctx context.Context) ([]byte, error) {
		reads.Add(1)
		return fixed('k')(ctx)
	}})
	srv.Kill()
	for range 3 {
		wantRead(t, tier.Source("parameters", up), "a", upstreamA)
	}
	if got := reads.Load(); got != 1 {
		t.Errorf("the key was read %d times, want for the first Fetch alone", got)
	}
}

// A server that fails while others are waited for sends us to AWS at once.
func TestServerFailsWhileWaiting(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"))
	tier, log := ours(t, Options{URL: srv.URL("", "")})
	srv.CLI("set", "test/lease:parameters:id a", rand.Text())
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		until(t, func() bool { return tier.Stats().Waits == 1 })
		srv.Kill()
	}()
	within(t, slack, func() {
		if got := show(fetchAll(t, bound(t, 30*time.Second), tier.Source("parameters", up), "a")["a"]); got != upstreamA {
			t.Errorf("a is %q, want %q", got, upstreamA)
		}
	})
	<-killed
	if log.count("\n") != 1 {
		t.Errorf("it said %s", log)
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	tests := []struct{ input, want string }{
		{"WRONGPASS invalid username-password pair or user is disabled.", "WRONGPASS: user or password in shared.url"},
		{"NOPERM User x has no permissions to run the 'get' command", "NOPERM: the user in shared.url needs the commands get, set, del and eval"},
		{"OOM command not allowed when used memory > 'maxmemory'.", "OOM: its memory is full"},
		{"READONLY You can't write against a read only replica.", "READONLY: it is a replica"},
		{"MOVED 3999 10.0.0.1:6381", "MOVED: it is one of several shards"},
		{"LOADING server is loading the dataset in memory", "LOADING"},
		{"ERR unknown command, with args beginning with: 'value'", "ERR"},
		{"value", "ERR"},
		{"VALUEWITHOUTANYSPACE", "ERR"},
		{"", "ERR"},
	}
	for _, c := range tests {
		if got := refusalOf(c.input).Error(); !strings.HasPrefix(got, c.want) || strings.Contains(got, "value") {
			t.Errorf("refusalOf(%q) = %q, want %q", c.input, got, c.want)
		}
	}
}

func TestFreezeDuringAnExchangeIsNotTheServersFault(t *testing.T) {
	clock := &clock{now: cache.Clock()}
	url := lying(t, func(args []string) string {
		if args[0] == "HELLO" {
			return hello
		}
		clock.freeze(time.Minute) // and the answer is lost
		return ""
	})
	up := newUpstream(t, plain("a"))
	tier, log := ours(t, Options{URL: url, Timeout: 100 * time.Millisecond, Clock: clock.Now})
	wantRead(t, tier.Source("parameters", up), "a", upstreamA)
	if got := tier.Stats(); got.Open || got.Errors != 0 || log.String() != "" {
		t.Errorf("Stats() = %+v, want no error; it said %s", got, log)
	}
}

func TestAnswerThatSleptThroughAFreezeIsNotShared(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	clock := &clock{now: cache.Clock()}
	up := newUpstream(t, plain("a"))
	up.hold = func(context.Context) { clock.freeze(time.Minute) }
	tier, _ := ours(t, Options{URL: srv.URL("", ""), Clock: clock.Now})
	wantRead(t, tier.Source("parameters", up), "a", upstreamA)
	if got := srv.CLI("dbsize"); got != "0" {
		t.Errorf("the server has %s keys, want neither the value nor a lease", got)
	}
}

func TestPanicBelowIsAFailure(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"), plain("b"))
	up.panics = true
	tier, _ := ours(t, Options{URL: srv.URL("", "")})
	for name, g := range fetchAll(t, bound(t, ample), tier.Source("parameters", up), "a", "b") {
		var p *cache.PanicError
		if !errors.As(g.err, &p) || g.v != nil {
			t.Errorf("%s is %s, want the panic", name, show(g))
		}
	}
}

func TestClosedTierReadsFromBelow(t *testing.T) {
	srv := redistest.Start(t, redistest.Options{})
	up := newUpstream(t, plain("a"))
	tier, log := ours(t, Options{URL: srv.URL("", "")})
	s := tier.Source("parameters", up)
	wantRead(t, s, "a", upstreamA)
	tier.Close()
	tier.Close()
	wantRead(t, s, "a", upstreamA)
	wantStats(t, tier, Stats{Misses: 1})
	if log.String() != "" {
		t.Errorf("it said %s", log)
	}
}

// Under load, while the server is killed, stopped and started again, each read is answered, rightly and in time.
func TestFaultsUnderLoad(t *testing.T) {
	const timeout, each = 50 * time.Millisecond, 2 * time.Second
	srv := redistest.Start(t, redistest.Options{})
	var keys []*cache.Key
	var names []string
	for i := range 20 {
		k := plain(name(i))
		k.TTL = 5 * time.Millisecond // so that all ways are gone
		keys, names = append(keys, k), append(names, name(i))
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	for i := range 8 {
		up := newUpstream(t, keys...)
		key := fixed(byte('a' + i%2))
		tier, _ := ours(t, Options{URL: srv.URL("", ""), Timeout: timeout, Key: key})
		s := tier.Source("parameters", up)
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				began := time.Now()
				for name, g := range fetchAll(t, bound(t, each), s, names...) {
					if g.err != nil || string(g.v.Body) != "value of id "+name {
						t.Errorf("%s is %s", name, show(g))
					}
				}
				if took := time.Since(began); took > each {
					t.Errorf("a read took %v, want at most %v", took, each)
				}
			}
		})
	}
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for range 3 {
		for _, fault := range []func(){srv.Stop, srv.Continue, srv.Kill, srv.Restart} {
			<-tick.C
			fault()
		}
	}
	close(done)
	wg.Wait()
}
