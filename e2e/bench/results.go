package main

import (
	"encoding/json"
	"math"
	"os"
	"slices"
)

// ours is the name of the program that all is about.
const ours = "cache-extension"

// results is a run, as it is written in JSON.
type results struct {
	Conditions conditions `json:"conditions"`
	Rows       []result   `json:"rows"`
}

// result is what a row gave.
type result struct {
	Name      string         `json:"name"`
	Title     string         `json:"title"`
	About     string         `json:"about"`
	Reference string         `json:"reference,omitempty"`
	Skipped   string         `json:"skipped,omitempty"` // why there are no figures
	Rounds    int            `json:"rounds,omitempty"`
	Repeated  int            `json:"repeated,omitempty"` // rounds that were disturbed and measured again
	Figures   []figureResult `json:"figures,omitempty"`
}

type figureResult struct {
	Name     string          `json:"name"`
	Title    string          `json:"title"`
	Unit     string          `json:"unit"`
	More     bool            `json:"more,omitempty"` // is better
	Goal     goal            `json:"goal,omitzero"`
	Subjects []subjectResult `json:"subjects"`
}

// subjectResult is one figure of one subject. Ratio and MinRatio are of its values to those of the reference in the same
// rounds, and 0 where there is none.
type subjectResult struct {
	Name     string    `json:"name"`
	Median   float64   `json:"median"`
	Min      float64   `json:"min"`
	Max      float64   `json:"max"`
	Ratio    float64   `json:"ratio,omitempty"`
	MinRatio float64   `json:"min_ratio,omitempty"`
	Values   []float64 `json:"values"` // by round
}

// collect makes figures of samples. Subjects keep their order.
func (r *result) collect(of row, subjects []subject, played []map[string]sample) {
	for _, f := range of.figures {
		figure := figureResult{Name: f.name, Title: f.title, Unit: f.unit, More: f.more, Goal: f.goal}
		reference := values(played, of.reference, f.name)
		for _, s := range subjects {
			all := values(played, s.name, f.name)
			if len(all) == 0 {
				continue
			}
			one := subjectResult{Name: s.name, Median: median(all), Min: slices.Min(all), Max: slices.Max(all), Values: all}
			if len(reference) == len(all) {
				if by := ratios(all, reference); !slices.ContainsFunc(by, math.IsNaN) {
					one.Ratio, one.MinRatio = median(by), slices.Min(by)
				}
			}
			figure.Subjects = append(figure.Subjects, one)
		}
		if len(figure.Subjects) > 0 {
			r.Figures = append(r.Figures, figure)
		}
	}
}

// best is the best of all rounds.
func (f figureResult) best(s subjectResult) float64 {
	if f.More {
		return s.Max
	}
	return s.Min
}

// heading is what the figure is, with its unit.
func (f figureResult) heading() string {
	text := f.Title
	if f.Unit != "" {
		text += ", " + f.Unit
	}
	if f.More {
		text += " (more is better)"
	}
	return text
}

// subject returns the result of the subject with the name.
func (f figureResult) subject(name string) (subjectResult, bool) {
	for _, s := range f.Subjects {
		if s.Name == name {
			return s, true
		}
	}
	return subjectResult{}, false
}

func (r results) write(file string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
