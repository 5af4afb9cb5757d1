package main

import (
	"fmt"
	"strings"
)

// notes returns the section of the changelog for a version, without its heading. A tag of another version and a section
// that is not there, or still called unreleased, are errors: a release tells its users what it brings.
func notes(changelog, version, tag string) (string, error) {
	if tag != "v"+version {
		return "", fmt.Errorf("tag %s, but the file VERSION says %s: the tag must be v%s", tag, version, version)
	}
	var section []string
	heading := ""
	for line := range strings.Lines(changelog) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			if heading != "" {
				break
			}
			if name, _, _ := strings.Cut(strings.TrimSpace(title), " "); name == version {
				heading = title
			}
			continue
		}
		if heading != "" {
			section = append(section, line)
		}
	}
	if heading == "" {
		return "", fmt.Errorf("CHANGELOG.md has no heading \"## %s\": say what is new", version)
	}
	if strings.Contains(heading, "unreleased") {
		return "", fmt.Errorf("CHANGELOG.md calls %s unreleased: put the date there", version)
	}
	return strings.TrimSpace(strings.Join(section, "")) + "\n", nil
}
