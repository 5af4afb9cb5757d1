package shared

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/valkey-io/valkey-go"

	"cache-extension/extension/internal/cache"
)

const (
	// maxConns bounds the connections of one environment: a fleet of 10,000 stays below the 65,000 of an ElastiCache node.
	maxConns = 2
	// connectTimeout is how long a connection may take to come up, be it that nobody waits for it any more.
	connectTimeout = 2 * time.Second
)

// link is the way to the server: a few connections, made when they are needed.
type link struct {
	options valkey.ClientOption
	now     func() cache.Instant

	up    context.Context // done once the link is closed
	close context.CancelFunc
	spare chan net.Conn // a connection that came up too late for who had asked for it

	mu     sync.Mutex    // guards what follows
	client valkey.Client // nil where the next use makes one
	last   cache.Instant // of the latest use
}

func newLink(s server, roots *x509.CertPool, now func() cache.Instant) *link {
	l := &link{now: now, spare: make(chan net.Conn, 1)}
	l.up, l.close = context.WithCancel(context.Background())
	l.options = valkey.ClientOption{
		InitAddress: []string{s.addr()},
		Username:    s.user,
		Password:    s.password,
		SelectDB:    s.db,
		DialCtxFn:   l.dial,
		// One server, and nothing that ticks: each command is written and read by who waits for it. The client's pipelining
		// has goroutines of its own, in which an answer out of order is a panic.
		ForceSingleClient:     true,
		DisableAutoPipelining: true,
		PipelineMultiplex:     -1,
		BlockingPoolSize:      maxConns,
		Dialer:                net.Dialer{KeepAlive: -1},
		DisableRetry:          true, // the breaker decides
		DisableCache:          true,
		ClientSetInfo:         valkey.DisableClientSetInfo,
		ReadBufferEachConn:    16 << 10,
		WriteBufferEachConn:   16 << 10,
	}
	if s.tls {
		l.options.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.host, RootCAs: roots}
	}
	return l
}

// do sends the commands that build makes, all at once, and returns their results in order. It returns within the time given
// whatever the server, the network or the client do. build may be called again after do has returned.
func (l *link) do(within time.Duration, build func(valkey.Builder) valkey.Commands) ([]valkey.ValkeyResult, error) {
	ctx, cancel := context.WithTimeout(context.WithValue(l.up, asked{}, true), within)
	type outcome struct {
		results []valkey.ValkeyResult
		err     error
	}
	done := make(chan outcome, 1)
	began := l.now()
	go func() { // ends with ctx, or five seconds later: closing a TLS connection waits that long for one that is stuck
		defer cancel()
		var o outcome
		defer func() {
			if v := recover(); v != nil {
				l.reset()
				o = outcome{nil, fmt.Errorf("%w: the client panicked", errGarbage)}
			}
			done <- o
		}()
		o.results, o.err = l.exchange(ctx, build)
	}()
	var o outcome
	select {
	case o = <-done:
	case <-ctx.Done():
		select { // both at once: the outcome is worth more than the bound
		case o = <-done:
		default:
			o.err = ctx.Err()
		}
	}
	switch {
	case o.err == nil:
		return o.results, nil
	case l.up.Err() != nil:
		return nil, errClosed
	case cache.Slept(began, l.now()):
		return nil, errFrozen
	case errors.Is(o.err, context.DeadlineExceeded):
		return nil, slowError(within)
	}
	return nil, o.err
}

// exchange sends and receives. A connection that the other end has closed is no failure: it is tried once more on new ones.
func (l *link) exchange(ctx context.Context, build func(valkey.Builder) valkey.Commands) ([]valkey.ValkeyResult, error) {
	for first := true; ; first = false {
		client, err := l.take()
		if err != nil {
			return nil, err
		}
		results := client.DoMulti(ctx, build(client.B())...)
		err = broken(results)
		if err == nil {
			return results, answered(results)
		}
		l.drop(client)
		// errUnasked is what the connections of a client say that another use gave up while this one waited for it.
		if !first || !hungUp(err) && !errors.Is(err, errUnasked) {
			return nil, failureOf(err)
		}
	}
}

// broken is why the commands were not answered.
func broken(results []valkey.ValkeyResult) error {
	for _, r := range results {
		if err := r.NonValkeyError(); err != nil {
			return err
		}
	}
	return nil
}

// answered is the first error among the answers.
func answered(results []valkey.ValkeyResult) error {
	for _, r := range results {
		if err := failureOf(r.Error()); err != nil {
			return err
		}
	}
	return nil
}

// take gives the client, and a new one after the sandbox was frozen: the other end may have closed our connections
// meanwhile, and nobody has told us.
func (l *link) take() (valkey.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up.Err() != nil {
		return nil, errClosed
	}
	now := l.now()
	if cache.Slept(l.last, now) {
		l.hangUp()
	}
	l.last = now
	if l.client == nil {
		// Without the mark of asked the connection that this would make at once is refused; the client is usable all the same.
		client, err := valkey.NewClient(l.options)
		if client == nil {
			return nil, err
		}
		l.client = client
	}
	return l.client, nil
}

// drop gives up the connections of a client in which something is wrong.
func (l *link) drop(c valkey.Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == c {
		l.hangUp()
	}
}

// reset gives up all connections.
func (l *link) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hangUp()
}

// hangUp closes what is idle; what is in use is closed when that ends. l.mu is held.
func (l *link) hangUp() {
	if l.client != nil {
		l.client.Close()
		l.client = nil
	}
	select {
	case c := <-l.spare:
		c.Close()
	default:
	}
}

// Close gives up all connections. Nothing is exchanged afterwards.
func (l *link) Close() {
	l.close()
	l.reset()
}

// asked marks the context of an exchange: only for one of these is a connection made.
type asked struct{}

var errUnasked = errors.New("no exchange is to be made")

// dial makes a connection. One that comes up after ctx is done is kept for the next who asks, so that a timeout shorter
// than a TLS handshake on a small function costs a few reads, not the whole tier.
func (l *link) dial(ctx context.Context, addr string, d *net.Dialer, config *tls.Config) (net.Conn, error) {
	if ctx.Value(asked{}) == nil {
		return nil, errUnasked
	}
	select {
	case c := <-l.spare:
		return c, nil
	default:
	}
	type outcome struct {
		conn net.Conn
		err  error
	}
	out := make(chan outcome)
	go func() {
		dialling, cancel := context.WithTimeout(l.up, connectTimeout)
		defer cancel()
		var o outcome
		if config == nil {
			o.conn, o.err = d.DialContext(dialling, "tcp", addr)
		} else {
			o.conn, o.err = (&tls.Dialer{NetDialer: d, Config: config}).DialContext(dialling, "tcp", addr)
		}
		if o.err == nil {
			o.conn = &guard{Conn: o.conn}
		}
		select {
		case out <- o:
		case <-ctx.Done():
			if o.err == nil {
				l.keep(o.conn)
			}
		}
	}()
	select {
	case o := <-out:
		return o.conn, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *link) keep(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up.Err() == nil {
		select {
		case l.spare <- c:
			return
		default:
		}
	}
	c.Close()
}
