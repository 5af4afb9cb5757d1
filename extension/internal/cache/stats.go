package cache

import (
	"errors"
	"sync/atomic"
)

// Stats are counters since the start, and what is held now. docs/http.md explains them to users.
type Stats struct {
	Hits      uint64 `json:"hits"`      // reads answered from memory with a fresh value
	Stale     uint64 `json:"stale"`     // reads answered with an expired value
	Misses    uint64 `json:"misses"`    // reads that started a flight and waited for it
	Collapsed uint64 `json:"collapsed"` // reads that waited for a flight already up
	Fetches   uint64 `json:"fetches"`   // flights: keys fetched, by readers, prefetch and refresh
	Errors    Errors `json:"errors"`    // flights that failed
	Evictions uint64 `json:"evictions"` // open names that made way for others
	Entries   int    `json:"entries"`   // values held
	Bytes     int64  `json:"bytes"`     // size of their bodies
}

// Errors counts failed flights by class.
type Errors struct {
	Missing   uint64 `json:"missing"`
	Denied    uint64 `json:"denied"`
	Throttled uint64 `json:"throttled"`
	Timeout   uint64 `json:"timeout"`
	Upstream  uint64 `json:"upstream"`
}

// Sum returns how many flights failed, of all classes.
func (e Errors) Sum() uint64 { return e.Missing + e.Denied + e.Throttled + e.Timeout + e.Upstream }

type counters struct {
	hits, stale, misses, collapsed, fetches       atomic.Uint64
	evictions                                     atomic.Uint64
	missing, denied, throttled, timeout, upstream atomic.Uint64
}

func (n *counters) failed(err error) {
	switch Class(err) {
	case "missing":
		n.missing.Add(1)
	case "denied":
		n.denied.Add(1)
	case "throttled":
		n.throttled.Add(1)
	case "timeout":
		n.timeout.Add(1)
	default:
		n.upstream.Add(1)
	}
}

// Class names the class of an error of a fetch as Stats and logs do: missing, denied, throttled, timeout, else upstream.
func Class(err error) string {
	switch {
	case errors.Is(err, ErrMissing):
		return "missing"
	case errors.Is(err, ErrDenied):
		return "denied"
	case errors.Is(err, ErrThrottled):
		return "throttled"
	case errors.Is(err, ErrTimeout):
		return "timeout"
	}
	return "upstream"
}

// Stats returns the counters; it first forgets values that have expired beyond use.
func (c *Cache) Stats() Stats {
	c.items.DeleteExpired()
	n := &c.counters
	s := Stats{
		Hits: n.hits.Load(), Stale: n.stale.Load(), Misses: n.misses.Load(),
		Collapsed: n.collapsed.Load(), Fetches: n.fetches.Load(),
		Errors: Errors{
			Missing: n.missing.Load(), Denied: n.denied.Load(), Throttled: n.throttled.Load(),
			Timeout: n.timeout.Load(), Upstream: n.upstream.Load(),
		},
		Evictions: n.evictions.Load(),
	}
	for _, it := range c.items.Items() {
		s.Entries++
		s.Bytes += int64(len(it.Object.(*entry).value.Body))
	}
	open := c.openShare()
	s.Entries += open.entries
	s.Bytes += open.bytes
	return s
}
