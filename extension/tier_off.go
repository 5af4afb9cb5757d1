//go:build !shared

package main

import (
	"log/slog"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
)

// tier is what the program of the shared layer has between its caches and AWS. This program has none: the client is 0.6 MB
// of binary, which every start would pay for.
type tier struct{}

func newTier(cfg *config.Config, _ *slog.Logger, _ func() *cache.Cache) (*tier, error) {
	if cfg.Shared == nil {
		return nil, nil
	}
	return nil, config.Faults{{File: cfg.File, Line: cfg.Shared.Line, Text: "shared: this program has no shared tier (use the layer with cache-extension-shared, or leave the section out)"}}
}

func (*tier) wrap(_ string, s cache.Source) cache.Source { return s }
func (*tier) stats() any                                 { return nil }
func (*tier) close()                                     {}
