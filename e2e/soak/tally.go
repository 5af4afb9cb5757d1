//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// tally counts answers and finds those that are wrong. It may be used concurrently.
type tally struct {
	weather *weather

	mu       sync.Mutex // guards what follows
	reads    int
	stale    int
	problems map[string]int // by code
	wrong    int
	broken   int      // connections that broke
	examples []string // of what is wrong or broken; the first few
}

func newTally(w *weather) *tally { return &tally{weather: w, problems: make(map[string]int)} }

// history is when AWS made the value of each name that one reader saw last.
type history map[string]time.Time

// judge counts an answer. It returns when AWS made the value; for a tree the oldest one in it, for a problem the zero time.
func (t *tally) judge(r reading, seen history) time.Time {
	made, code, err := t.check(r, seen)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reads++
	if code != "" {
		t.problems[code]++
	}
	if strings.Contains(r.header.Get("Cache-Status"), "detail=stale") {
		t.stale++
	}
	if err != nil {
		t.wrong++
		t.example(fmt.Sprintf("GET %s refresh=%t: %d %s: %v", r.target.path, r.refresh, r.status, r.header.Get("Cache-Status"), err))
	}
	return made
}

// broke counts a read that got no answer.
func (t *tally) broke(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.broken++
	t.example(err.Error())
}

// example notes what is wrong; t.mu is held.
func (t *tally) example(s string) {
	if len(t.examples) < 10 {
		t.examples = append(t.examples, s)
	}
}

// check returns when the value was made, or the code of a problem. Its error is that the answer cannot be right.
func (t *tally) check(r reading, seen history) (made time.Time, code string, err error) {
	if r.status != 200 {
		code, err = t.checkProblem(r)
		return time.Time{}, code, err
	}
	values, err := valuesOf(r)
	if err != nil {
		return time.Time{}, "", err
	}
	for name, value := range values {
		at, err := t.checkValue(r, name, value, seen)
		if err != nil {
			return time.Time{}, "", err
		}
		if made.IsZero() || at.Before(made) {
			made = at
		}
	}
	return made, "", nil
}

// valuesOf returns the values of an answer by the name each must have.
func valuesOf(r reading) (map[string]string, error) {
	body := string(r.body)
	switch {
	case r.target.name == "":
		var members map[string]string
		if err := json.Unmarshal(r.body, &members); err != nil {
			return nil, errors.New("the tree is not a JSON object of strings")
		}
		values := make(map[string]string)
		for member, value := range members {
			values[tree+"/"+member] = value
		}
		return values, nil
	case strings.HasPrefix(body, "{"):
		var item struct{ Value string }
		if err := json.Unmarshal(r.body, &item); err != nil {
			return nil, errors.New("the item is not a JSON object")
		}
		body = item.Value
	}
	return map[string]string{r.target.name: body}, nil
}

// checkValue returns when AWS made the value.
func (t *tally) checkValue(r reading, name, value string, seen history) (time.Time, error) {
	owner, made, ok := parseValue(value)
	if !ok || owner != name {
		return made, fmt.Errorf("the value is of %q, want %q", owner, name)
	}
	age, err := strconv.Atoi(r.header.Get("Age"))
	if err != nil {
		return made, errors.New("there is no Age")
	}
	underway := t.weather.underway(made)
	if r.target.asked == tree {
		underway += 10 * timeout // its pages come one after the other, each in its own time
	}
	stored := strings.Contains(r.header.Get("Cache-Status"), "; stored")
	collapsed := strings.Contains(r.header.Get("Cache-Status"), "; collapsed")
	switch {
	case made.After(r.got):
		err = errors.New("the value is from the future")
	case r.sent.Sub(made) > r.target.limit+underway:
		err = fmt.Errorf("the value is %v old, its windows end at %v", r.sent.Sub(made), r.target.limit)
	case stored && !collapsed && made.Before(r.sent):
		err = errors.New("the value is said to be fetched for this read and is older")
	case made.Before(seen[name]):
		err = fmt.Errorf("the value is %v older than the one before", seen[name].Sub(made))
	case time.Duration(age)*time.Second > r.got.Sub(made):
		err = fmt.Errorf("the Age is %d, the value is %v old", age, r.got.Sub(made))
	case time.Duration(age+1)*time.Second+underway < r.sent.Sub(made):
		err = fmt.Errorf("the Age is %d, the value is %v old: something made it younger", age, r.sent.Sub(made))
	}
	seen[name] = made
	return made, err
}

// checkProblem returns the code.
func (t *tally) checkProblem(r reading) (string, error) {
	var problem struct{ Code string }
	if err := json.Unmarshal(r.body, &problem); err != nil || problem.Code == "" {
		return "none", errors.New("the answer is not a problem with a code")
	}
	// The refusal may be as old as it is remembered, and have been on its way before that.
	since := r.sent.Add(-r.target.remembers - landing - longestFreeze)
	status, known := map[string]int{"missing": 404, "denied": 403, "throttled": 503, "upstream": 502, "timeout": 504, "busy": 429}[problem.Code]
	var err error
	switch {
	case !known || status != r.status:
		err = fmt.Errorf("unexpected problem %q", problem.Code)
	case problem.Code == "missing" && !t.weather.was(missing, r.target.name, since, r.got):
		err = errors.New("it was there all the time")
	case problem.Code == "denied" && !t.weather.was(denied, r.target.asked, since, r.got):
		err = errors.New("it was granted all the time")
	case status >= 429 && r.header.Get("Retry-After") == "":
		err = fmt.Errorf("%s without Retry-After", problem.Code)
	}
	return problem.Code, err
}

// columns is the head of what line returns.
const columns = " after     reads  stale  wrong broken  calls  RSS MiB threads   fds  problems by code"

// line is one line about the run so far.
func (t *tally) line(after time.Duration, s sample, calls int64) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("%6v %9d %6d %6d %6d %6d %8.1f %7d %5d  %s", after.Round(time.Second), t.reads, t.stale, t.wrong, t.broken,
		calls, float64(s.rss)/1024, s.threads, s.descriptors, t.byCode())
}

// byCode lists problems; t.mu is held.
func (t *tally) byCode() string {
	var list []string
	for _, code := range slices.Sorted(maps.Keys(t.problems)) {
		list = append(list, fmt.Sprintf("%s %d", code, t.problems[code]))
	}
	return strings.Join(list, ", ")
}

// print tells what was counted in all.
func (t *tally) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(w, "%d reads, %d stale, %d wrong, %d broken; %s\n", t.reads, t.stale, t.wrong, t.broken, t.byCode())
}

// verdict is an error when an answer was wrong or missing.
func (t *tally) verdict() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wrong+t.broken > 0 {
		return fmt.Errorf("%d answers were wrong and %d connections broke, such as:\n%s", t.wrong, t.broken, strings.Join(t.examples, "\n"))
	}
	return nil
}
