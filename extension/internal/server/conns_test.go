package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// wantCounts compares how many connections are open, and how many of them idle.
func wantCounts(t testing.TB, c *conns, open, idle int) {
	t.Helper()
	gotOpen, gotIdle := c.counts()
	if gotOpen != open || gotIdle != idle {
		t.Errorf("%d connections are open and %d idle, want %d and %d", gotOpen, gotIdle, open, idle)
	}
}

// counts is how many connections are open, and how many of them have no request under way.
func (c *conns) counts() (open, free int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := range c.open {
		if n.doing.Load() != busy {
			free++
		}
	}
	return len(c.open), free
}

// ask asks for name over c, in a bubble, and returns when the connection counts as busy.
func (c *client) ask(name string) {
	c.t.Helper()
	c.send(get("/secrets?name=" + name))
	synctest.Wait()
}

// read asks for name over c, in a bubble, compares the answer and returns when the connection counts as idle.
func (c *client) read(name, want string) {
	c.t.Helper()
	c.ask(name)
	c.want(200, want)
	synctest.Wait()
}

func TestMostConnections(t *testing.T) {
	if got := newFixture(nil, setup{}).conns.most; got != 512 {
		t.Errorf("at most %d connections, want 512", got)
	}
}

// TestRoomByIdlest: who has been idle longest makes room for a newcomer, whoever came first.
func TestRoomByIdlest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(map[string]reply{"a": {body: "v"}}, setup{})
		p := f.servePipes(t, 3)
		a, b, c := p.dial(t), p.dial(t), p.dial(t)
		c.read("a", "v")
		b.read("a", "v")
		a.read("a", "v")
		c.read("a", "v")
		wantCounts(t, f.conns, 3, 3)

		d := p.dial(t)
		b.wantClosed()
		d.read("a", "v")
		wantCounts(t, f.conns, 3, 3)
		e := p.dial(t)
		a.wantClosed()
		for _, c := range []*client{c, d, e} {
			c.read("a", "v")
		}
		wantCounts(t, f.conns, 3, 3)
	})
}

// TestUnusedMakeRoomLast: a connection whose first request may be on its way is kept before one that had its answer.
func TestUnusedMakeRoomLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(map[string]reply{"a": {body: "v"}}, setup{})
		p := f.servePipes(t, 2)
		unused, used := p.dial(t), p.dial(t)
		used.read("a", "v")
		newcomer := p.dial(t)
		used.wantClosed()
		unused.read("a", "v")
		newcomer.read("a", "v")
	})
}

// TestBusyKeepTheirs: a connection with a request under way is never closed for another, and one that has yet to send its
// first is idle.
func TestBusyKeepTheirs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		f := newFixture(map[string]reply{"a": {body: "v"}, "slow": {body: "cold", hold: hold}}, setup{})
		p := f.servePipes(t, 2)
		busy := p.dial(t)
		busy.ask("slow")
		wantCounts(t, f.conns, 1, 0)
		for range 5 {
			p.dial(t).read("a", "v")
			wantCounts(t, f.conns, 2, 1)
		}
		silent := p.dial(t)
		p.dial(t).read("a", "v")
		silent.wantClosed()
		close(hold)
		busy.want(200, "cold")
	})
}

// TestNewcomerWaits when all are busy, until one of them is answered.
func TestNewcomerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := make(chan struct{}), make(chan struct{})
		f := newFixture(map[string]reply{"a": {body: "v"}, "one": {body: "1", hold: one}, "two": {body: "2", hold: two}}, setup{})
		p := f.servePipes(t, 2)
		a, b := p.dial(t), p.dial(t)
		a.ask("one")
		b.ask("two")
		newcomer := p.dial(t)
		sent := make(chan struct{})
		go func() {
			fmt.Fprint(newcomer, get("/secrets?name=a"))
			close(sent)
		}()
		time.Sleep(time.Second)
		synctest.Wait()
		select {
		case <-sent:
			t.Error("the request of the newcomer is read while both others are busy")
		default:
		}
		wantCounts(t, f.conns, 2, 0)
		close(two)
		b.want(200, "2")
		newcomer.want(200, "v")
		b.wantClosed()
		close(one)
		a.want(200, "1")
	})
}

// TestNewcomerAfterAClose: a connection that ends while busy makes room, too.
func TestNewcomerAfterAClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		f := newFixture(map[string]reply{"a": {body: "v"}, "slow": {body: "v", hold: hold}}, setup{})
		p := f.servePipes(t, 1)
		busy := p.dial(t)
		busy.ask("slow")
		newcomer := p.dial(t)
		busy.Close()
		close(hold)
		newcomer.read("a", "v")
		wantCounts(t, f.conns, 1, 1)
	})
}

// TestNewcomersOfBothAddresses: two listeners share one bound, each may have a connection that waits, and one place that
// becomes free lets both in, one after the other.
func TestNewcomersOfBothAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := make(chan struct{}), make(chan struct{})
		f := newFixture(map[string]reply{"a": {body: "v"}, "one": {body: "1", hold: one}, "two": {body: "2", hold: two}}, setup{})
		f.bound(2)
		four := &pipes{queue: make(chan net.Conn), done: make(chan struct{})}
		six := &pipes{queue: make(chan net.Conn), done: make(chan struct{})}
		f.serveOn(t, &Listener{each: []net.Listener{four, six}})
		first, second := four.dial(t), six.dial(t)
		first.ask("one")
		second.ask("two")
		var newcomers []*client
		for _, p := range []*pipes{four, six} {
			c := p.dial(t)
			go fmt.Fprint(c, get("/secrets?name=a"))
			newcomers = append(newcomers, c)
		}
		synctest.Wait()
		wantCounts(t, f.conns, 2, 0)
		close(one)
		first.want(200, "1")
		for _, c := range newcomers {
			c.want(200, "v")
		}
		synctest.Wait()
		wantCounts(t, f.conns, 2, 1)
		close(two)
		second.want(200, "2")
	})
}

// TestShutdownWaitsForNobodySilent: connections without a request under way are closed at once, used or not.
func TestShutdownWaitsForNobodySilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(map[string]reply{"a": {body: "v"}}, setup{})
		p := f.servePipes(t, 3)
		p.dial(t)
		p.dial(t).read("a", "v")
		began := time.Now()
		if err := f.Shutdown(t.Context()); err != nil || time.Since(began) > time.Second {
			t.Errorf("Shutdown = %v after %v, want nil at once", err, time.Since(began))
		}
	})
}

// TestShutdownReleasesNewcomer: it is turned away, and what is under way is finished all the same.
func TestShutdownReleasesNewcomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		f := newFixture(map[string]reply{"slow": {body: "cold", hold: hold}}, setup{})
		p := f.servePipes(t, 1) // holds Serve and Shutdown to a nil error
		busy := p.dial(t)
		busy.ask("slow")
		newcomer := p.dial(t)
		ended := make(chan error, 1)
		go func() { ended <- f.Shutdown(context.Background()) }()
		newcomer.wantClosed()
		close(hold)
		busy.want(200, "cold")
		if err := <-ended; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// TestAcceptAfterClose: whoever comes between the end of admission and that of the listener is not a failure of it,
// which would cut off what is under way.
func TestAcceptAfterClose(t *testing.T) {
	c := newConns(1)
	p := &pipes{queue: make(chan net.Conn, 1), done: make(chan struct{})}
	here, there := net.Pipe()
	p.queue <- there
	c.close()
	conn, err := (&Server{conns: c}).limit(p).Accept()
	if conn != nil || !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Accept = %v, %v, want %v", conn, err, http.ErrServerClosed)
	}
	if _, err := here.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open")
	}
	wantCounts(t, c, 0, 0)
}

// brokenListener fails for good at the word.
type brokenListener struct {
	*pipes
	word chan struct{}
}

func (l brokenListener) Accept() (net.Conn, error) {
	<-l.word
	return nil, errors.New("broken")
}

// TestServeFails: when one address fails the other is given up, be it with a newcomer who waits.
func TestServeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		f := newFixture(map[string]reply{"slow": {body: "cold", hold: hold}}, setup{})
		f.bound(1)
		p := &pipes{queue: make(chan net.Conn), done: make(chan struct{})}
		broken := brokenListener{&pipes{done: make(chan struct{})}, make(chan struct{})}
		ended := make(chan error, 1)
		go func() { ended <- f.Serve(&Listener{each: []net.Listener{p, broken}}) }()
		busy := p.dial(t)
		busy.ask("slow")
		newcomer := p.dial(t)
		close(broken.word)
		if err := <-ended; err == nil || err.Error() != "broken" {
			t.Errorf("Serve = %v, want the error of the listener", err)
		}
		newcomer.wantClosed()
		busy.wantClosed()
		close(hold)
	})
}

// TestCountsNeverLeak over connections that end in every way.
func TestCountsNeverLeak(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: "v"}, "denied": {err: errors.New("x")}}, setup{})
	f.bound(8)
	port := f.serve(t)
	ends := map[string]func(c *client){
		"at once":          func(c *client) {},
		"reset at once":    func(c *client) { c.Conn.(*net.TCPConn).SetLinger(0) },
		"mid-header":       func(c *client) { c.SetDeadline(time.Now().Add(patience)); fmt.Fprint(c, "GET / HT") },
		"without reading":  func(c *client) { fmt.Fprint(c, get("/secrets?name=a")) },
		"reset unread":     func(c *client) { fmt.Fprint(c, get("/secrets?name=a")); c.Conn.(*net.TCPConn).SetLinger(0) },
		"after an answer":  func(c *client) { fmt.Fprint(c, get("/secrets?name=a")); c.receive("GET") },
		"closed by us":     func(c *client) { fmt.Fprint(c, get("/secrets?name=a", "Connection: close")); c.receive("GET") },
		"after garbage":    func(c *client) { fmt.Fprint(c, "\x00\r\n\r\n"); c.receive("GET") },
		"after a problem":  func(c *client) { fmt.Fprint(c, get("/secrets?name=denied")); c.receive("GET") },
		"with a second up": func(c *client) { fmt.Fprint(c, get("/secrets?name=a")+get("/secrets?name=a")) },
	}
	done := make(chan struct{})
	for _, end := range ends {
		go func() {
			for range 40 {
				c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
				if err != nil {
					t.Errorf("dial: %v", err)
					break
				}
				end(newClient(t, c)) // may be closed under it, to make room
				c.Close()
			}
			done <- struct{}{}
		}()
	}
	for range ends {
		<-done
	}
	eventually(t, "all connections are forgotten", func() bool {
		open, _ := f.conns.counts()
		return open == 0
	})
	c := dial(t, port)
	c.send(get("/secrets?name=a"))
	c.want(200, "v")
}

// TestMoreClientsThanConnections: each retries when it was closed to make room, and all come through.
func TestMoreClientsThanConnections(t *testing.T) {
	f := newFixture(map[string]reply{"a": {body: "v"}}, setup{})
	f.bound(4)
	port := f.serve(t)
	const clients, reads = 16, 25
	done := make(chan error)
	for range clients {
		go func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client := http.Client{Transport: transport, Timeout: patience}
			for range reads {
				for try := 1; ; try++ {
					r, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/secrets?name=a", port))
					if err == nil {
						r.Body.Close()
						break
					}
					if try == 1000 {
						done <- err
						return
					}
				}
			}
			done <- nil
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestShutdownFinishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		f := newFixture(map[string]reply{"a": {body: "v"}, "slow": {body: "cold", hold: hold}}, setup{})
		p := f.servePipes(t, 10)
		idle, busy := p.dial(t), p.dial(t)
		idle.read("a", "v")
		busy.ask("slow")
		ended := make(chan error, 1)
		go func() { ended <- f.Shutdown(context.Background()) }()
		idle.wantClosed()
		synctest.Wait()
		select {
		case <-p.done:
		default:
			t.Error("the listener is open during Shutdown")
		}
		select {
		case err := <-ended:
			t.Errorf("Shutdown = %v while a request is under way", err)
		default:
		}
		time.Sleep(time.Second)
		close(hold)
		if a := busy.want(200, "cold"); !a.close {
			t.Error("the answer does not say that the connection is going to be closed")
		}
		busy.wantClosed()
		if err := <-ended; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

func TestShutdownCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(map[string]reply{"slow": {hang: true}}, setup{})
		p := f.servePipes(t, 10)
		busy := p.dial(t)
		busy.ask("slow")
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		from := time.Now()
		if err := f.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown = %v, want %v", err, context.DeadlineExceeded)
		}
		if got := time.Since(from); got != time.Second {
			t.Errorf("Shutdown took %v, want 1s", got)
		}
		busy.wantClosed()
		time.Sleep(time.Second) // the read is over within its own bound, and the bubble sees that nothing is left of it
	})
}
