package main

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLicencesAreKnown fails when the extension is linked with something whose licence nobody has looked at: the build of
// the release then fails and says which.
func TestLicencesAreKnown(t *testing.T) {
	files := releaseFiles(t, releaseDir(t))
	for _, a := range arches() {
		text := string(zipFile(t, files[zipName(a)], licencesName))
		// What is surely linked, and what it is surely under.
		for _, want := range []string{"cache-extension ", "aws-sdk-go-v2 ", " standard library ", "gopkg.in/yaml.v3 ",
			"Permission is hereby granted, free of charge", "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION",
			"Copyright 2015 Amazon.com, Inc.", "The Go Authors", "internal/sync/singleflight/LICENSE"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: LICENSES.txt has no %q", a.goarch, want)
			}
		}
		if strings.Contains(text, "/pkg/mod") {
			t.Errorf("%s: LICENSES.txt tells of folders of this machine", a.goarch)
		}
		program := zipFile(t, files[zipName(a)], programName)
		parts, err := partsOf(t.Context(), release.tree, a, program)
		if err != nil {
			t.Fatal(err)
		}
		info, err := buildinfo.Read(bytes.NewReader(program))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range parts {
			got = append(got, p.name)
			if !strings.Contains(text, "\n  "+p.name+" ") {
				t.Errorf("%s: LICENSES.txt does not list %s", a.goarch, p.name)
			}
		}
		for _, m := range info.Deps {
			if !slices.Contains(got, m.Path+" "+m.Version) {
				t.Errorf("%s: the program is linked with %s %s, which is not in %v", a.goarch, m.Path, m.Version, got)
			}
		}
	}
}

const (
	mitText = `Permission is hereby granted, free of charge, to any person obtaining
a copy of this software … THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY`
	mozillaText = `Mozilla Public License, version 2.0 … 1.4. "Covered Software" … "Secondary License" means either the
GNU General Public License, Version 2.0, …`
)

func TestIdentify(t *testing.T) {
	for _, tt := range []struct {
		name, text, want, err string
	}{
		{"MIT, broken into lines", mitText, "MIT", ""},
		{"two in one file", mitText + "\n\nApache License\n  Version 2.0, January 2004", "Apache-2.0 MIT", ""},
		{"BSD", "Redistribution and use in source and binary forms, with or without modification, are permitted provided that … nor the names\nof its contributors may be used", "BSD-3-Clause", ""},
		{"Mozilla", mozillaText, "MPL-2.0", ""},
		{"GPL", "GNU GENERAL PUBLIC LICENSE\nVersion 3", "", `it says "gnu general public"`},
		{"MIT with more", mitText + "\n\"Commons Clause\" License Condition v1.0", "", `it says "commons clause"`},
		{"Mozilla with more", mozillaText + "\n\"Commons Clause\" License Condition v1.0", "", `it says "commons clause"`},
		{"nobody knows it", "Do what you want.", "", "it is none that is known"},
		{"nothing", "", "", "it is none that is known"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ids, err := identify(tt.text)
			if got := strings.Join(ids, " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
				t.Errorf("got error %v, want %q", err, tt.err)
			}
		})
	}
}

// module makes a part with the files of a module, all of whose folders are linked.
func module(t *testing.T, name string, files map[string]string) part {
	t.Helper()
	p := part{name: name, root: t.TempDir()}
	p.folders = []string{p.root}
	for file, text := range files {
		dir := filepath.Join(p.root, filepath.Dir(file))
		if dir != p.root {
			p.folders = append(p.folders, dir)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(p.root, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func TestLicences(t *testing.T) {
	got, err := licences([]part{
		module(t, "example.com/a v1.0.0", map[string]string{"LICENSE": mitText, "NOTICE": "Look here.", "licenses.go": "package a", "taken/COPYING.txt": mozillaText}),
		module(t, "example.com/b v2.0.0", map[string]string{"License.md": mitText}),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `The program cache-extension is made of what is listed here, each under its own terms, which follow.
The source of each is published under its name and version.

  example.com/a v1.0.0                               MIT, MPL-2.0
  example.com/b v2.0.0                               MIT

================================================================================
example.com/a v1.0.0, LICENSE
example.com/b v2.0.0, License.md
================================================================================

` + mitText + `

================================================================================
example.com/a v1.0.0, NOTICE
================================================================================

Look here.

================================================================================
example.com/a v1.0.0, taken/COPYING.txt
================================================================================

` + mozillaText + "\n"
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestUnknownLicencesAreRefused(t *testing.T) {
	_, err := licences([]part{
		module(t, "example.com/a v1.0.0", map[string]string{"LICENSE": mitText}),
		module(t, "example.com/b v1.0.0", map[string]string{"LICENSE": mitText, "inner/LICENSE": "GNU Affero General Public License"}),
		module(t, "example.com/c v1.0.0", map[string]string{"NOTICE": mitText}),
	})
	const want = `example.com/b v1.0.0, inner/LICENSE: it says "gnu affero"
example.com/c v1.0.0: no licence that may be used
if the terms allow it to be linked, add it to known in e2e/release/licences.go`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
