package cache

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Bounds of the Memory of a Cache that is given none.
const (
	defaultEntries = 10_000
	defaultBytes   = 16 << 20
)

// Memory holds what is known of open names, of all caches it is given to, within one bound. What is declared by itself is
// not in it, and so never evicted.
//
// It is a segmented LRU. A name enters on probation and is protected when it is read again; what is protected has up to
// protectedShare of the bounds, and goes back on probation from its least recently read name on. Names are evicted from
// probation, the least recently read first. So a scan over names that are each read once evicts only such names.
type Memory struct {
	maxEntries int
	maxBytes   int64

	mu        sync.Mutex // guards what follows, and place and share. Taken after slot.mu, never before
	probation segment
	protected segment
	over      bool               // the bound is exceeded, by names in use alone
	flying    map[*slot]struct{} // those with a flight
}

// protectedShare is what names that were read more than once may take of the bounds, in percent.
const protectedShare = 80

// segment is names in the order of their last reads.
type segment struct {
	*simplelru.LRU[openName, *slot]
	bytes int64
}

type openName struct {
	cache *Cache
	name  string
}

// place is what a slot of an open name has besides.
type place struct {
	cache *Cache
	entry atomic.Pointer[entry] // what go-cache holds for declared names; written with slot.mu held

	// Guarded by Memory.mu.
	uses      int // readers in Get, and the flight. While there are any, the slot stays: a name has one slot, and one flight
	protected bool
	weight    int64
	until     time.Time // wall clock: from then on, nothing that is known of the name matters
	held      share
}

// share is what a slot, or a cache by its open names, adds to Stats.
type share struct {
	entries int
	bytes   int64
}

// NewMemory returns a Memory for at most maxEntries names and maxBytes bytes; both are at least 1. A name weighs what it
// keeps from the garbage collector: its value, or what AWS said instead, and what the cache knows about it.
func NewMemory(maxEntries int, maxBytes int64) *Memory {
	return &Memory{
		maxEntries: maxEntries, maxBytes: maxBytes,
		probation: newSegment(), protected: newSegment(),
		flying: make(map[*slot]struct{}),
	}
}

// newSegment returns a segment without a bound of its own: bounds are for both together, and in bytes.
func newSegment() segment {
	lru, _ := simplelru.NewLRU[openName, *slot](math.MaxInt, nil) // fails for sizes below 1
	return segment{LRU: lru}
}

func (g *segment) add(s *slot) {
	g.Add(s.openName(), s)
	g.bytes += s.place.weight
}

func (g *segment) remove(s *slot) {
	g.Remove(s.openName())
	g.bytes -= s.place.weight
}

// openName holds the slot's own copy of the name: the reader's may be part of something larger.
func (s *slot) openName() openName { return openName{s.place.cache, s.key.Name} }

func (m *Memory) segment(s *slot) *segment {
	if s.place.protected {
		return &m.protected
	}
	return &m.probation
}

// read returns the slot of a name that is being read, or nil.
func (m *Memory) read(c *Cache, name string) *slot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.touch(openName{c, name})
}

// enter is read for a reader that has to stay until leave.
func (m *Memory) enter(c *Cache, name string) *slot {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.touch(openName{c, name})
	if s != nil {
		s.place.uses++
	}
	return s
}

// admit is enter with a slot for a name that had none before.
func (m *Memory) admit(s *slot) *slot {
	w := s.weight()
	m.mu.Lock()
	defer m.mu.Unlock()
	if first := m.touch(s.openName()); first != nil { // another reader's
		first.place.uses++
		return first
	}
	s.place.weight, s.place.uses = w, 1
	m.probation.add(s)
	m.trim()
	return s
}

// leave ends what enter or admit began.
func (m *Memory) leave(s *slot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.place.uses--
	if m.over {
		m.trim()
	}
}

// took notes that s has a flight.
func (m *Memory) took(s *slot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.place.uses++
	m.flying[s] = struct{}{}
}

// landed notes that s has no flight any more, and weighs what that has brought. s.mu is held.
func (m *Memory) landed(s *slot) {
	w, until := s.weight(), s.until()
	if w > m.maxBytes {
		s.place.entry.Store(nil) // whoever waited for it has it
		s.stored = false         // and the next reader finds nothing that could have expired
		w = s.weight()
	}
	var held share
	if e := s.place.entry.Load(); e != nil {
		held = share{1, int64(len(e.value.Body))}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := s.place
	p.cache.open.add(p.held, -1)
	p.cache.open.add(held, 1)
	m.segment(s).bytes += w - p.weight
	p.held, p.weight, p.until = held, w, until
	p.uses--
	delete(m.flying, s)
	m.demote()
	m.trim()
}

func (h *share) add(o share, sign int) {
	h.entries += sign * o.entries
	h.bytes += int64(sign) * o.bytes
}

// touch returns the slot of a name, or nil, and counts it as read. m.mu is held.
func (m *Memory) touch(n openName) *slot {
	if s, ok := m.protected.Get(n); ok {
		return s
	}
	s, ok := m.probation.Peek(n)
	if !ok {
		return nil
	}
	m.probation.remove(s)
	s.place.protected = true
	m.protected.add(s)
	m.demote()
	return s
}

// demote puts on probation what is too much to be protected; the name that was read last stays. m.mu is held.
func (m *Memory) demote() {
	for m.protected.Len() > 1 &&
		(m.protected.Len() > m.maxEntries*protectedShare/100 || m.protected.bytes > m.maxBytes*protectedShare/100) {
		_, s, _ := m.protected.GetOldest()
		m.protected.remove(s)
		s.place.protected = false
		m.probation.add(s)
	}
}

func (m *Memory) full() bool {
	return m.probation.Len()+m.protected.Len() > m.maxEntries || m.probation.bytes+m.protected.bytes > m.maxBytes
}

// trim evicts names until the bound is kept, or all that could go are in use: those go when they are released. What is
// protected makes way only where a single name on probation takes more than protection has left. m.mu is held.
func (m *Memory) trim() {
	for m.over = m.full(); m.over; m.over = m.full() {
		from := &m.probation
		if from.Len() <= 1 && m.protected.Len() > 0 {
			from = &m.protected
		}
		s := from.idle()
		if s == nil {
			return
		}
		m.remove(s)
		s.place.cache.counters.evictions.Add(1)
	}
}

// idle returns the least recently read slot that is not in use, or nil. Those in use are put before all others.
func (g *segment) idle() *slot {
	for range g.Len() {
		name, s, _ := g.GetOldest()
		if s.place.uses == 0 {
			return s
		}
		g.Get(name)
	}
	return nil
}

// remove takes out a slot that is not in use. m.mu is held.
func (m *Memory) remove(s *slot) {
	m.segment(s).remove(s)
	s.place.cache.open.add(s.place.held, -1)
}

// expire forgets names of which nothing that is known matters any more, from the least recently read on until there is
// one that does: looking at all would take as long as there are names.
func (m *Memory) expire(now Instant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range []*segment{&m.probation, &m.protected} {
		for {
			_, s, ok := g.GetOldest()
			if !ok || s.place.uses > 0 || now.Wall.Before(s.place.until) {
				break
			}
			m.remove(s)
		}
	}
}

// share returns what a cache holds by its open names.
func (m *Memory) share(c *Cache) share {
	m.mu.Lock()
	defer m.mu.Unlock()
	return c.open
}

// up returns the slots of a cache's open names that have a flight.
func (m *Memory) up(c *Cache) []*slot {
	m.mu.Lock()
	defer m.mu.Unlock()
	var up []*slot
	for s := range m.flying {
		if s.place.cache == c {
			up = append(up, s)
		}
	}
	return up
}

// What is kept for a name and for its value beside the bytes of their parts: structs, maps at their emptiest, and what the
// server keeps with a value. TestScanStaysWithinTheBound compares them with the heap.
const (
	slotWeight  = 850
	valueWeight = 550
)

// weight is what s keeps in memory. s.mu is held, or nobody else has s.
func (s *slot) weight() int64 {
	w := slotWeight + len(s.key.Name) + len(s.key.Identity) + errorWeight(s.refusal) + errorWeight(s.failure)
	if e := s.place.entry.Load(); e != nil {
		w += valueWeight + allocated(e.value.Body)
	}
	return int64(w)
}

// allocated is what the allocator gives for b at most: large blocks are whole pages, and of others an eighth may be waste.
func allocated(b []byte) int {
	const large, page = 32 << 10, 8 << 10
	if cap(b) > large {
		return (cap(b) + page - 1) / page * page
	}
	return cap(b) + cap(b)/8
}

func errorWeight(err error) int {
	if err == nil {
		return 0
	}
	var panicked *PanicError
	if errors.As(err, &panicked) {
		return len(panicked.Stack)
	}
	return len(err.Error())
}

// until is when nothing that s remembers matters any more. s.mu is held.
func (s *slot) until() time.Time {
	var until time.Time
	if s.failures > 0 {
		until = s.failedAt.Add(2 * lastHoldOff) // the next failure would be another one in a row
	}
	if e := s.place.entry.Load(); e != nil {
		until = latest(until, e.fetchedAt.Add(s.limit))
	}
	if s.refusal != nil {
		until = latest(until, s.refusedAt.Add(s.place.cache.opts.NegativeTTL))
	}
	return until
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
