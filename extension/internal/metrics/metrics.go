// Package metrics decides what CloudWatch learns of the caches: log lines in its Embedded Metric Format, from which it makes
// metrics. They hold numbers, the function's name and the cachetype; no name and no value of what is cached.
package metrics

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"cache-extension/extension/internal/cache"
)

// Namespace is the one that the metrics stand in.
const Namespace = "CacheExtension"

// Interval is the least time between two lines of one cachetype, but for the last ones.
const Interval = time.Minute

// Writer writes what the caches counted since it last did. Its methods may be called concurrently; on a nil Writer they do
// nothing.
type Writer struct {
	out      io.Writer
	function string

	mu    sync.Mutex // guards what follows
	kinds []kind
	last  time.Time // on the wall clock: the monotonic one stands still while the environment is frozen
}

// kind is one cachetype and its counters as they were last written.
type kind struct {
	name    string
	cache   *cache.Cache
	written cache.Stats
}

// New returns a Writer to out for the caches of a function, by cachetype. CloudWatch takes no dimension without a value, so
// where function is empty it is called unknown.
func New(out io.Writer, function string, caches map[string]*cache.Cache) *Writer {
	if function == "" {
		function = "unknown"
	}
	w := &Writer{out: out, function: function, last: time.Now().Round(0)}
	for _, name := range slices.Sorted(maps.Keys(caches)) {
		w.kinds = append(w.kinds, kind{name: name, cache: caches[name]})
	}
	return w
}

// Tick is Flush where Interval has passed since the last one, or since New; else it does nothing.
func (w *Writer) Tick() error {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now().Round(0)
	if !due(w.last, now) {
		return nil
	}
	return w.flush(now)
}

// due says whether Interval has passed. A clock that was set back must not silence us until it is where it was.
func due(last, now time.Time) bool {
	since := now.Sub(last)
	return since < 0 || since >= Interval
}

// Flush writes one line for each cachetype of which there is anything new. What an error keeps from being written is in the
// next line.
func (w *Writer) Flush() error {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush(time.Now().Round(0))
}

func (w *Writer) flush(now time.Time) error {
	w.last = now
	for i := range w.kinds {
		k := &w.kinds[i]
		stats := k.cache.Stats()
		if stats == k.written {
			continue
		}
		text, err := json.Marshal(newLine(now, w.function, k.name, k.written, stats))
		if err != nil {
			return err
		}
		// One call for each line: what reads the other end may take what comes at once for one event.
		if _, err := w.out.Write(append(text, '\n')); err != nil {
			return err
		}
		k.written = stats
	}
	return nil
}
