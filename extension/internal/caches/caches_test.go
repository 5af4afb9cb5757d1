package caches

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"cache-extension/extension/internal/cache"
)

// TestPanicIsToldBesideFailures: who was answered 500 looks for the stack in the log, whatever else fails.
func TestPanicIsToldBesideFailures(t *testing.T) {
	var log strings.Builder
	s := &Set{log: slog.New(slog.NewTextHandler(&log, nil))}
	key := &cache.Key{Name: "tenant/1", Line: 3, Open: true}
	s.failed("secrets", key, errors.New("HTTP 500"))
	s.failed("secrets", key, &cache.PanicError{Value: 1, Stack: []byte("a stack")})
	if !strings.Contains(log.String(), `msg="panic while fetching"`) || !strings.Contains(log.String(), "a stack") {
		t.Errorf("the log is\n%s\nwant a panic with its stack in it", log.String())
	}
	if strings.Contains(log.String(), "tenant/1") {
		t.Errorf("the log names the name:\n%s", log.String())
	}
}
