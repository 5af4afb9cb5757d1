package cache

import (
	"fmt"
	"strings"
	"time"
)

// model is what a Cache has to do, one step at a time and as plain as it can be said. It knows nothing of locks, maps,
// timers or goroutines: time passes when advance says so, and then what is due by then has happened.
type model struct {
	world
	keys  []*modelKey
	mono  time.Duration // since the start
	gap   time.Duration // by which the wall clock is ahead
	stats Stats         // but for what is in memory
}

// world is what a sequence of steps is run in.
type world struct {
	swr, staleWait, negativeTTL time.Duration
	full                        bool          // all places of waiting readers are taken
	latency                     time.Duration // of AWS
}

type modelKey struct {
	Key
	weather string // what AWS does: ok, hang, or the class of its error
	version int    // of the value in AWS
	calls   int

	value    string
	held     bool          // a value is in memory
	known    bool          // AWS had one when last it answered
	fetched  time.Duration // wall clock, as all below
	stored   time.Duration // the same moment on the monotonic clock
	read     bool          // since it was fetched
	tried    bool
	triedAt  time.Duration
	refusal  string
	refused  time.Duration
	failures int // in a row
	failure  string
	failedAt time.Duration
	flight   *modelFlight
	reader   bool // one is under way
}

type modelFlight struct {
	began, wall   time.Duration // on either clock
	lands         time.Duration // on the monotonic clock
	outcome       string        // a value, or the class of an error
	good          bool          // it is a value
	yields        bool          // comes to nothing when it lands
	over, dropped bool
}

// modelHoldOffs is the base of the hold-off by failures in a row; what is past the end is as the end.
var modelHoldOffs = []time.Duration{
	0, 0, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
	16 * time.Second, 30 * time.Second,
}

func (m *model) now() time.Duration { return m.mono + m.gap }

func (k *modelKey) holdOff() time.Duration {
	return modelHoldOffs[min(k.failures, len(modelHoldOffs)-1)]
}

// pastJitter lets time pass until no hold-off is in the part of it where jitter decides whether it has ended.
func (m *model) pastJitter() {
	for again := true; again; {
		again = false
		for _, k := range m.keys {
			gone, base := m.now()-k.failedAt, k.holdOff()
			if gone >= base*8/10 && gone < base*12/10 {
				m.advance(base*12/10 - gone)
				again = true
			}
		}
	}
}

func (m *model) advance(d time.Duration) {
	until := m.mono + d
	for _, k := range m.keys {
		if k.flight != nil && k.flight.lands <= until {
			m.mono = k.flight.lands
			m.land(k)
			m.mono = until - d // each key's flight has a time of its own
		}
	}
	m.mono = until
}

// ripe drops the key's flight if it slept.
func (m *model) ripe(k *modelKey) {
	if f := k.flight; f != nil && m.slept(f) {
		f.over, f.dropped = true, true
		k.flight, k.tried = nil, false
	}
}

func (m *model) slept(f *modelFlight) bool { return (m.now()-f.wall)-(m.mono-f.began) > time.Second }

func (m *model) launch(k *modelKey) *modelFlight {
	f := &modelFlight{began: m.mono, wall: m.now(), lands: m.mono + m.latency, outcome: k.weather}
	switch k.weather {
	case "ok":
		f.good, f.outcome = true, fmt.Sprintf("v%d", k.version)
	case "hang":
		f.lands, f.outcome = m.mono+k.Timeout, "timeout"
	}
	k.flight, k.tried, k.triedAt = f, true, m.now()
	k.calls++
	m.stats.Fetches++
	return f
}

func (m *model) land(k *modelKey) {
	f := k.flight
	k.flight, f.over = nil, true
	if f.yields || m.slept(f) {
		f.dropped, k.tried = true, false
		return
	}
	switch {
	case f.good:
		k.value, k.fetched, k.stored = f.outcome, m.now(), m.mono
		k.held, k.known, k.read = true, true, false
		k.refusal, k.failures = "", 0
		return
	case f.outcome == "missing" || f.outcome == "denied":
		k.held, k.known = false, false
		k.refusal, k.refused, k.failures = f.outcome, m.now(), 0
	default:
		k.failures++
		k.failure, k.failedAt = f.outcome, m.now()
	}
	switch f.outcome {
	case "missing":
		m.stats.Errors.Missing++
	case "denied":
		m.stats.Errors.Denied++
	case "throttled":
		m.stats.Errors.Throttled++
	case "timeout":
		m.stats.Errors.Timeout++
	case "upstream":
		m.stats.Errors.Upstream++
	}
}

// state is what is at hand for a key at one moment.
type state struct {
	age                                time.Duration
	fresh, inError, inRevalidate, held bool // held: off
}

func (m *model) state(k *modelKey) (s state) {
	gone := m.now() - k.failedAt
	s.held = k.failures > 1 && gone >= 0 && gone < k.holdOff()
	// go-cache lives on the bubble's clock alone, which the freezes of these tests do not move.
	if !k.held || !k.Open && m.mono > k.stored+k.TTL+max(k.StaleIfError, m.swr) {
		return s
	}
	s.age = max(0, m.now()-k.fetched)
	s.fresh = s.age < k.TTL
	s.inError = !s.fresh && s.age-k.TTL < k.StaleIfError
	s.inRevalidate = !s.fresh && k.TTL > 0 && s.age-k.TTL < m.swr
	return s
}

// serve answers with what is at hand.
func (m *model) serve(k *modelKey, how string, s state) string {
	k.read = true
	if s.fresh {
		m.stats.Hits++
	} else {
		m.stats.Stale++
	}
	return fmt.Sprintf("%s %s age=%v ttl=%v", how, k.value, s.age, k.TTL-s.age)
}

// get reads k. Where the reader has to wait, meanwhile happens once it does; else once it is answered.
func (m *model) get(k *modelKey, refresh bool, meanwhile func()) string {
	waited := false
	k.reader = true
	defer func() {
		k.reader = false
		if !waited {
			m.advance(0)
			meanwhile()
		}
	}()
	for {
		answer, how := m.decide(k, refresh)
		if how == "" {
			return answer
		}
		end := ""
		f := k.flight
		if f == nil {
			m.stats.Misses++
			f = m.launch(k)
		} else {
			m.stats.Collapsed++
			end = " collapsed"
		}
		impatient := !refresh && k.TTL > 0 && m.state(k).inError
		until := m.mono + m.staleWait
		m.advance(0)
		if atOnce := impatient && m.staleWait == 0; !f.over && !atOnce && !waited {
			waited = true
			meanwhile()
		}
		if impatient {
			if !f.over {
				m.advance(min(until, f.lands) - m.mono)
			}
			if s := m.state(k); !f.over && s.inError {
				return m.serve(k, "stale-if-error", s)
			}
		}
		if !f.over {
			m.advance(f.lands - m.mono)
		}
		s := m.state(k)
		switch {
		case f.dropped:
			continue
		case f.good:
			k.read = true
			return fmt.Sprintf("%s %s age=0s ttl=%v%s", how, f.outcome, k.TTL, end)
		case f.outcome == "missing" || f.outcome == "denied":
			return f.outcome
		case s.fresh && refresh:
			return m.serve(k, "refresh-failed", s)
		case s.fresh:
			return m.serve(k, "hit", s)
		case s.inError && refresh:
			return m.serve(k, "refresh-failed-expired", s)
		case s.inError:
			return m.serve(k, "stale-if-error", s)
		case s.held:
			return f.outcome + " retry-after"
		}
		return f.outcome
	}
}

// decide gives an answer, or how the value that the reader has to wait for will have come about.
func (m *model) decide(k *modelKey, refresh bool) (answer, how string) {
	m.ripe(k)
	s := m.state(k)
	sinceTried, sinceRefused := m.now()-k.triedAt, m.now()-k.refused
	recent := k.tried && sinceTried >= 0 && sinceTried < time.Second
	asks := refresh && (k.flight != nil || !s.held && !recent)
	switch {
	case asks && !m.full:
		return "", "requested"
	case s.fresh && refresh:
		return m.serve(k, "refresh-limited", s), ""
	case asks && s.inError:
		return m.serve(k, "held-off", s), ""
	case asks:
		return "busy", ""
	case s.fresh:
		return m.serve(k, "hit", s), ""
	case k.refusal != "" && k.TTL > 0 && sinceRefused >= 0 && sinceRefused < m.negativeTTL:
		return k.refusal, ""
	case s.held && s.inError:
		return m.serve(k, "held-off", s), ""
	case s.held && s.inRevalidate:
		return m.serve(k, "revalidating", s), ""
	case s.held:
		return k.failure + " retry-after", ""
	case s.inRevalidate:
		if k.flight == nil {
			m.launch(k)
		}
		return m.serve(k, "revalidating", s), ""
	case m.full && s.inError:
		return m.serve(k, "held-off", s), ""
	case m.full:
		return "busy", ""
	case k.known:
		return "", "expired"
	}
	return "", "missed"
}

func (m *model) thaw() {
	for _, k := range m.keys {
		m.ripe(k)
	}
	m.expire()
}

// expire forgets of open names what does not matter any more.
func (m *model) expire() {
	for _, k := range m.keys {
		if !k.Open || k.flight != nil || k.reader {
			continue
		}
		matters := m.now() < k.refused+m.negativeTTL && k.refusal != "" ||
			m.now() < k.failedAt+time.Minute && k.failures > 0 ||
			m.now() < k.fetched+k.TTL+max(k.StaleIfError, m.swr) && k.held
		if !matters {
			*k = modelKey{Key: k.Key, weather: k.weather, version: k.version, calls: k.calls}
		}
	}
}

// declared are the keys that prefetch reads.
func (m *model) declared() (keys []*modelKey) {
	for _, k := range m.keys {
		if !k.Open {
			keys = append(keys, k)
		}
	}
	return keys
}

// ageing says whether k is in the last tenth of its TTL or past it.
func (m *model) ageing(k *modelKey) bool { return m.now()-k.fetched >= k.TTL*9/10 }

func (m *model) due() (due []*modelKey) {
	for _, k := range m.declared() {
		if k.known && k.read && k.TTL > 0 && m.ageing(k) {
			due = append(due, k)
		}
	}
	return due
}

func (m *model) warm(keys []*modelKey, limit time.Duration) string {
	end := m.mono + limit
	var failed []string
	flights := make(map[*modelKey]*modelFlight)
	for _, k := range keys {
		m.ripe(k)
		switch {
		case k.flight != nil:
			flights[k] = k.flight
		case k.known && !m.ageing(k):
		case m.state(k).held:
			failed = append(failed, k.Name+": "+k.failure)
		default:
			f := m.launch(k)
			if k.weather == "hang" {
				f.lands, f.yields = end, true
			}
			flights[k] = f
		}
	}
	until := m.mono
	for _, f := range flights {
		until = max(until, min(end, f.lands))
	}
	m.advance(until - m.mono)
	for _, k := range keys {
		f := flights[k]
		switch {
		case f == nil || f.good && f.over && !f.dropped:
		case !f.over || f.dropped:
			failed = append(failed, k.Name+": timeout")
		default:
			failed = append(failed, k.Name+": "+f.outcome)
		}
	}
	return strings.Join(failed, ", ")
}
