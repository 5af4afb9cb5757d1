package config

import "strings"

// near returns the one of known that name was probably meant to be, or "" where none is close: the one with the fewest
// slips, else one that begins like name and ends earlier or later.
func near(name string, known []string) string {
	// A long name is not worth the table that comparing it takes.
	const maxNear = 100
	if len(name) > maxNear {
		return ""
	}
	name = strings.ToLower(name)
	best, limit := "", min(3, 1+len(name)/4)
	for _, k := range known {
		if d := distance(name, strings.ToLower(k)); d <= limit {
			best, limit = k, d-1
		}
	}
	if best != "" {
		return best
	}
	// Two letters begin too many words, and a word begins too many names that are much longer.
	const enough, maxRest = 3, 40
	shortest := maxRest
	for _, k := range known {
		short, long := name, strings.ToLower(k)
		if len(short) > len(long) {
			short, long = long, short
		}
		if rest := len(long) - len(short); len(short) >= enough && strings.HasPrefix(long, short) && rest < shortest {
			best, shortest = k, rest
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that turn a into b.
func distance(a, b string) int {
	// Three rows of the usual table are enough: a swap looks two rows back.
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// didYouMean returns a hint to append to a message, or "" where near found nothing.
func didYouMean(meant string) string {
	if meant == "" {
		return ""
	}
	return " (did you mean " + quote(meant) + "?)"
}

// DidYouMean returns a hint to append to a message about name, which is not among known: the one that was probably meant,
// or "" where none is near.
func DidYouMean(name string, known []string) string { return didYouMean(near(name, known)) }
