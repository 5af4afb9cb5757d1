package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"cache-extension/extension/internal/cache"
	"cache-extension/extension/internal/caches"
	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/fixture"
)

// loaded is what config.yaml and the fixtures made.
type loaded struct {
	cfg      *config.Config
	fixtures *fixture.Set // nil where there are none
	caches   *caches.Set
}

// load reads the files, and makes caches that are empty. Its error is of type config.Faults. Where the files are is decided
// by the first load: one that appears in another place is not meant.
func (s *serving) load() (*loaded, error) {
	cfg, err := s.config()
	if err != nil {
		return nil, err
	}
	if s.flags.hasPort {
		cfg.Server.Port = s.flags.port
	}
	s.flags.file = cfg.File
	if s.flags.offline && s.flags.fixtures == "" {
		s.flags.fixtures, s.optional = filepath.Join(filepath.Dir(cfg.File), "fixtures.yaml"), true
	}
	s.secret = s.flags.fixtures
	l := &loaded{cfg: cfg}
	_, err = os.Stat(s.flags.fixtures)
	if s.flags.fixtures != "" && !(s.optional && errors.Is(err, fs.ErrNotExist)) {
		if l.fixtures, err = fixture.Load(s.flags.fixtures, cfg); err != nil {
			return nil, err
		}
	}
	l.caches = caches.New(cfg, caches.Options{Log: s.log, Source: s.aws, Wrap: func(kind string, src cache.Source) cache.Source {
		return l.fixtures.Source(kind, src, s.flags.offline)
	}})
	return l, nil
}

// config reads config.yaml. Where AWS is not asked, no Region is needed, and any will do. The variable is the one that files
// hardly name in ${}: what they name must be set by the user.
func (s *serving) config() (*config.Config, error) {
	env := s.env
	if s.flags.offline && s.getenv("AWS_REGION") == "" && s.getenv("AWS_DEFAULT_REGION") == "" {
		env = append([]string{"AWS_DEFAULT_REGION=nowhere"}, env...) // of two, the first counts
	}
	return config.Load(config.Options{Path: s.flags.file, Env: env})
}

// reload serves what the files say now. Where that cannot be served, it says why and leaves things as they are.
func (s *serving) reload(ctx context.Context) {
	was := s.now.Load()
	next, err := s.load()
	if err == nil && next.cfg.Server.Port != was.cfg.Server.Port {
		text := fmt.Sprintf("server.port was %d and is %d now: restart to change the port", was.cfg.Server.Port, next.cfg.Server.Port)
		err = config.Faults{{File: next.cfg.File, Text: text}}
	}
	if err == nil {
		err = next.caches.Prefetch(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.refuse(err)
		return
	}
	s.now.Store(next)
	s.server.Use(next.caches.ByKind(), next.cfg.Server.Token)
	s.level.Set(next.cfg.Log.Level)
	s.past.add(was.caches)
	s.printWarnings(next.cfg.Warnings)
	what := "Reloaded"
	if s.refused {
		what = "Mended and reloaded"
	}
	s.refused, s.again = false, time.Time{}
	fmt.Fprintf(s.stdout, "%s %s: %s.\n", clock(), what, s.summary(next))
	s.printURLs(added(names(was.cfg), names(next.cfg)))
}

// retryAfter is when files are tried again that are without fault, where what they require could not be fetched.
const retryAfter = 10 * time.Second

// refuse says why the files as they are now are not served. Of a further try of the same files that failed it
// says nothing, whatever the reason: texts of AWS differ by the number of the request.
func (s *serving) refuse(err error) {
	var faults config.Faults
	if errors.As(err, &faults) {
		s.again = time.Time{}
		s.printFaults(faults)
	} else {
		further := !s.again.IsZero()
		s.again = time.Now().Add(retryAfter)
		if further {
			return
		}
		s.printError(err)
	}
	s.refused = true
	fmt.Fprintf(s.stderr, "%s The change is not taken up. What was read before is served on until this is mended.\n", clock())
}

func clock() string { return time.Now().Format(time.TimeOnly) }

// added returns those of now that were not in before.
func added(before, now []served) []served {
	return slices.DeleteFunc(now, func(n served) bool {
		return slices.ContainsFunc(before, func(b served) bool { return b.Cachetype == n.Cachetype && b.Name == n.Name })
	})
}
