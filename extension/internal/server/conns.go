package server

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// conns bounds the connections that are open at one time. At the limit the one that has been idle longest makes room for a
// new one; only when none is idle does the new one wait. A connection that has not sent a request yet is idle, too, but
// goes last: few clients try again when they lose one of those.
type conns struct {
	most    int
	turn    atomic.Int64 // counts the moments at which a connection became idle
	waiting atomic.Int64 // newcomers without room

	mu     sync.Mutex // guards what follows
	room   sync.Cond  // a connection was closed or became idle, or all is closed
	open   map[*conn]bool
	closed bool
}

func newConns(most int) *conns {
	c := &conns{most: most, open: make(map[*conn]bool)}
	c.room.L = &c.mu
	return c
}

// What a connection is doing, from first to last.
const (
	unused int32 = iota
	busy         // a request is under way
	idle
	gone // closed, or about to be
)

// begin notes that a request is under way; it is false when the connection has just made room for another.
func (c *conns) begin(n *conn) bool {
	return n.doing.CompareAndSwap(idle, busy) || n.doing.CompareAndSwap(unused, busy) || n.doing.Load() == busy
}

// end notes that the request was answered.
func (c *conns) end(n *conn) {
	n.turn.Store(c.turn.Add(1))
	// Whoever looks for room after this sees that there is some, and whoever looked before it is counted as waiting.
	if n.doing.CompareAndSwap(busy, idle) && c.waiting.Load() > 0 {
		c.mu.Lock()
		c.room.Signal()
		c.mu.Unlock()
	}
}

// changed is an http.Server's ConnState, for the requests that net/http sees.
func (c *conns) changed(nc net.Conn, state http.ConnState) {
	n := nc.(*conn)
	switch state {
	case http.StateActive:
		c.begin(n)
	case http.StateIdle:
		c.end(n)
		n.answered()
	case http.StateClosed, http.StateHijacked:
		n.doing.Store(gone)
		c.mu.Lock()
		if c.open[n] { // else it made room for another, and its place is taken
			delete(c.open, n)
			c.room.Signal()
		}
		c.mu.Unlock()
	}
}

// admit makes room for n, or waits for it; it is false when all is closed.
func (c *conns) admit(n *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	for !c.closed && len(c.open) >= c.most {
		if !c.makeRoom() {
			c.room.Wait()
		}
	}
	if c.closed {
		return false
	}
	n.turn.Store(c.turn.Add(1))
	c.open[n] = true
	return true
}

// makeRoom closes the connection that has been idle longest, if there is one. c.mu is held.
func (c *conns) makeRoom() bool {
	for _, doing := range []int32{idle, unused} {
		for {
			var longest *conn
			for n := range c.open {
				if n.doing.Load() == doing && (longest == nil || n.turn.Load() < longest.turn.Load()) {
					longest = n
				}
			}
			if longest == nil {
				break
			}
			if longest.doing.CompareAndSwap(doing, gone) { // else it has just become busy
				delete(c.open, longest)
				longest.Close()
				return true
			}
		}
	}
	return false
}

// close lets nobody in any more and nobody wait, and closes what is idle or unused: net/http takes a connection that it has
// seen no request of for a busy one, and a client that opened one ahead would use up all the time there is to shut down.
func (c *conns) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.room.Broadcast()
	for n := range c.open {
		if n.doing.CompareAndSwap(idle, gone) || n.doing.CompareAndSwap(unused, gone) {
			n.Close()
		}
	}
}

// limit returns l under c's bound, with connections that answer plain reads themselves.
func (s *Server) limit(l net.Listener) net.Listener { return limited{l, s} }

type limited struct {
	net.Listener
	s *Server
}

// Accept takes a connection off the queue first: only a newcomer is a reason to close an idle one.
func (l limited) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n := newConn(nc, l.s)
	if !l.s.conns.admit(n) {
		nc.Close()
		return nil, http.ErrServerClosed // not net.ErrClosed: Shutdown may not have come to the listeners yet
	}
	return n, nil
}
