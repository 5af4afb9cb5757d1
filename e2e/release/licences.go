package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// licence is one that the extension may be linked under. Whoever adds one has read what it asks for, and made sure that
// LICENSES.txt gives it.
type licence struct {
	id    string   // of the SPDX list
	words []string // that every copy of it has, in lower case with single spaces
}

func known() []licence {
	return []licence{
		{"Apache-2.0", []string{"apache license", "version 2.0"}},
		{"MIT", []string{"permission is hereby granted, free of charge, to any person obtaining a copy", `the software is provided "as is"`}},
		{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "are permitted provided that", "nor the names of its contributors may be used"}},
		{"MPL-2.0", []string{mozilla, "covered software"}}, // asks to tell where the source is
	}
}

// mozilla is in every copy of the Mozilla licence. That names the GNU ones, for recipients who would rather have those:
// in it they, and nothing else that is refused, are no reason to refuse.
const mozilla = "mozilla public license"

// refused are words of licences that ask for more than their text and where the source is.
func refused() []string {
	return []string{"gnu general public", "gnu lesser general public", "gnu affero", "server side public license",
		"business source license", "commons clause", "creative commons", "non-commercial"}
}

// identify returns the licences that a text holds, or an error when a person has to read it.
func identify(text string) ([]string, error) {
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	for _, words := range refused() {
		gnu := strings.HasPrefix(words, "gnu ")
		if strings.Contains(text, words) && !(gnu && strings.Contains(text, mozilla)) {
			return nil, fmt.Errorf("it says %q", words)
		}
	}
	var ids []string
	for _, l := range known() {
		if !slices.ContainsFunc(l.words, func(w string) bool { return !strings.Contains(text, w) }) {
			ids = append(ids, l.id)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("it is none that is known")
	}
	return ids, nil
}

// licences returns LICENSES.txt for a program that is linked from parts: the licences of each, and then their texts, of
// which equal ones are there once. A part without a licence, and an unknown licence, is an error.
func licences(parts []part) ([]byte, error) {
	var (
		table bytes.Buffer
		order []string                    // texts, as they were found
		files = make(map[string][]string) // that have a text
		errs  []error
	)
	for _, p := range parts {
		legal, err := p.legalFiles()
		if err != nil {
			return nil, err
		}
		var ids []string
		for _, file := range legal {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			relative, err := filepath.Rel(p.root, file)
			if err != nil {
				return nil, err
			}
			text, title := string(content), p.name+", "+filepath.ToSlash(relative)
			if files[text] == nil {
				order = append(order, text)
			}
			files[text] = append(files[text], title)
			if goesAlong(file) {
				continue
			}
			found, err := identify(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", title, err))
			}
			ids = append(ids, found...)
		}
		if len(ids) == 0 {
			errs = append(errs, fmt.Errorf("%s: no licence that may be used", p.name))
		}
		slices.Sort(ids)
		fmt.Fprintf(&table, "  %-50s %s\n", p.name, strings.Join(slices.Compact(ids), ", "))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w\nif the terms allow it to be linked, add it to known in e2e/release/licences.go", err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "The program cache-extension is made of what is listed here, each under its own terms, which follow.\n"+
		"The source of each is published under its name and version.\n\n%s", &table)
	line := strings.Repeat("=", 80)
	for _, text := range order {
		fmt.Fprintf(&out, "\n%[1]s\n%[2]s\n%[1]s\n\n%[3]s\n", line, strings.Join(files[text], "\n"), strings.Trim(text, "\n"))
	}
	return out.Bytes(), nil
}

// legalFiles returns the files that hold the licences and notices of what is linked from p: code that a module took from
// elsewhere has its own, below the root.
func (p part) legalFiles() ([]string, error) {
	var files []string
	for _, dir := range p.folders {
		// What the licence in this folder of the standard library is about is linked on request alone: the code of BoringSSL.
		if strings.HasSuffix(filepath.ToSlash(dir), "/src/crypto/internal/boring") {
			continue
		}
		all, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, f := range all {
			if extension := strings.ToLower(filepath.Ext(f.Name())); f.IsDir() || extension != "" && extension != ".txt" && extension != ".md" {
				continue
			}
			if begins(f.Name(), "LICENSE", "LICENCE", "COPYING") || goesAlong(f.Name()) {
				files = append(files, filepath.Join(dir, f.Name()))
			}
		}
	}
	return files, nil
}

// goesAlong says whether a file goes along with a licence and is none itself.
func goesAlong(file string) bool { return begins(filepath.Base(file), "NOTICE", "PATENTS") }

func begins(name string, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(strings.ToUpper(name), w) })
}
