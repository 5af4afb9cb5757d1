//go:build linux

package main

import (
	"errors"
	"fmt"
	"slices"
)

// What the last third of a run may use above the first. A heap that is collected when it has doubled, and connections to
// an AWS that hangs or does not, go up and down by as much; a leak of one a second goes past it in minutes.
const (
	rssMargin        = 6 << 10 // KiB
	descriptorMargin = 24
	warmUp           = 8 // the first eighth of a run is not counted
)

// flat is an error when the process used more in the last third of the samples than in the first. It prints both.
func flat(all []sample) error {
	all = all[len(all)/warmUp:]
	third := len(all) / 3
	if third == 0 {
		return errors.New("too few samples to judge what the process uses")
	}
	first, last := all[:third], all[len(all)-third:]
	var errs []error
	for _, what := range []struct {
		name   string
		of     func(sample) int
		margin int
	}{
		{"RSS in KiB", func(s sample) int { return s.rss }, rssMargin},
		{"descriptors", func(s sample) int { return s.descriptors }, descriptorMargin},
	} {
		before, after := median(first, what.of), median(last, what.of)
		fmt.Printf("%s, median of the first third %d, of the last %d, margin %d\n", what.name, before, after, what.margin)
		if after > before+what.margin {
			errs = append(errs, fmt.Errorf("%s grew from %d to %d", what.name, before, after))
		}
	}
	return errors.Join(errs...)
}

func median(samples []sample, of func(sample) int) int {
	values := make([]int, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
