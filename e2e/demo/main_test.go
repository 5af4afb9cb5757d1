package main

import (
	"io"
	"slices"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want options
	}{
		{"nothing", nil, options{latencies: []time.Duration{0}}},
		{"latencies", []string{"-latency", "0,10ms,1s"}, options{latencies: []time.Duration{0, 10 * time.Millisecond, time.Second}}},
		{"the page", []string{"-docs"}, options{latencies: []time.Duration{0, 10 * time.Millisecond, 40 * time.Millisecond}, docs: true}},
		{"in the sandbox", []string{"-latency=10ms", "/tmp/demo"}, options{latencies: []time.Duration{10 * time.Millisecond}, artifacts: "/tmp/demo"}},
	} {
		got, err := parse(tt.args, io.Discard)
		if err != nil || !slices.Equal(got.latencies, tt.want.latencies) || got.docs != tt.want.docs || got.artifacts != tt.want.artifacts {
			t.Errorf("%s: got %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no unit", []string{"-latency", "0,10"}, `-latency: "10" is no time such as 10ms`},
		{"negative", []string{"-latency", "-1ms"}, `-latency: "-1ms" is no time such as 10ms`},
		{"none between commas", []string{"-latency", "10ms,"}, `-latency: "" is no time such as 10ms`},
		{"a page of other latencies", []string{"-docs", "-latency", "1ms"}, "-docs takes no -latency: the page is for 0,10ms,40ms"},
	} {
		if _, err := parse(tt.args, io.Discard); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}
