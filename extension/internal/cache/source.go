package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Source reads one kind of resource from AWS. Its methods are called concurrently.
type Source interface {
	// Find says whether callers may read name, and under which key it is held. A name below a path gives the path's key
	// and the part of the name below it as member; for any other name member is empty. Names of one resource with the
	// same settings give the same key. The returned Key is shared and never modified.
	Find(name string) (key *Key, member string, ok bool)
	// Keys returns every key, in the order of config.yaml, each once.
	Keys() []*Key
	// Open says whether callers may read name although Find does not know it, as one of those that config.yaml describes by
	// a pattern. It returns a new Key of that name, which is not among Keys: nobody but its readers has it fetched. Fetch
	// takes the name like any other. Open makes no call and keeps nothing.
	Open(name string) (key *Key, ok bool)
	// Fetch reads the keys of the given names in whatever calls suit. It calls put exactly once for each of names, as the
	// answer lands and from any goroutine, and returns when all are put. err is or wraps ErrMissing, ErrDenied,
	// ErrThrottled or ErrTimeout, or is an upstream failure. Fetch returns soon after ctx is done.
	//
	// A value is from AWS and of this moment, unless it says otherwise by FetchedAt; the cache takes it for that old. Where
	// refresh was asked for (Refreshing), it must be from AWS. A value that came from elsewhere may be put together with an
	// err that is neither ErrMissing nor ErrDenied: AWS failed, and the value may stand in for it as long as its age allows.
	Fetch(ctx context.Context, names []string, put func(name string, v *Value, err error))
}

// Key is one thing that is fetched and held as a whole.
type Key struct {
	Name         string        // the first name it is served under, unique in its source
	Line         int           // of config.yaml; of an open name, that of the pattern
	TTL          time.Duration // freshness; 0 means every read goes to AWS
	StaleIfError time.Duration
	Timeout      time.Duration // bound of fetching it alone
	Required     bool

	// Identity is equal for keys of one resource in AWS that is read in one way (region, version, projection), whatever
	// they are served as, and differs for all others of the source.
	Identity string
	Open     bool // set by the cache: a name that Source.Open let in
}

// refreshing is the mark of a context under which Refreshing is true.
type refreshing struct{}

// Refreshing says whether the Fetch of this context was asked for with refresh=true, so that what it puts is to come from
// AWS itself.
func Refreshing(ctx context.Context) bool { return ctx.Value(refreshing{}) != nil }

// What a Source may report, to be tested with errors.Is. Any other error is an upstream failure: a 5xx, a refused
// connection, bad credentials, an invalid request.
var (
	ErrMissing   = errors.New("not found in AWS")           // AWS says that there is none
	ErrDenied    = errors.New("access denied by AWS")       // AWS says that the role may not read it
	ErrThrottled = errors.New("throttled by AWS")           // AWS says that we ask too often
	ErrTimeout   = errors.New("no answer from AWS in time") // the deadline came, and no error was seen before it
)

// PanicError is a panic in a Source, caught.
type PanicError struct {
	Value any
	Stack []byte
}

// Panicked makes a PanicError of what recover returned; it must be called by the deferred function itself.
func Panicked(v any) *PanicError { return &PanicError{Value: v, Stack: debug.Stack()} }

// Error says where it happened but not what was at hand: a panic's value may quote a cached one.
func (e *PanicError) Error() string { return fmt.Sprintf("panic of type %T", e.Value) }
