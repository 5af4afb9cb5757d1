//go:build shared

package main

import (
	"context"
	"log/slog"
	"slices"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/shared"
)

// tier is the server that the fleet shares, between the caches and AWS; nil where the configuration has none.
type tier struct {
	kinds []string
	*shared.Tier
}

// newTier connects to nothing. secrets gives the cache that key_secret is read through.
func newTier(cfg *config.Config, log *slog.Logger, secrets func() *cache.Cache) (*tier, error) {
	c := cfg.Shared
	if c == nil {
		return nil, nil
	}
	o := shared.Options{URL: c.URL, Prefix: c.Prefix, RootCAs: cfg.AWS.RootCAs, Timeout: c.Timeout, KeySecret: c.KeySecret, Log: log}
	if c.KeySecret != "" {
		o.Key = func(ctx context.Context) ([]byte, error) {
			a, err := secrets().Get(ctx, c.KeySecret, false)
			if err != nil {
				return nil, err
			}
			return shared.DecodeKey(string(a.Value.Body))
		}
	}
	t, err := shared.New(o)
	if err != nil {
		return nil, err
	}
	return &tier{c.Kinds, t}, nil
}

func (t *tier) wrap(kind string, s cache.Source) cache.Source {
	if t == nil || !slices.Contains(t.kinds, kind) {
		return s
	}
	return t.Source(kind, s)
}

func (t *tier) stats() any {
	if t == nil {
		return nil
	}
	return t.Stats()
}

func (t *tier) close() {
	if t != nil {
		t.Close()
	}
}
