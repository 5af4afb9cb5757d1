package metrics

import (
	"testing"
	"time"
)

func TestDue(t *testing.T) {
	last := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name  string
		since time.Duration
		want  bool
	}{
		{"at once", 0, false},
		{"a little before", Interval - 1, false},
		{"in time", Interval, true},
		{"after a freeze", time.Hour, true},
		{"the clock was set back", -time.Second, true},
	} {
		if got := due(last, last.Add(tt.since)); got != tt.want {
			t.Errorf("%s: due after %v = %t, want %t", tt.name, tt.since, got, tt.want)
		}
	}
}
