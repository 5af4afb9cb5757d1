package shared

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"cache-extension/extension/internal/cache"
)

// resource is what one record is about: something in AWS that is read in one way.
type resource struct {
	kind     string
	identity string // cache.Key.Identity
}

// recordVersion is the first byte of each record. What begins otherwise is a miss.
const recordVersion = 1

// label is what a record is bound to: the form it has, and the resource it is about. No two resources have one label.
func (r resource) label() []byte {
	return appendText(appendText([]byte{recordVersion}, r.kind), r.identity)
}

// maxRecord is the size in bytes up to which a value is shared. Parameters, secrets and items stay below it; only what is
// below a path can be larger, and would take longer than a timeout of some milliseconds to bring.
const maxRecord = 1 << 20

// The flags of a record's content.
const (
	flagBinary = 1 << iota // Value.Binary
	flagTree               // Value.Members is not nil
	flagsEnd
)

// content writes v, fetched at the given time, in the form that readContent reads: the time in milliseconds since 1970,
// the flags, the body and, of a path, the names and bodies below it, sorted.
func content(v *cache.Value, at time.Time) []byte {
	size := 16 + len(v.Body)
	for name, m := range v.Members {
		size += 2*binary.MaxVarintLen32 + len(name) + len(m.Body)
	}
	var flags byte
	if v.Binary {
		flags |= flagBinary
	}
	if v.Members != nil {
		flags |= flagTree
	}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, size), uint64(at.UnixMilli()))
	b = appendText(append(b, flags), v.Body)
	if v.Members == nil {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(v.Members)))
	for _, name := range slices.Sorted(maps.Keys(v.Members)) {
		b = appendText(appendText(b, name), v.Members[name].Body)
	}
	return b
}

// errRecord is the error of everything under our key that is not ours, or not whole.
var errRecord = errors.New("not a record of this resource")

// readContent is the inverse of content: it takes only what content could have written.
func readContent(b []byte) (*cache.Value, error) {
	if len(b) < 9 || b[8] >= flagsEnd {
		return nil, errRecord
	}
	at, flags, b := int64(binary.BigEndian.Uint64(b)), b[8], b[9:]
	if at < 0 {
		return nil, errRecord
	}
	v := &cache.Value{Binary: flags&flagBinary != 0, FetchedAt: time.UnixMilli(at), Shared: true}
	var ok bool
	if v.Body, b, ok = cutText(b); !ok {
		return nil, errRecord
	}
	if flags&flagTree != 0 {
		if v.Members, b, ok = cutMembers(b); !ok {
			return nil, errRecord
		}
	}
	if len(b) > 0 {
		return nil, errRecord
	}
	return v, nil
}

func cutMembers(b []byte) (members map[string]*cache.Value, rest []byte, ok bool) {
	n, b, ok := cutUvarint(b)
	if !ok || n > uint64(len(b))/2 { // a name and a body take a byte each at least
		return nil, nil, false
	}
	members = make(map[string]*cache.Value, n)
	var last string
	for range n {
		var name, body []byte
		if name, b, ok = cutText(b); !ok || len(members) > 0 && string(name) <= last {
			return nil, nil, false
		}
		if body, b, ok = cutText(b); !ok {
			return nil, nil, false
		}
		last = string(name)
		members[last] = &cache.Value{Body: body}
	}
	return members, b, true
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func cutText(b []byte) (text, rest []byte, ok bool) {
	n, b, ok := cutUvarint(b)
	if !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// cutUvarint refuses the longer spellings of a number: a record has one form.
func cutUvarint(b []byte) (n uint64, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || size > 1 && b[size-1] == 0 {
		return 0, nil, false
	}
	return n, b[size:], true
}
