package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fault is one thing that is wrong, or odd, in the file or in the environment.
type Fault struct {
	File   string // empty for the environment
	Line   int    // counted from 1; 0 means the file as a whole, or the environment
	Column int    // counted from 1; 0 where Line is
	Text   string // what is wrong and what to do about it, in the words of the file
}

// Error returns the fault as "file:line: text", without the parts it does not have.
func (f Fault) Error() string {
	switch {
	case f.File == "":
		return f.Text
	case f.Line == 0:
		return f.File + ": " + f.Text
	}
	return f.File + ":" + strconv.Itoa(f.Line) + ": " + f.Text
}

// Faults is everything that is wrong, those of the file by line and then those of the environment in a fixed order.
type Faults []Fault

// Error returns the faults one a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// sorted returns the faults in their order, each once: what an anchor holds is read anew for every alias of it.
func (fs Faults) sorted() Faults {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		if (a.File == "") != (b.File == "") {
			return cmp.Compare(b.File, a.File)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	seen := make(map[Fault]bool, len(fs))
	return slices.DeleteFunc(fs, func(f Fault) bool {
		known := seen[f]
		seen[f] = true
		return known
	})
}

// maxQuoted bounds what a message repeats of the user's text, in runes.
const maxQuoted = 80

// quote returns text in quotes, shortened to what a message can bear.
func quote(text string) string {
	if r := []rune(text); len(r) > maxQuoted {
		text = string(r[:maxQuoted]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
