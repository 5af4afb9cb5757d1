package caches

import (
	"sync"
	"time"

	"cache-extension/extension/internal/cache"
)

// tellEvery is the time between two messages about one occasion.
const tellEvery = time.Minute

// occasion is what failures of open names have in common that are told together: they are as few as config.yaml has
// patterns, and classes.
type occasion struct {
	kind  string
	line  int
	class string
}

// told remembers what was said of the failures of open names. Its zero value is ready to use.
type told struct {
	mu  sync.Mutex // guards all
	all map[occasion]*telling
}

type telling struct {
	at     time.Time // wall clock
	silent int       // failures since
}

// times counts a failure and returns how many are to be told with it, itself included, or 0 where none is: what is missing
// is the caller's business, and of the rest a message a minute will do.
func (t *told) times(o occasion, now time.Time) int {
	if o.class == cache.Class(cache.ErrMissing) {
		return 0
	}
	now = now.Round(0)
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.all[o]
	if last == nil {
		if t.all == nil {
			t.all = make(map[occasion]*telling)
		}
		last = new(telling)
		t.all[o] = last
	}
	last.silent++
	if since := now.Sub(last.at); 0 <= since && since < tellEvery {
		return 0
	}
	times := last.silent
	*last = telling{at: now}
	return times
}
