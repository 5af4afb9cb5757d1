package shared

import (
	"errors"
	"net"
)

// errGarbage is what a server says that does not speak the protocol.
var errGarbage = errors.New("its answers are not those of Valkey or Redis")

// guard is a connection that breaks off when what comes is not the protocol. The client trusts lengths that it is told,
// and would ask for that much memory at once, in which the process could end.
type guard struct {
	net.Conn
	replies replies
}

// Read reads what is good so far.
func (g *guard) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if !g.replies.follow(p[:n]) {
		return 0, errGarbage
	}
	return n, err
}

// Bounds of what we accept; the server's answers to what we ask stay far below.
const (
	maxLine  = 4 << 10           // an error or a status
	maxBulk  = 4*maxRecord + 128 // what another has put under our key may be larger than a record: a miss, up to this
	maxItems = 1 << 10           // of one array or map
	maxDepth = 8
)

// replies follows a stream of replies in RESP2 or RESP3 without keeping any of it.
type replies struct {
	kind   byte  // of the line that is being read; 0 between lines
	length int   // of the line so far, without its kind
	number int   // that the line tells, where its kind tells one
	minus  bool  // the number is negative
	cr     bool  // the last byte was a carriage return
	body   int   // bytes left of a body and the line end behind it
	items  []int // replies left in each array or map that is open, the outermost first
}

// follow says whether the stream may go on with p.
func (r *replies) follow(p []byte) bool {
	for len(p) > 0 {
		if r.body > 2 {
			n := min(r.body-2, len(p))
			r.body, p = r.body-n, p[n:]
			continue
		}
		c := p[0]
		p = p[1:]
		var ok bool
		switch {
		case r.body == 2:
			ok = c == '\r'
			r.body = 1
		case r.body == 1:
			ok = c == '\n'
			r.body = 0
			r.end()
		case r.kind == 0:
			ok = r.begin(c)
		default:
			ok = r.line(c)
		}
		if !ok {
			return false
		}
	}
	return true
}

// begin takes the first byte of a reply. Attributes and pushes are not among what may come: nobody asks for them.
func (r *replies) begin(c byte) bool {
	switch c {
	case '+', '-', ':', '_', ',', '#', '(', '$', '=', '!', '*', '~', '%':
		r.kind, r.length, r.number, r.minus, r.cr = c, 0, 0, false, false
		return true
	}
	return false
}

// counted says whether the line tells a length.
func (r *replies) counted() bool {
	switch r.kind {
	case '$', '=', '!', '*', '~', '%':
		return true
	}
	return false
}

// line takes a further byte of a line.
func (r *replies) line(c byte) bool {
	switch {
	case c == '\n':
		return r.cr && r.lineEnds()
	case r.cr:
		return false
	case c == '\r':
		r.cr = true
		return true
	}
	r.length++
	if !r.counted() {
		return r.length <= maxLine
	}
	switch {
	case c == '-' && r.length == 1:
		r.minus = true
		return true
	case c >= '0' && c <= '9':
		r.number = 10*r.number + int(c-'0')
		return r.number <= maxBulk
	}
	return false
}

func (r *replies) lineEnds() bool {
	kind, n := r.kind, r.number
	counted := r.counted()
	r.kind = 0
	if counted && (r.length == 0 || r.minus) { // only -1, for none, is negative
		if r.length != 2 || n != 1 {
			return false
		}
		r.end()
		return true
	}
	switch kind {
	case '$', '=', '!':
		r.body = n + 2
		return true
	case '%':
		n *= 2
		fallthrough
	case '*', '~':
		if n > maxItems || len(r.items) == maxDepth {
			return false
		}
		if n > 0 {
			r.items = append(r.items, n)
			return true
		}
	}
	r.end()
	return true
}

// end notes that a reply is whole, and with it perhaps those that it is part of.
func (r *replies) end() {
	for i := len(r.items) - 1; i >= 0; i-- {
		if r.items[i]--; r.items[i] > 0 {
			return
		}
		r.items = r.items[:i]
	}
}
