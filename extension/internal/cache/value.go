package cache

import (
	"sync/atomic"
	"time"
)

// Value is one fetched value. It is shared by all readers and never modified.
type Value struct {
	Body   []byte // what is sent, byte for byte
	Binary bool   // Body is not text (a binary secret)
	// Members holds the values below a path by relative name; nil for anything but a path. Body is then the JSON object
	// of all of them.
	Members map[string]*Value
	Absent  error // why a name is not among Members; nil is ErrMissing

	FetchedAt time.Time // when AWS gave it, by the wall clock; zero where that is the moment at which it is put
	Shared    bool      // it came from a tier between the cache and AWS

	memo atomic.Value
}

// emptyTree says whether v is all that is below a path, and that is nothing.
func (v *Value) emptyTree() bool { return v.Members != nil && len(v.Members) == 0 }

// Memo returns what build made of v at the first call, so that work on a value is done once and not at every hit. Callers
// that come first together may each build; all of them get one result. build must always return the same type.
func (v *Value) Memo(build func(*Value) any) any {
	if m := v.memo.Load(); m != nil {
		return m
	}
	v.memo.CompareAndSwap(nil, build(v))
	return v.memo.Load()
}
