package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// look is what happens to a file before one look at it, and whether the look tells of a change.
type look struct {
	do   func(t *testing.T, path string) // nil for nothing
	want bool
}

func TestWatched(t *testing.T) {
	start := time.Now().Add(-time.Hour) // of the file's clock
	written := func(text string, at time.Duration) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Time{}, start.Add(at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	removed := func(t *testing.T, path string) {
		t.Helper()
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	replaced := func(t *testing.T, path string) {
		t.Helper()
		removed(t, path)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name  string
		now   time.Duration // since start, at every look
		looks []look
	}{
		{"nothing happens", time.Minute, []look{{}, {}, {}, {}}},
		{"a new content, told once", time.Minute, []look{{do: written("two", time.Second)}, {want: true}, {}, {}}},
		{"of another size, within one tick", time.Minute, []look{{do: written("three", 0)}, {want: true}, {}}},
		{"a write in two steps", time.Minute, []look{
			{do: written("", time.Second)}, {do: written("two", 2*time.Second)}, {want: true}, {},
		}},
		{"back before it came to rest", time.Minute, []look{{do: written("two", time.Second)}, {do: written("one", 2*time.Second)}, {}, {}}},
		{"the same content again", time.Minute, []look{{do: written("one", time.Second)}, {}, {}, {}}},
		{"one change after another", time.Minute, []look{
			{do: written("two", time.Second)}, {want: true}, {do: written("one", 2*time.Second)}, {want: true}, {},
		}},
		{"a second write within a tick of the file's clock", time.Second, []look{{do: written("two", 0)}, {want: true}, {}}},
		{"size and time stand for an old content", time.Minute, []look{{do: written("two", 0)}, {}, {}}},
		{"gone for a moment", time.Minute, []look{{do: removed}, {}, {do: written("one", time.Second)}, {}, {}, {}}},
		{"replaced after a moment", time.Minute, []look{{do: removed}, {}, {do: written("two", time.Second)}, {want: true}, {}}},
		{"gone for good, and back", time.Minute, []look{
			{do: removed}, {}, {want: true}, {}, {}, {do: written("one", 0)}, {want: true}, {},
		}},
		{"a directory in its place", time.Minute, []look{{do: replaced}, {want: true}, {}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.yaml")
			written("one", 0)(t, path)
			w := watch(path, start.Add(test.now))
			for i, l := range test.looks {
				if l.do != nil {
					l.do(t, path)
				}
				if got := w.changed(start.Add(test.now)); got != l.want {
					t.Errorf("look %d: changed = %t, want %t", i+1, got, l.want)
				}
			}
		})
	}
}

func TestWatchedFileThatIsYetToBe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fixtures.yaml")
	w := watch(path, time.Now())
	for range 2 * gone {
		if w.changed(time.Now()) {
			t.Fatal("a file that was never there changed")
		}
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if first, second := w.changed(time.Now()), w.changed(time.Now()); first || !second {
		t.Errorf("looks at a file that came: %t, %t; want false, true", first, second)
	}
}

func TestWatchedIsNotReadWhereThatWouldTakeFromTheReader(t *testing.T) {
	w := watch(os.DevNull, time.Now())
	if got := w.latest.other; !strings.Contains(got, "D") {
		t.Errorf("a device was taken for %+v, want its sort alone", w.latest)
	}
	for range 2 * gone {
		if w.changed(time.Now()) {
			t.Error("a device changed")
		}
	}
}
