package source

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"cache-extension/extension/internal/cache"
)

// learned is how long it is remembered which of two actions a role has.
const learned = 5 * time.Minute

// batches reads resources that AWS can be asked for one by one and many at a time. The two are actions of their own, of
// which a role may have just one.
type batches[R batchable] struct {
	size   int // the most that fit in a call
	single func(context.Context, R) (*cache.Value, error)
	// many asks for all of one group in one call and lands what is certain. It returns the rest, which err has kept from
	// being read unless nil.
	many func(ctx context.Context, group []R, land func(R, *cache.Value, error)) (rest []R, err error)

	works memory
}

type batchable interface {
	comparable
	region() string
	group() string // what can go in one call has one group, and one region
}

// fetch starts reading resources, in as few calls as there can be.
func (b *batches[R]) fetch(ctx context.Context, w *delivery[R], resources []R) {
	for group := range grouped(resources) {
		for chunk := range slices.Chunk(group, b.size) {
			w.start(chunk, func() { b.fetchChunk(ctx, w, chunk) })
		}
	}
}

func (b *batches[R]) fetchChunk(ctx context.Context, w *delivery[R], chunk []R) {
	var failed error
	if len(chunk) > 1 && b.works.in(chunk[0].region()) != bySingle {
		chunk, failed = b.many(ctx, chunk, w.land)
		if failed != nil && !alone(failed) {
			for _, r := range chunk {
				w.land(r, nil, failed)
			}
			return
		}
	}
	for _, r := range chunk {
		w.start([]R{r}, func() {
			v, err := b.fetchOne(ctx, r, failed)
			w.land(r, v, err)
		})
	}
}

// fetchOne reads r alone. failed is what became of a batch it was part of, nil if there was none.
func (b *batches[R]) fetchOne(ctx context.Context, r R, failed error) (*cache.Value, error) {
	first, second, firstWay, secondWay := b.single, b.batchOfOne, bySingle, byBatch
	if b.works.in(r.region()) == byBatch {
		first, second, firstWay, secondWay = second, first, secondWay, firstWay
	}
	v, err := first(ctx, r)
	switch {
	case errors.Is(err, cache.ErrDenied):
		v2, err2 := second(ctx, r)
		if errors.Is(err2, cache.ErrDenied) || errors.Is(err2, cache.ErrTimeout) {
			return nil, err // a deadline does not unsay what AWS said
		}
		if answered(err2) {
			b.works.learn(r.region(), secondWay)
		}
		return v2, err2
	case errors.Is(err, cache.ErrTimeout) && failed != nil && !errors.Is(failed, cache.ErrDenied):
		return nil, failed // but for a denial, which may have been about another resource of the batch
	case errors.Is(failed, cache.ErrDenied) && answered(err):
		b.works.learn(r.region(), firstWay)
	}
	return v, err
}

func (b *batches[R]) batchOfOne(ctx context.Context, r R) (v *cache.Value, err error) {
	rest, failed := b.many(ctx, []R{r}, func(_ R, landed *cache.Value, reason error) { v, err = landed, reason })
	switch {
	case failed != nil:
		return nil, failed
	case len(rest) > 0:
		return nil, &failure{text: "AWS's answer is not about what was asked"}
	}
	return v, err
}

// answered reports whether err leaves no doubt that the role may ask.
func answered(err error) bool { return err == nil || errors.Is(err, cache.ErrMissing) }

// grouped yields resources by region and group, in the order of each group's first.
func grouped[R batchable](resources []R) iter.Seq[[]R] {
	type id struct{ region, group string }
	var order []id
	groups := make(map[id][]R)
	for _, r := range resources {
		g := id{r.region(), r.group()}
		if groups[g] == nil {
			order = append(order, g)
		}
		groups[g] = append(groups[g], r)
	}
	return func(yield func([]R) bool) {
		for _, g := range order {
			if !yield(groups[g]) {
				return
			}
		}
	}
}

// way is one of the two actions.
type way int

const (
	byEither way = iota
	bySingle     // batches were denied
	byBatch      // single reads were denied
)

// memory remembers by region which way worked where the other was denied.
type memory struct {
	mu    sync.Mutex // guards works
	works map[string]lesson
}

type lesson struct {
	way   way
	until time.Time // without a monotonic reading: it has to end while the sandbox is frozen, too
}

func (m *memory) in(region string) way {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.works[region]; time.Now().Round(0).Before(l.until) {
		return l.way
	}
	return byEither
}

func (m *memory) learn(region string, w way) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.works == nil {
		m.works = make(map[string]lesson)
	}
	m.works[region] = lesson{w, time.Now().Round(0).Add(learned)}
}
