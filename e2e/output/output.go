// Package output keeps what processes say, for the one who started them: to wait for a line, and to show it when they fail.
package output

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"sync"
)

// Log is where a process writes. The zero Log is empty; its methods may be called concurrently.
type Log struct {
	mu   sync.Mutex // guards what follows
	text bytes.Buffer
	more chan struct{} // closed when text grows; nil while nobody waits
}

// Write keeps p.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return l.text.Write(p)
}

// String returns all that was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Wait returns the first match of what in the log and its groups, once there is one. The error, when ctx is done before,
// holds what the process said instead.
func (l *Log) Wait(ctx context.Context, what *regexp.Regexp) ([]string, error) {
	for {
		l.mu.Lock()
		found := what.FindStringSubmatch(l.text.String())
		if l.more == nil {
			l.more = make(chan struct{})
		}
		more := l.more
		l.mu.Unlock()
		if found != nil {
			return found, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w; it said:\n%s", context.Cause(ctx), l)
		}
	}
}
