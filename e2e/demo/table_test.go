package main

import (
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i)
	}
	for _, tt := range []struct {
		name    string
		all     []time.Duration
		percent int
		want    time.Duration
	}{
		{"median of one", []time.Duration{7}, 50, 7},
		{"99 of one", []time.Duration{7}, 99, 7},
		{"median of three", []time.Duration{3, 1, 2}, 50, 2},
		{"median of a hundred", hundred, 50, 50},
		{"99 of a hundred", hundred, 99, 99},
	} {
		if got := percentile(tt.all, tt.percent); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}
