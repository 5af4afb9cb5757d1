// Package shared decides what the execution environments of a fleet take from one server, Valkey or Redis, in place of AWS,
// and which of them asks AWS for all. It is a tier below the caches and never worse than none: what the server cannot do
// within a bound is asked of AWS.
package shared

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valkey-io/valkey-go"

	"cache-extension/extension/internal/cache"
)

// Options set up a Tier.
type Options struct {
	URL     string         // of the server: redis, rediss, valkey or valkeys
	Prefix  string         // what every key on the server begins with
	RootCAs *x509.CertPool // trusted for TLS; nil is the system's
	// Timeout bounds each exchange with the server, connecting included; those that a reader waits for take at most a twelfth
	// of what is left of the time of its Fetch. One Fetch waits for at most two before AWS is asked or another environment
	// is waited for, and after one that fails for none at all.
	Timeout time.Duration
	// Key returns the key that seals what is written, KeySize bytes; nil seals nothing, and secrets are then not shared. It
	// is called by each Fetch, so it should remember; another key makes what is sealed with the old one a miss. It may
	// read KeySecret through a cache above this tier, and nothing else.
	Key       func(context.Context) ([]byte, error)
	KeySecret string               // the secret that Key reads, as served; it never passes the server
	Log       *slog.Logger         // told what the server does wrong, each once until it is right again; never nil
	Clock     func() cache.Instant // nil is cache.Clock()
}

// Tier is one server that a fleet shares. All methods may be called concurrently.
type Tier struct {
	opts Options
	addr string
	now  func() cache.Instant
	link *link

	all    breaker // of every use
	writes breaker // of those that write: a server whose memory is full may still be read

	hits, misses, errors, waits atomic.Uint64

	mu         sync.Mutex // guards what follows
	key        []byte     // that seal was made of
	seal       *seal
	complained time.Time // by complain
}

// New returns a Tier. It makes no connection: the first Fetch does.
func New(o Options) (*Tier, error) {
	s, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		return nil, errors.New("shared: timeout: it must be more than 0")
	}
	t := &Tier{opts: o, addr: s.addr(), now: o.Clock}
	if t.now == nil {
		t.now = cache.Clock()
	}
	t.link = newLink(s, o.RootCAs, t.now)
	return t, nil
}

// Close gives up the connections. Every Fetch goes to AWS from then on.
func (t *Tier) Close() { t.link.Close() }

// Stats counts since the start.
type Stats struct {
	Hits   uint64 `json:"hits"`   // resources that the server had a fresh value of
	Misses uint64 `json:"misses"` // resources that it had none of, or an old one
	Errors uint64 `json:"errors"` // exchanges that failed, and records that could not be read
	Waits  uint64 `json:"waits"`  // resources that another environment was already fetching
	Open   bool   `json:"open"`   // the server failed, and is left alone but for a try now and then
}

// Stats returns the counters.
func (t *Tier) Stats() Stats {
	return Stats{t.hits.Load(), t.misses.Load(), t.errors.Load(), t.waits.Load(), t.all.open() || t.writes.open()}
}

// do has the server answer commands within a time and the timeout, unless it is to be left alone.
func (t *Tier) do(within time.Duration, writes bool, build func(valkey.Builder) valkey.Commands) ([]valkey.ValkeyResult, error) {
	now := t.now().Wall
	writing := through
	if writes {
		if writing = t.writes.enter(now); writing == refused {
			return nil, errAway
		}
	}
	using := t.all.enter(now)
	if using == refused {
		t.writes.abandon(writing)
		return nil, errAway
	}
	results, err := t.link.do(min(within, t.opts.Timeout), build)
	now = t.now().Wall
	var no refusal
	switch {
	case err == errClosed, err == errFrozen:
		t.all.abandon(using)
		t.writes.abandon(writing)
		return nil, err
	case err == nil:
		t.answers(using, now)
		if writes && t.writes.succeed(writing, now) {
			t.log(slog.LevelInfo, "the shared tier takes values again")
		}
		return results, nil
	case writes && errors.As(err, &no) && no.ofWriting():
		t.answers(using, now)
		if t.writes.fail(writing, now) {
			t.log(slog.LevelWarn, "the shared tier takes no values; it is read from, and tried again now and then", "error", err)
		}
	default:
		t.writes.abandon(writing)
		if t.all.fail(using, now) {
			t.log(slog.LevelWarn, "the shared tier failed; reads go on without it, and it is tried again now and then", "error", err)
		}
	}
	t.errors.Add(1)
	return nil, err
}

// get reads keys within a time, as do.
//
// These are single reads sent together, not one MGET: a server in cluster mode, as MemoryDB always is, refuses one command
// for keys of several slots even where it holds them all.
func (t *Tier) get(within time.Duration, keys []string) ([]valkey.ValkeyResult, error) {
	return t.do(within, false, func(b valkey.Builder) valkey.Commands {
		cmds := make(valkey.Commands, len(keys))
		for i, key := range keys {
			cmds[i] = b.Get().Key(key).Build()
		}
		return cmds
	})
}

// answers notes that the server answered.
func (t *Tier) answers(p pass, now time.Time) {
	if t.all.succeed(p, now) {
		t.log(slog.LevelInfo, "the shared tier answers again")
	}
}

func (t *Tier) log(level slog.Level, message string, attrs ...any) {
	t.opts.Log.Log(context.Background(), level, message, append([]any{"server", t.addr}, attrs...)...)
}

// complaintEvery is the time between two complaints: what is said of one record may hold for thousands.
const complaintEvery = time.Minute

// complain counts and logs what is wrong with a record or the key of the seal.
func (t *Tier) complain(message string, attrs ...any) {
	t.errors.Add(1)
	now := t.now().Wall
	t.mu.Lock()
	soon := now.Sub(t.complained) >= 0 && now.Sub(t.complained) < complaintEvery
	if !soon {
		t.complained = now
	}
	t.mu.Unlock()
	if !soon {
		t.log(slog.LevelWarn, message, attrs...)
	}
}

// sealing returns the seal of the present key. It is nil where nothing is sealed.
func (t *Tier) sealing(ctx context.Context) (*seal, error) {
	if t.opts.Key == nil {
		return nil, nil
	}
	key, err := t.opts.Key(ctx)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seal == nil || !bytes.Equal(t.key, key) {
		s, err := newSeal(key)
		if err != nil {
			return nil, err
		}
		t.key, t.seal = bytes.Clone(key), s
	}
	return t.seal, nil
}
