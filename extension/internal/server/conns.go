package server

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// conns bounds the connections that are open at one time. At the limit the one that has been idle longest makes room for a
// new one; only when none is idle does the new one wait. A connection that has not sent a request yet is idle, too, but
// goes last: few clients try again when they lose one of those.
type conns struct {
	most int

	mu     sync.Mutex // guards what follows
	room   sync.Cond  // a connection was closed or became idle, or all is closed
	open   map[net.Conn]place
	idle   list.List // of net.Conn, longest idle first
	unused list.List // of net.Conn, longest open first
	closed bool
}

// place is where an open connection stands among those that can make room; its zero value while a request is under way.
type place struct {
	in *list.List
	at *list.Element
}

func (p place) leave() {
	if p.in != nil {
		p.in.Remove(p.at)
	}
}

func newConns(most int) *conns {
	c := &conns{most: most, open: make(map[net.Conn]place)}
	c.room.L = &c.mu
	return c
}

// changed is an http.Server's ConnState.
func (c *conns) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, ok := c.open[conn]
	if !ok {
		return // made room for another
	}
	switch state {
	case http.StateActive:
		was.leave()
		c.open[conn] = place{}
	case http.StateIdle:
		was.leave()
		c.open[conn] = place{&c.idle, c.idle.PushBack(conn)}
		c.room.Signal()
	case http.StateClosed, http.StateHijacked:
		was.leave()
		delete(c.open, conn)
		c.room.Signal()
	}
}

// admit makes room for conn, or waits for it; it is false when all is closed.
func (c *conns) admit(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed && len(c.open) >= c.most {
		if !c.makeRoom() {
			c.room.Wait()
		}
	}
	if c.closed {
		return false
	}
	c.open[conn] = place{&c.unused, c.unused.PushBack(conn)}
	return true
}

// makeRoom closes a connection that is idle, if there is one. c.mu is held.
func (c *conns) makeRoom() bool {
	for _, l := range []*list.List{&c.idle, &c.unused} {
		if at := l.Front(); at != nil {
			conn := l.Remove(at).(net.Conn)
			delete(c.open, conn)
			conn.Close()
			return true
		}
	}
	return false
}

// close lets nobody in any more, and nobody wait.
func (c *conns) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.room.Broadcast()
}

// limit returns l under c's bound.
func (c *conns) limit(l net.Listener) net.Listener { return limited{l, c} }

type limited struct {
	net.Listener
	conns *conns
}

// Accept takes a connection off the queue first: only a newcomer is a reason to close an idle one.
func (l limited) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !l.conns.admit(conn) {
		conn.Close()
		return nil, http.ErrServerClosed // not net.ErrClosed: Shutdown may not have come to the listeners yet
	}
	return conn, nil
}
