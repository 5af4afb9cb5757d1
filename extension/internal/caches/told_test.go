package caches

import (
	"testing"
	"time"
)

func TestTold(t *testing.T) {
	var told told
	denied := occasion{"secrets", 3, "denied"}
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name  string
		what  occasion
		after time.Duration // since the start
		want  int
	}{
		{"the first", denied, 0, 1},
		{"soon after", denied, time.Second, 0},
		{"and again", denied, 59 * time.Second, 0},
		{"another class", occasion{"secrets", 3, "upstream"}, 59 * time.Second, 1},
		{"another pattern", occasion{"secrets", 4, "denied"}, 59 * time.Second, 1},
		{"another kind", occasion{"parameters", 3, "denied"}, 59 * time.Second, 1},
		{"a minute later, with those between", denied, time.Minute, 3},
		{"soon after that", denied, 61 * time.Second, 0},
		{"the clock was set back", denied, -time.Hour, 2},
		{"missing", occasion{"secrets", 3, "missing"}, time.Hour, 0},
	} {
		if got := told.times(tt.what, start.Add(tt.after)); got != tt.want {
			t.Errorf("%s: times(%v) = %d, want %d", tt.name, tt.what, got, tt.want)
		}
	}
}
