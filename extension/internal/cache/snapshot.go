package cache

import "time"

// Status is what a read of a key would meet.
type Status string

// The statuses.
const (
	StatusFresh    Status = "fresh"
	StatusStale    Status = "stale"    // past its TTL, but it may stand in for an error or until it is refreshed
	StatusHeldOff  Status = "held off" // AWS failed twice or more in a row and is left alone; an old value may stand in
	StatusFailed   Status = "failed"   // AWS failed, and nothing stands in
	StatusMissing  Status = "missing"  // what AWS said last
	StatusDenied   Status = "denied"   // what AWS said last
	StatusExpired  Status = "expired"  // there was a value, and it is past all use
	StatusUncached Status = "uncached" // there was a value, and with a TTL of 0 each read fetches it anew
	StatusUnread   Status = "not read yet"
)

// State is what is known of one key at one moment: all but the value. Durations that do not apply are 0.
type State struct {
	Name     string // Key.Name
	Line     int    // of config.yaml
	Status   Status
	Fetching bool // a fetch is under way

	// Of the value in memory.
	Holds        bool          // there is one
	Age          time.Duration // since it was fetched
	TTL          time.Duration // the key's own, not what is left of it
	StaleIfError time.Duration // left of the time in which it may stand in for an error
	Size         int           // of its body in bytes

	HoldOff time.Duration // until AWS is asked again
	Failure string        // Class of the last fetch that failed, be it long ago; "" when none has
	Failed  time.Duration // since then

	// Since the start.
	Reads   int64         // those without a value, too
	Fetches int64         // for readers, prefetch and refresh
	Took    time.Duration // the last fetch that was answered, if only with missing or denied
	Spared  int64         // fetches that each read by itself would have made beyond Fetches
	Saved   time.Duration // what readers of a value in memory would have waited for: what the fetch of that value took, each time
}

// past is what a slot remembers for State alone.
type past struct {
	reads    int64         // answered with values before the present one
	saved    time.Duration // by these
	took     time.Duration // State.Took
	fetches  int64
	failure  string // class; unlike slot.failure, a success does not end it
	failedAt time.Time
}

// turn closes the account of the value that was held, with what its own fetch took. s.mu is held.
func (s *slot) turn(took time.Duration) {
	p := &s.past
	p.saved += s.saved()
	p.reads += s.reads.Swap(0)
	s.waited.Store(0)
	p.took = took
}

// saved is what the readers of the present value did not wait for. The two counters are not read as one, so it may be one
// read off for a moment. s.mu is held.
func (s *slot) saved() time.Duration {
	return time.Duration(max(0, s.reads.Load()-s.waited.Load())) * s.past.took
}

// Snapshot tells the state of each key, in the order of config.yaml. It is no read: it starts nothing and counts nothing.
func (c *Cache) Snapshot() []State {
	now := c.now()
	var all []State
	for _, k := range c.source.Keys() {
		all = append(all, c.state(c.slots[k], now))
	}
	return all
}

func (c *Cache) state(s *slot, now Instant) State {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := c.look(s)
	st := State{
		Name: s.key.Name, Line: s.key.Line, TTL: s.key.TTL,
		Status:   c.status(s, e, now),
		Fetching: s.flight != nil && !Slept(s.flight.began, now),
		HoldOff:  s.left(now),
		Reads:    s.past.reads + s.reads.Load() + s.failed.Load(),
		Fetches:  s.past.fetches,
		Took:     s.past.took,
		Saved:    s.past.saved + s.saved(),
	}
	st.Spared = max(0, st.Reads-st.Fetches)
	if e != nil {
		st.Holds = true
		a := s.answer(e, now, Hit)
		st.Age, st.Size = a.Age, len(e.value.Body)
		st.StaleIfError = max(0, s.key.StaleIfError+min(0, a.TTL))
	}
	if s.past.failure != "" {
		st.Failure, st.Failed = s.past.failure, max(0, now.Wall.Sub(s.past.failedAt))
	}
	return st
}

// status goes the way of decide. s.mu is held.
func (c *Cache) status(s *slot, e *entry, now Instant) Status {
	var ttl time.Duration
	if e != nil {
		if ttl = s.answer(e, now, Hit).TTL; ttl > 0 {
			return StatusFresh
		}
	}
	remembered := s.key.TTL > 0 && within(now.Wall, s.refusedAt, c.opts.NegativeTTL)
	if s.refusal != nil && (remembered || s.failure == nil) {
		return Status(Class(s.refusal))
	}
	if s.left(now) > 0 {
		return StatusHeldOff
	}
	switch _, usable := s.staleIfError(e, now); {
	case s.failure == nil && s.stored && s.key.TTL == 0:
		return StatusUncached
	case usable, e != nil && s.key.TTL > 0 && -ttl < c.opts.StaleWhileRevalidate:
		return StatusStale
	case s.failure != nil:
		return StatusFailed
	case s.stored:
		return StatusExpired
	}
	return StatusUnread
}
