package cache

import (
	"context"
	"strings"
)

// getOpen is Get for a name that is not declared by itself.
func (c *Cache) getOpen(ctx context.Context, name string, refresh bool) (Answer, error) {
	s := c.enter(name)
	if s == nil {
		return Answer{}, ErrUndeclared
	}
	defer c.opts.Memory.leave(s)
	return c.get(ctx, s, refresh)
}

// hitOpen is Hit for a name that is not declared by itself. The slot may be evicted meanwhile: what it holds is no less
// fresh for that.
func (c *Cache) hitOpen(name string, most int) (Answer, bool) {
	s := c.opts.Memory.read(c, name)
	if s == nil {
		return Answer{}, false
	}
	return c.fresh(s, most)
}

// enter returns the slot of an open name, which stays until Memory.leave, or nil where callers may not read the name.
func (c *Cache) enter(name string) *slot {
	if s := c.opts.Memory.enter(c, name); s != nil {
		return s
	}
	k, ok := c.source.Open(name)
	if !ok {
		return nil
	}
	k.Name, k.Open = strings.Clone(name), true // name may be a part of the whole request
	s := c.newSlot(k)
	s.place = &place{cache: c}
	return c.opts.Memory.admit(s)
}

// thawOpen is Thaw for open names.
func (c *Cache) thawOpen(now Instant) {
	for _, s := range c.opts.Memory.up(c) {
		s.mu.Lock()
		c.dropSlept(s, now)
		s.mu.Unlock()
	}
	c.opts.Memory.expire(now)
}

// openShare is what Stats has of open names.
func (c *Cache) openShare() share {
	c.opts.Memory.expire(c.now())
	return c.opts.Memory.share(c)
}
