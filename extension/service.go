package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	version "cache-extension"
	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/caches"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/metrics"
	"cache-extension/extension/internal/server"
	"cache-extension/extension/internal/source"
)

// service is what the program does wherever it runs: read the configuration, take the port, fetch, answer.
// open, start and close come in this order.
type service struct {
	*caches.Set // made by start
	cfg         *config.Config
	log         *slog.Logger
	tier        *tier           // nil where the configuration has none
	metrics     *metrics.Writer // nil writes none
	listener    *server.Listener
	server      *server.Server
	ended       chan error // what ended serving; sent once
}

// open reads the configuration and takes the port; from then on connections queue. Its error is all that is wrong.
func open(o config.Options, logAt func(slog.Leveler) *slog.Logger) (*service, error) {
	cfg, err := config.Load(o)
	if err != nil {
		return nil, err
	}
	s := &service{cfg: cfg, log: logAt(cfg.Log.Level), ended: make(chan error, 1)}
	s.tier, err = newTier(cfg, s.log, func() *cache.Cache { return s.ByKind()["secrets"] })
	if err != nil {
		return nil, err
	}
	if s.listener, err = server.Listen(cfg.Server.Port); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.File, err)
	}
	return s, nil
}

// start makes the AWS clients and begins to answer. It makes no upstream call.
func (s *service) start(inLambda bool) {
	cfg, log := s.cfg, s.log
	s.Set = caches.New(cfg, caches.Options{
		Log:    log,
		Source: source.Options{Local: !inLambda, Version: version.Number()},
		Wrap:   s.tier.wrap,
	})
	more := make(map[string]func() any)
	if s.tier != nil {
		more["shared"] = s.tier.stats
	}
	s.server = server.New(server.Options{Caches: s.ByKind(), Token: cfg.Server.Token, Log: log, Stats: more})
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

// drainMargin is left of a deadline after the last answer, to log and to exit.
const drainMargin = 200 * time.Millisecond

// close stops accepting, answers what is under way within the given time, writes the last metrics and logs the summary line.
func (s *service) close(within time.Duration, reason string) {
	ctx, cancel := context.WithTimeout(context.Background(), max(0, within-drainMargin))
	defer cancel()
	err := s.server.Shutdown(ctx)
	s.tier.close()
	s.note(s.metrics.Flush())
	attrs := []any{"reason", reason}
	for _, k := range s.Kinds() {
		n := k.Cache.Stats()
		attrs = append(attrs, slog.Group(k.Name,
			"hits", n.Hits, "stale", n.Stale, "misses", n.Misses, "collapsed", n.Collapsed, "fetches", n.Fetches,
			"failed", n.Errors.Sum(),
			"entries", n.Entries, "bytes", n.Bytes))
	}
	if err != nil {
		attrs = append(attrs, "cut_off", err.Error())
	}
	s.log.Info("cache-extension stops", attrs...)
}

// note logs what kept metrics from being written.
func (s *service) note(err error) {
	if err != nil {
		s.log.Warn("metrics were not written", "error", err)
	}
}
