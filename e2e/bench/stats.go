package main

import (
	"math"
	"slices"
)

// median returns the middle of all, which must not be empty; of two in the middle their mean.
func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// ratios divides pair by pair. What cannot be divided is NaN.
func ratios(of, by []float64) []float64 {
	r := make([]float64, len(of))
	for i := range of {
		r[i] = math.NaN()
		if by[i] != 0 {
			r[i] = of[i] / by[i]
		}
	}
	return r
}

// outliers returns the positions of those that differ from the median by more than the given part of it.
func outliers(all []float64, part float64) []int {
	middle := median(all)
	var found []int
	for i, v := range all {
		if math.Abs(v-middle) > part*middle {
			found = append(found, i)
		}
	}
	return found
}
