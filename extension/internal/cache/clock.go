package cache

import "time"

// Instant is one moment on both clocks. Lambda stops the monotonic clock while an execution environment is frozen and the
// wall clock goes on, so ages are told by the wall clock, and the difference of the two tells that there was a freeze.
type Instant struct {
	Wall time.Time     // without a monotonic reading
	Mono time.Duration // since an arbitrary start, the same for all instants compared
}

// Clock returns functions that tell the present Instant; all instants of one Clock can be compared.
func Clock() func() Instant {
	start := time.Now()
	return func() Instant {
		now := time.Now()
		return Instant{Wall: now.Round(0), Mono: now.Sub(start)}
	}
}

// maxGap is how far the clocks may drift apart before we call it a freeze; NTP corrections stay far below.
const maxGap = time.Second

// Slept says whether the process was frozen for more than a second between two instants.
func Slept(before, now Instant) bool {
	return now.Wall.Sub(before.Wall)-(now.Mono-before.Mono) > maxGap
}

// within says whether now is less than d after since. A zero since is never within, and neither is one that lies in the
// future: a clock set back must not prolong a hold-off.
func within(now, since time.Time, d time.Duration) bool {
	if since.IsZero() {
		return false
	}
	elapsed := now.Sub(since)
	return elapsed >= 0 && elapsed < d
}
