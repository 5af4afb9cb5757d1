package cache

import (
	"testing"
	"time"
)

func BenchmarkHit(b *testing.B) {
	c := New(newSource(b, plain("a", time.Hour)), defaults())
	if _, err := c.Get(b.Context(), "a", false); err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Get(ctx, "a", false); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHitParallel(b *testing.B) {
	c := New(newSource(b, plain("a", time.Hour)), defaults())
	if _, err := c.Get(b.Context(), "a", false); err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Get(ctx, "a", false); err != nil {
				b.Error(err)
			}
		}
	})
}

func TestHitDoesNotAllocate(t *testing.T) {
	c := New(newSource(t, plain("a", time.Hour)), defaults())
	ctx := t.Context()
	get := func() {
		if _, err := c.Get(ctx, "a", false); err != nil {
			t.Errorf("Get = %v, want a hit", err)
		}
	}
	get()
	if got := testing.AllocsPerRun(1000, get); got != 0 {
		t.Errorf("allocations of a hit = %v, want 0", got)
	}
}
