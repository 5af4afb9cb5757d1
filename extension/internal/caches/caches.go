// Package caches decides how the caches of one configuration are made, and when they are filled without a reader: by prefetch
// and by refresh.
package caches

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/source"
)

// Options are what New needs beside the configuration.
type Options struct {
	Log    *slog.Logger
	Source source.Options
	// Wrap returns the source to use in place of s, which reads kind from AWS; nil uses s itself.
	Wrap func(kind string, s cache.Source) cache.Source
}

// Set is the caches of one configuration, one for each kind. Its methods may be called concurrently.
type Set struct {
	cfg   *config.Config
	log   *slog.Logger
	kinds []Kind
	told  told // of open names
}

// Kind is the cache of one cachetype.
type Kind struct {
	Name  string // as in the URL and in config.yaml
	Cache *cache.Cache
	keys  []*cache.Key
}

// New makes the caches, empty. It makes no call to AWS.
func New(cfg *config.Config, o Options) *Set {
	s := &Set{cfg: cfg, log: o.Log}
	clients := source.NewClients(cfg, o.Source)
	waiting := cache.NewWaiting(cfg.Server.MaxWaiting)
	memory := cache.NewMemory(cfg.Memory.MaxEntries, cfg.Memory.MaxBytes)
	add := func(name string, src cache.Source) {
		if o.Wrap != nil {
			src = o.Wrap(name, src)
		}
		s.kinds = append(s.kinds, Kind{name, cache.New(src, cache.Options{
			StaleWhileRevalidate: cfg.StaleWhileRevalidate,
			StaleWait:            cfg.StaleWait,
			NegativeTTL:          cfg.NegativeTTL,
			Waiting:              waiting,
			Memory:               memory,
			Report:               func(k *cache.Key, err error) { s.failed(name, k, err) },
		}), src.Keys()})
	}
	add("dynamodb", source.NewItems(cfg, clients))
	add("parameters", source.NewParameters(cfg, clients))
	add("secrets", source.NewSecrets(cfg, clients))
	return s
}

// Kinds returns the caches in the order of logs and pages; not to be modified.
func (s *Set) Kinds() []Kind { return s.kinds }

// ByKind returns the caches by cachetype, as the server takes them.
func (s *Set) ByKind() map[string]*cache.Cache {
	byKind := make(map[string]*cache.Cache, len(s.kinds))
	for _, k := range s.kinds {
		byKind[k.Name] = k.Cache
	}
	return byKind
}

// failed logs one failed flight. Keys are often mail addresses, so only the debug level names them. Failures of open names
// are as many as callers come up with names: of these it says one in a while.
func (s *Set) failed(kind string, k *cache.Key, err error) {
	class := cache.Class(err)
	attrs := []any{"cachetype", kind, "line", k.Line, "class", class}
	var panicked *cache.PanicError
	if errors.As(err, &panicked) {
		class = "panic" // an occasion of its own: its stack is told though AWS fails as well
	}
	switch {
	case s.log.Enabled(context.Background(), slog.LevelDebug):
		attrs = append(attrs, "error", err, "name", k.Name)
	case !k.Open:
		attrs = append(attrs, "error", err)
	default:
		times := s.told.times(occasion{kind, k.Line, class}, time.Now())
		if times == 0 {
			return
		}
		attrs = append(attrs, "error", source.Brief(err), "times", times)
	}
	if panicked != nil {
		s.log.Error("panic while fetching", append(attrs, "stack", string(panicked.Stack))...)
		return
	}
	s.log.Warn("fetch failed", attrs...)
}
