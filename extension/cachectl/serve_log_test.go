package main

import (
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func TestTerminalLog(t *testing.T) {
	tests := []struct {
		name string
		log  func(*slog.Logger)
		want string // after the time
	}{
		{"message alone", func(l *slog.Logger) { l.Info("a message") }, "INFO  a message\n"},
		{
			"attributes", func(l *slog.Logger) { l.Warn("fetch failed", "line", 3, "error", errors.New(`no "x"`)) },
			"WARN  fetch failed line=3 error=\"no \\\"x\\\"\"\n",
		},
		{"several lines stay one", func(l *slog.Logger) { l.Error("panic", "stack", "a\nb") }, "ERROR panic stack=\"a\\nb\"\n"},
		{"below the level", func(l *slog.Logger) { l.Debug("no") }, ""},
		{
			"groups and attributes of the logger", func(l *slog.Logger) {
				l.With("a", 1).WithGroup("g").With("b", 2).Info("m", "c", 3, slog.Group("h", "msg", 4))
			},
			"INFO  m a=1 g.b=2 g.c=3 g.h.msg=4\n",
		},
		{"one line after another", func(l *slog.Logger) { l.Info("a", "n", 1); l.Info("b") }, "INFO  a n=1\nINFO  b\n"},
	}
	clock := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d `)
	for _, test := range tests {
		var b strings.Builder
		test.log(slog.New(newTerminalLog(&b, slog.LevelInfo)))
		got := clock.ReplaceAllString(b.String(), "")
		if got != test.want || got != "" && !clock.MatchString(b.String()) {
			t.Errorf("%s: got %q, want the time and %q", test.name, b.String(), test.want)
		}
	}
}

func TestTerminalLogFollowsItsLevel(t *testing.T) {
	var b strings.Builder
	var level slog.LevelVar
	l := slog.New(newTerminalLog(&b, &level))
	l.Debug("before")
	level.Set(slog.LevelDebug)
	l.Debug("after")
	if got := b.String(); strings.Contains(got, "before") || !strings.Contains(got, "DEBUG after") {
		t.Errorf("log %q, want what came after the level was set", got)
	}
}

func TestTerminalLogOfManyGoroutines(t *testing.T) {
	var b strings.Builder
	l := slog.New(newTerminalLog(&b, slog.LevelInfo))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { l.With("a", 1).Info("m", "b", 2) })
	}
	all.Wait()
	if got := strings.Count(b.String(), " INFO  m a=1 b=2\n"); got != 8 {
		t.Errorf("%d whole lines, want 8:\n%s", got, b.String())
	}
}
