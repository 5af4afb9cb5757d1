package source

import (
	"fmt"
	"sync"

	"cache-extension/extension/internal/cache"
)

// delivery is one Fetch: it hands what lands to every name that asked for it, each exactly once.
type delivery[R comparable] struct {
	put       func(name string, v *cache.Value, err error)
	resources []R // asked for, each once
	running   sync.WaitGroup

	mu      sync.Mutex     // guards waiting
	waiting map[R][]string // names
}

func (d *declared[R]) deliver(names []string, put func(string, *cache.Value, error)) *delivery[R] {
	w := &delivery[R]{put: put, waiting: make(map[R][]string)}
	var opened map[string]R // by identity: a resource that is asked for under two names is read once
	for _, name := range names {
		h, _, ok := d.find(name)
		if !ok && len(d.patterns) > 0 {
			if opened == nil {
				opened = make(map[string]R)
			}
			h.resource, ok = d.resource(name, opened)
		}
		if !ok {
			put(name, nil, fmt.Errorf("%s: asked for a name that is not declared", d.kind))
			continue
		}
		if w.waiting[h.resource] == nil {
			w.resources = append(w.resources, h.resource)
		}
		w.waiting[h.resource] = append(w.waiting[h.resource], name)
	}
	return w
}

// resource returns that of an open name: the one that is declared or opened already, if any.
func (d *declared[R]) resource(name string, opened map[string]R) (r R, ok bool) {
	e, ok := d.open(name)
	if !ok {
		return r, false
	}
	for _, known := range []map[string]R{d.resources, opened} {
		if r, ok := known[e.identity]; ok {
			return r, true
		}
	}
	opened[e.identity] = e.resource
	return e.resource, true
}

// land puts the outcome of r for all of its names. Only the first outcome counts.
func (w *delivery[R]) land(r R, v *cache.Value, err error) {
	w.mu.Lock()
	names := w.waiting[r]
	delete(w.waiting, r)
	w.mu.Unlock()
	for _, name := range names {
		w.put(name, v, err)
	}
}

// start runs work, which sees to the given resources, on a goroutine of its own where there is other work. When it panics,
// what has not landed has failed.
func (w *delivery[R]) start(resources []R, work func()) {
	guarded := func() {
		defer func() {
			if v := recover(); v != nil {
				err := cache.Panicked(v)
				for _, r := range resources {
					w.land(r, nil, err)
				}
			}
		}()
		work()
	}
	if len(w.resources) == 1 {
		guarded()
		return
	}
	w.running.Go(guarded)
}
