package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	version "cache-extension"
)

func TestNotes(t *testing.T) {
	const changelog = "# Changelog\n\n## 0.3.0 (unreleased)\n\n- c\n\n## 0.2.0 (2026-12-01)\n\n- [FEATURE] b\n- [BUGFIX] b2\n\n## 0.1.0 (2026-11-21)\n\n- a\n"
	for _, tt := range []struct {
		name, version, tag, want, err string
	}{
		{"in the middle", "0.2.0", "v0.2.0", "- [FEATURE] b\n- [BUGFIX] b2\n", ""},
		{"the first", "0.1.0", "v0.1.0", "- a\n", ""},
		{"another tag", "0.2.0", "v0.3.0", "", "tag v0.3.0, but the file VERSION says 0.2.0: the tag must be v0.2.0"},
		{"a tag without v", "0.2.0", "0.2.0", "", "tag 0.2.0, but the file VERSION says 0.2.0: the tag must be v0.2.0"},
		{"unreleased", "0.3.0", "v0.3.0", "", "CHANGELOG.md calls 0.3.0 unreleased: put the date there"},
		{"not there", "0.2", "v0.2", "", `CHANGELOG.md has no heading "## 0.2": say what is new`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := notes(changelog, tt.version, tt.tag)
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
				t.Errorf("got error %v, want %q", err, tt.err)
			}
		})
	}
}

// TestChangelogKnowsTheVersion holds the changelog to the file VERSION, released or not.
func TestChangelogKnowsTheVersion(t *testing.T) {
	changelog, err := os.ReadFile(filepath.Join(checkout, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := notes(string(changelog), version.Number(), "v"+version.Number()); err != nil && !strings.Contains(err.Error(), "unreleased") {
		t.Error(err)
	}
}
