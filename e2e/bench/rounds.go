package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// A row is a group of figures that are measured together.
type row struct {
	name  string // for -rows
	title string // a heading
	about string // how it is measured, in a sentence or two
	// rounds is how often each subject is measured.
	rounds int
	// reference names the subject that the others are divided by, round by round; empty when there is none.
	reference string
	figures   []figure
	// restless is a row whose rounds differ by themselves: none of them is repeated for it.
	restless bool
	// prepare returns who is measured, the reference among them, and what ends it all. An error that is a skip comes with
	// those who can be measured all the same.
	prepare func(ctx context.Context, b *bench) ([]subject, func(), error)
}

// figure is one number of a row. Less is better, unless more is.
type figure struct {
	name, title, unit string
	goal              goal
	more              bool
}

// goal is the most a figure of ours may be; as a ratio to the reference, or as it is. The zero goal is none.
type goal struct {
	Ratio float64 `json:"ratio,omitempty"`
	Value float64 `json:"value,omitempty"`
}

// subject is what is measured: a program, in the main.
type subject struct {
	name    string
	measure func(ctx context.Context) (sample, error)
}

// sample is what one measurement gave, by the names of figures. A figure may be missing from all samples of a subject.
type sample map[string]float64

// skip is why something cannot be measured here.
type skip struct{ reason string }

func (s skip) Error() string { return s.reason }

// disturbed is how far the reference may be from its median in a round that counts: more than rounds differ by on a quiet
// machine, less than what another program's start does to one.
const disturbed = 0.3

// measure plays all rounds of r: in each, every subject once, so that what the machine does to one it does to its neighbour.
func (r row) measure(ctx context.Context, b *bench, progress io.Writer) (result, error) {
	out := result{Name: r.name, Title: r.title, About: r.about, Reference: r.reference}
	subjects, end, err := r.prepare(ctx, b)
	if end != nil {
		defer end()
	}
	var reason skip
	switch {
	case errors.As(err, &reason):
		out.Skipped = reason.reason
		fmt.Fprintf(progress, "%s: skipped: %s\n", r.name, reason)
		if len(subjects) == 0 {
			return out, nil
		}
	case err != nil:
		return out, fmt.Errorf("%s: %w", r.name, err)
	}

	if b.against != "" {
		// What counts then is what has changed since.
		if i := slices.IndexFunc(subjects, func(s subject) bool { return s.name == older(b.against) }); i >= 0 {
			r.reference, out.Reference = subjects[i].name, subjects[i].name
		}
	}

	played := make([]map[string]sample, b.rounds(r.rounds))
	play := func(i int, again string) error {
		fmt.Fprintf(progress, "\r%s: round %d of %d%s ", r.name, i+1, len(played), again)
		var err error
		if played[i], err = round(ctx, subjects, i); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		return nil
	}
	for i := range played {
		if err := play(i, ""); err != nil {
			return out, err
		}
	}
	// Repeating ends: on a machine that is never quiet no round would do.
	for out.Repeated < len(played) {
		again := r.disturbed(played)
		if len(again) == 0 {
			break
		}
		for _, i := range again[:min(len(again), len(played)-out.Repeated)] {
			out.Repeated++
			if err := play(i, " again"); err != nil {
				return out, err
			}
		}
	}
	fmt.Fprintln(progress)
	out.Rounds = len(played)
	out.collect(r, subjects, played)
	return out, nil
}

// round measures every subject once. Rounds begin with different subjects: the first has the colder caches.
func round(ctx context.Context, subjects []subject, nth int) (map[string]sample, error) {
	samples := make(map[string]sample, len(subjects))
	for i := range subjects {
		s := subjects[(i+nth)%len(subjects)]
		got, err := s.measure(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		samples[s.name] = got
	}
	return samples, nil
}

// disturbed returns the rounds in which the reference was not itself, by its first figure.
func (r row) disturbed(played []map[string]sample) []int {
	all := values(played, r.reference, r.figures[0].name)
	if r.restless || len(all) < len(played) { // without a reference there is none at all
		return nil
	}
	return outliers(all, disturbed)
}

// values returns one figure of one subject by round, or nothing where the subject has no such figure.
func values(played []map[string]sample, subject, figure string) []float64 {
	var all []float64
	for _, samples := range played {
		if v, ok := samples[subject][figure]; ok {
			all = append(all, v)
		}
	}
	return all
}
