package main

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"testing"
)

// script is a subject whose measurements give the values in turn.
func script(name string, values ...float64) subject {
	return subject{name, func(context.Context) (sample, error) {
		v := values[0]
		values = values[1:]
		return sample{"took": v}, nil
	}}
}

func scripted(r row, why error, subjects ...subject) row {
	r.name, r.figures = "test", []figure{{name: "took"}}
	r.prepare = func(context.Context, *bench) ([]subject, func(), error) { return subjects, nil, why }
	return r
}

func TestRatiosAreWithinRounds(t *testing.T) {
	r := scripted(row{rounds: 3, reference: "floor"}, nil, script(ours, 20, 11, 33), script("floor", 10, 11, 11))
	got, err := r.measure(t.Context(), &bench{}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	us, _ := got.Figures[0].subject(ours)
	if us.Ratio != 2 || us.MinRatio != 1 || us.Median != 20 || us.Min != 11 || us.Max != 33 {
		t.Errorf("got %+v, want ratio 2, at least 1, and median 20 of 11 to 33", us)
	}
}

func TestDisturbedRoundIsMeasuredAgain(t *testing.T) {
	for _, tt := range []struct {
		name     string
		input    row
		floor    []float64 // the last is what a repetition gives
		repeated int
		want     []float64
	}{
		{"one", row{reference: "floor"}, []float64{10, 20, 10, 11}, 1, []float64{10, 11, 10}},
		{"none", row{reference: "floor"}, []float64{10, 12, 10, 11}, 0, []float64{10, 12, 10}},
		{"a restless row", row{reference: "floor", restless: true}, []float64{10, 20, 10, 11}, 0, []float64{10, 20, 10}},
		{"no reference", row{}, []float64{10, 20, 10, 11}, 0, []float64{10, 20, 10}},
	} {
		tt.input.rounds = 3
		got, err := scripted(tt.input, nil, script("floor", tt.floor...)).measure(t.Context(), &bench{}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if values := got.Figures[0].Subjects[0].Values; got.Repeated != tt.repeated || !slices.Equal(values, tt.want) {
			t.Errorf("%s: %v with %d repeated, want %v with %d", tt.name, values, got.Repeated, tt.want, tt.repeated)
		}
	}
}

func TestRepeatingEnds(t *testing.T) {
	calls := 0
	wild := subject{"floor", func(context.Context) (sample, error) {
		calls++
		return sample{"took": math.Pow(2, float64(calls))}, nil
	}}
	got, err := scripted(row{rounds: 5, reference: "floor"}, nil, wild).measure(t.Context(), &bench{}, io.Discard)
	if err != nil || got.Repeated != 5 || calls != 10 {
		t.Errorf("%d repeated in %d measurements, %v; want 5 in 10", got.Repeated, calls, err)
	}
}

func TestRoundsBeginWithDifferentSubjects(t *testing.T) {
	var order []string
	named := func(name string) subject {
		return subject{name, func(context.Context) (sample, error) {
			order = append(order, name)
			return sample{"took": 1}, nil
		}}
	}
	if _, err := scripted(row{rounds: 2}, nil, named("a"), named("b")).measure(t.Context(), &bench{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "b", "a"}; !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
}

func TestSkip(t *testing.T) {
	all := scripted(row{rounds: 1}, skip{"no such machine"})
	got, err := all.measure(t.Context(), &bench{}, io.Discard)
	if err != nil || got.Skipped != "no such machine" || got.Figures != nil {
		t.Errorf("nobody to measure: %+v, %v; want the reason alone", got, err)
	}
	one := scripted(row{rounds: 1, reference: "floor"}, skip{"no floor"}, script(ours, 7))
	got, err = one.measure(t.Context(), &bench{}, io.Discard)
	if err != nil || got.Skipped != "no floor" || got.Figures[0].Subjects[0].Median != 7 || got.Figures[0].Subjects[0].Ratio != 0 {
		t.Errorf("the reference is missing: %+v, %v; want the reason and a figure without ratio", got, err)
	}
}

func TestAgainstIsTheReference(t *testing.T) {
	r := scripted(row{rounds: 1, reference: "floor"}, nil, script(ours, 20), script(older("v1"), 40), script("floor", 10))
	got, err := r.measure(t.Context(), &bench{against: "v1"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if us, _ := got.Figures[0].subject(ours); us.Ratio != 0.5 || got.Reference != older("v1") {
		t.Errorf("ratio %v to %s, want 0.5 to the older one", us.Ratio, got.Reference)
	}
}

func TestFailedMeasurementNamesRowAndSubject(t *testing.T) {
	bad := subject{"floor", func(context.Context) (sample, error) { return nil, errors.New("gone") }}
	_, err := scripted(row{rounds: 1}, nil, bad).measure(t.Context(), &bench{}, io.Discard)
	if want := "test: floor: gone"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		name  string
		input []float64
		want  float64
	}{
		{"one", []float64{7}, 7},
		{"of two their mean", []float64{3, 1}, 2},
		{"of three", []float64{9, 1, 2}, 2},
	} {
		if got := median(tt.input); got != tt.want {
			t.Errorf("%s: median(%v) = %v, want %v", tt.name, tt.input, got, tt.want)
		}
	}
}
