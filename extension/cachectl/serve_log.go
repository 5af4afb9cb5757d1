package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// terminalLog is a slog.Handler for people: the time of day, the level and the message, then the attributes as
// slog.TextHandler writes them.
type terminalLog struct {
	attrs slog.Handler // writes a line of attributes to line.text
	line  *logLine     // shared with the handlers made from this one
}

type logLine struct {
	mu   sync.Mutex // guards text and writing to w
	text bytes.Buffer
	w    io.Writer
}

func newTerminalLog(w io.Writer, level slog.Leveler) terminalLog {
	line := &logLine{w: w}
	return terminalLog{line: line, attrs: slog.NewTextHandler(&line.text, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
				return slog.Attr{}
			}
			return a
		},
	})}
}

// Enabled implements slog.Handler.
func (h terminalLog) Enabled(ctx context.Context, level slog.Level) bool {
	return h.attrs.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h terminalLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return terminalLog{h.attrs.WithAttrs(attrs), h.line}
}

// WithGroup implements slog.Handler.
func (h terminalLog) WithGroup(name string) slog.Handler {
	return terminalLog{h.attrs.WithGroup(name), h.line}
}

// Handle implements slog.Handler.
func (h terminalLog) Handle(ctx context.Context, r slog.Record) error {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	text := &h.line.text
	text.Reset()
	fmt.Fprintf(text, "%s %-5s %s ", r.Time.Format("15:04:05"), r.Level, r.Message)
	bare := slog.NewRecord(time.Time{}, r.Level, "", r.PC) // without a time, none is written
	r.Attrs(func(a slog.Attr) bool {
		bare.AddAttrs(a)
		return true
	})
	if err := h.attrs.Handle(ctx, bare); err != nil {
		return err
	}
	_, err := h.line.w.Write(append(bytes.TrimRight(text.Bytes(), " \n"), '\n'))
	return err
}
