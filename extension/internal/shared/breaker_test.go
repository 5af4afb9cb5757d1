package shared

import (
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	var b breaker
	now := time.Unix(1_000_000, 0)
	enter := func(want pass) pass {
		t.Helper()
		got := b.enter(now)
		if got != want {
			t.Errorf("enter = %v, want %v", got, want)
		}
		if refuses := b.refuses(now); want != probe && refuses != (want == refused) {
			t.Errorf("refuses = %v beside an enter that gives %v", refuses, want)
		}
		return got
	}
	early, late := enter(through), enter(through)
	if !b.fail(early, now) || !b.open() {
		t.Error("the first failure does not open it")
	}
	if b.fail(late, now) || b.succeed(late, now) || !b.open() {
		t.Error("what began before is told again, or closes it")
	}
	now = now.Add(799 * time.Millisecond)
	enter(refused)
	now = now.Add(402 * time.Millisecond) // past 1 s and a fifth
	p := enter(probe)
	enter(refused) // one at a time
	b.abandon(p)
	p = enter(probe)
	if b.fail(p, now) {
		t.Error("a probe that fails is told of")
	}
	now = now.Add(1599 * time.Millisecond)
	enter(refused)
	now = now.Add(802 * time.Millisecond)
	if !b.succeed(enter(probe), now) || b.open() {
		t.Error("a probe that succeeds does not close it")
	}
	// Soon after, it goes on where it was; long after, from the start.
	now = now.Add(lastPause / 2)
	b.fail(enter(through), now)
	now = now.Add(3199 * time.Millisecond)
	enter(refused)
	now = now.Add(time.Minute)
	b.succeed(enter(probe), now)
	now = now.Add(2 * lastPause)
	b.fail(enter(through), now)
	now = now.Add(1201 * time.Millisecond)
	p = enter(probe)
	b.fail(p, now)
	now = now.Add(-time.Hour) // the clock was set back
	enter(probe)
}

func TestPauses(t *testing.T) {
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		want *= time.Second
		for range 100 {
			if got := pause(i + 1); got < want*8/10 || got > want*12/10 {
				t.Fatalf("pause(%d) = %v, want %v give or take a fifth", i+1, got, want)
			}
		}
	}
	if got := pause(1 << 40); got > 36*time.Second {
		t.Errorf("pause = %v after many failures", got)
	}
}
