package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	version "cache-extension"
	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/server"
	"cache-extension/extension/internal/source"
)

// service is what the program does wherever it runs: read the configuration, take the port, fetch, answer.
// open, start and close come in this order; warm and refresh between the last two.
type service struct {
	cfg      *config.Config
	log      *slog.Logger
	listener *server.Listener
	server   *server.Server
	kinds    []kind
	ended    chan error // what ended serving; sent once
}

// kind is one cachetype.
type kind struct {
	name  string // as in the URL and in config.yaml
	cache *cache.Cache
	keys  []*cache.Key
}

// open reads the configuration and takes the port; from then on connections queue. Its error is all that is wrong.
func open(o config.Options) (*service, error) {
	cfg, err := config.Load(o)
	if err != nil {
		return nil, err
	}
	l, err := server.Listen(cfg.Server.Port)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.File, err)
	}
	return &service{cfg: cfg, listener: l, ended: make(chan error, 1)}, nil
}

// start makes the AWS clients and begins to answer. It makes no upstream call.
func (s *service) start(log *slog.Logger, inLambda bool) {
	s.log = log
	cfg := s.cfg
	clients := source.NewClients(cfg, source.Options{Local: !inLambda, Version: version.Number()})
	waiting := cache.NewWaiting(cfg.Server.MaxWaiting)
	caches := make(map[string]*cache.Cache)
	add := func(name string, src cache.Source) {
		c := cache.New(src, cache.Options{
			StaleWhileRevalidate: cfg.StaleWhileRevalidate,
			StaleWait:            cfg.StaleWait,
			NegativeTTL:          cfg.NegativeTTL,
			Waiting:              waiting,
			Report:               func(k *cache.Key, err error) { s.failed(name, k, err) },
		})
		s.kinds = append(s.kinds, kind{name, c, src.Keys()})
		caches[name] = c
	}
	add("dynamodb", source.NewItems(cfg, clients))
	add("parameters", source.NewParameters(cfg, clients))
	add("secrets", source.NewSecrets(cfg, clients))

	s.server = server.New(server.Options{Caches: caches, Token: cfg.Server.Token, Log: log})
	go func() { s.ended <- s.server.Serve(s.listener) }()

	for _, w := range cfg.Warnings {
		log.Warn("configuration", "detail", w.Error())
	}
	if len(cfg.Secrets) > 0 && cfg.Server.Token == "" {
		log.Warn("secrets are served to every process of this environment; server.token: true asks callers for a token")
	}
	log.Info("cache-extension serves", "version", version.Number(), "config", cfg.File, "port", s.listener.Port(),
		"dynamodb", len(cfg.Items), "parameters", len(cfg.Parameters), "secrets", len(cfg.Secrets),
		"ttl", cfg.TTL.String(), "prefetch", cfg.Prefetch)
}

// failed logs one failed flight. Keys are often mail addresses, so only the debug level names them.
func (s *service) failed(kind string, k *cache.Key, err error) {
	attrs := []any{"cachetype", kind, "line", k.Line, "class", cache.Class(err), "error", err}
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		attrs = append(attrs, "name", k.Name)
	}
	var panicked *cache.PanicError
	if errors.As(err, &panicked) {
		s.log.Error("panic while fetching", append(attrs, "stack", string(panicked.Stack))...)
		return
	}
	s.log.Warn("fetch failed", attrs...)
}

// retryPause is how long prefetch leaves AWS alone before it asks again for what is required.
const retryPause = 250 * time.Millisecond

// prefetch fetches what is required and, where the configuration asks for it, everything else, within prefetch_timeout.
// What is required is asked for again until then, unless AWS says that it is missing or denied. The error names each
// required entry that is not there; what else fails is left to its first reader.
func (s *service) prefetch(ctx context.Context) error {
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
		if sleep(ctx, retryPause); ctx.Err() == nil {
			failed = s.rewarm(ctx, again)
		}
	}
}

// rewarm fetches what failed once more. Where ctx ends first, what was told before is still why.
func (s *service) rewarm(ctx context.Context, before []failure) []failure {
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

// refresh fetches anew what was read since it was fetched and is due.
func (s *service) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeouts*s.cfg.Timeout)
	defer cancel()
	s.warmEach(ctx, func(k kind) []string { return k.cache.Due() })
}

// failure is a key that warm did not bring in.
type failure struct {
	kind string
	cache.FetchFailure
}

// warm fetches the chosen keys of all kinds together, and returns those that did not land well.
func (s *service) warm(ctx context.Context, chosen func(*cache.Key) bool) []failure {
	return s.warmEach(ctx, func(k kind) []string {
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
func (s *service) warmEach(ctx context.Context, choose func(kind) []string) []failure {
	ctx = source.Limited(ctx)
	failures := make([][]failure, len(s.kinds))
	var all sync.WaitGroup
	for i, k := range s.kinds {
		names := choose(k)
		if len(names) == 0 {
			continue
		}
		all.Go(func() {
			for _, f := range k.cache.Warm(ctx, names) {
				failures[i] = append(failures[i], failure{k.name, f})
			}
		})
	}
	all.Wait()
	return slices.Concat(failures...)
}

// thaw lets go of what did not survive a freeze.
func (s *service) thaw() {
	for _, k := range s.kinds {
		k.cache.Thaw()
	}
}

// drainMargin is left of a deadline after the last answer, to log and to exit.
const drainMargin = 200 * time.Millisecond

// close stops accepting, answers what is under way within the given time and logs the summary line.
func (s *service) close(within time.Duration, reason string) {
	ctx, cancel := context.WithTimeout(context.Background(), max(0, within-drainMargin))
	defer cancel()
	err := s.server.Shutdown(ctx)
	attrs := []any{"reason", reason}
	for _, k := range s.kinds {
		n := k.cache.Stats()
		attrs = append(attrs, slog.Group(k.name,
			"hits", n.Hits, "stale", n.Stale, "misses", n.Misses, "collapsed", n.Collapsed, "fetches", n.Fetches,
			"failed", n.Errors.Missing+n.Errors.Denied+n.Errors.Throttled+n.Errors.Timeout+n.Errors.Upstream,
			"entries", n.Entries, "bytes", n.Bytes))
	}
	if err != nil {
		attrs = append(attrs, "cut_off", err.Error())
	}
	s.log.Info("cache-extension stops", attrs...)
}
