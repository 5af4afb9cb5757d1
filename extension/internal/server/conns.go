package server

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// conns bounds the connections that are open at one time. At the limit the one that has been idle longest makes room for a
// new one; only when none is idle does the new one wait.
type conns struct {
	most int

	mu     sync.Mutex                 // guards what follows
	room   sync.Cond                  // a connection was closed or became idle, or all is closed
	open   map[net.Conn]*list.Element // nil while a request is under way
	idle   list.List                  // of net.Conn, longest idle first
	closed bool
}

func newConns(most int) *conns {
	c := &conns{most: most, open: make(map[net.Conn]*list.Element)}
	c.room.L = &c.mu
	return c
}

// changed is an http.Server's ConnState. A connection that has not sent its request yet is idle.
func (c *conns) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.open[conn]
	if !ok {
		return // made room for another
	}
	switch state {
	case http.StateActive:
		if at != nil {
			c.idle.Remove(at)
			c.open[conn] = nil
		}
	case http.StateIdle:
		if at != nil {
			return
		}
		c.open[conn] = c.idle.PushBack(conn)
		c.room.Signal()
	case http.StateClosed, http.StateHijacked:
		if at != nil {
			c.idle.Remove(at)
		}
		delete(c.open, conn)
		c.room.Signal()
	}
}

// admit makes room for conn, or waits for it; it is false when all is closed.
func (c *conns) admit(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed && len(c.open) >= c.most {
		if at := c.idle.Front(); at != nil {
			oldest := c.idle.Remove(at).(net.Conn)
			delete(c.open, oldest)
			oldest.Close()
			continue
		}
		c.room.Wait()
	}
	if c.closed {
		return false
	}
	c.open[conn] = c.idle.PushBack(conn)
	return true
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
