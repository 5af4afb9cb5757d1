package caches

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/source"
)

// retryPause is how long prefetch leaves AWS alone before it asks again for what is required.
const retryPause = 250 * time.Millisecond

// Prefetch fetches what is required and, where the configuration asks for it, everything else, within prefetch_timeout.
// What is required is asked for again until then, unless AWS says that it is missing or denied. The error names each
// required entry that is not there; what else fails is left to its first reader.
func (s *Set) Prefetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.PrefetchTimeout)
	defer cancel()
	failed := s.warm(ctx, func(k *cache.Key) bool { return k.Required || s.cfg.Prefetch })
	if late := late(failed); ctx.Err() != nil && late > 0 {
		s.log.Warn("prefetch_timeout came first; the rest is left to its first readers", "entries", late)
	}
	var required []error
	for {
		var again []failure
		for _, f := range failed {
			switch {
			case !f.Key.Required:
			case ctx.Err() == nil && !errors.Is(f.Err, cache.ErrMissing) && !errors.Is(f.Err, cache.ErrDenied):
				again = append(again, f)
			default:
				required = append(required, fmt.Errorf("%s:%d: %s: %q is required: %w", s.cfg.File, f.Key.Line, f.kind, f.Key.Name, f.Err))
			}
		}
		if len(again) == 0 {
			return errors.Join(required...)
		}
		failed = again
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
			failed = s.rewarm(ctx, again)
		}
	}
}

// rewarm fetches what failed once more. Where ctx ends first, what was told before is still why.
func (s *Set) rewarm(ctx context.Context, before []failure) []failure {
	was := make(map[*cache.Key]failure)
	for _, f := range before {
		was[f.Key] = f
	}
	failed := s.warm(ctx, func(k *cache.Key) bool { return was[k].Key != nil })
	for i, f := range failed {
		if ctx.Err() != nil && errors.Is(f.Err, cache.ErrTimeout) {
			failed[i] = was[f.Key]
		}
	}
	return failed
}

// late counts what did not land in time and may wait for its first reader.
func late(failed []failure) (n int) {
	for _, f := range failed {
		if !f.Key.Required && errors.Is(f.Err, cache.ErrTimeout) {
			n++
		}
	}
	return n
}

// refreshTimeouts bounds a refresh, in timeouts of one fetch: what a path may take alone.
const refreshTimeouts = 10

// Refresh fetches anew what was read since it was fetched and is due.
func (s *Set) Refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeouts*s.cfg.Timeout)
	defer cancel()
	s.warmEach(ctx, func(k Kind) []string { return k.Cache.Due() })
}

// failure is a key that warm did not bring in.
type failure struct {
	kind string
	cache.FetchFailure
}

// warm fetches the chosen keys of all kinds together, and returns those that did not land well.
func (s *Set) warm(ctx context.Context, chosen func(*cache.Key) bool) []failure {
	return s.warmEach(ctx, func(k Kind) []string {
		var names []string
		for _, key := range k.keys {
			if chosen(key) {
				names = append(names, key.Name)
			}
		}
		return names
	})
}

// warmEach fetches the names that choose gives for each kind, together.
func (s *Set) warmEach(ctx context.Context, choose func(Kind) []string) []failure {
	ctx = source.Limited(ctx)
	failures := make([][]failure, len(s.kinds))
	var all sync.WaitGroup
	for i, k := range s.kinds {
		names := choose(k)
		if len(names) == 0 {
			continue
		}
		all.Go(func() {
			for _, f := range k.Cache.Warm(ctx, names) {
				failures[i] = append(failures[i], failure{k.Name, f})
			}
		})
	}
	all.Wait()
	return slices.Concat(failures...)
}

// Thaw lets go of what did not survive a freeze.
func (s *Set) Thaw() {
	for _, k := range s.kinds {
		k.Cache.Thaw()
	}
}
