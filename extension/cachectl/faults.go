package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"cache-extension/extension/internal/config"
)

// printFaults writes faults to standard error, each with its line of the file and a caret below the column, where that line
// may be shown.
func (a *app) printFaults(faults config.Faults) { a.print("", "error", faults) }

// printWarnings is printFaults for what is odd but no reason to stop.
func (a *app) printWarnings(faults config.Faults) { a.print("warning: ", "warning", faults) }

// print writes faults, and in a GitHub workflow an annotation of each as well.
func (a *app) print(prefix, level string, faults config.Faults) {
	sources := make(map[string][]string)
	for _, f := range faults {
		lines, known := sources[f.File]
		if !known && f.Line > 0 && f.File != a.secret {
			lines = readLines(f.File)
			sources[f.File] = lines
		}
		fmt.Fprintf(a.stderr, "%s%s\n", prefix, tame(place(f)))
		if 0 < f.Line && f.Line <= len(lines) {
			fmt.Fprint(a.stderr, excerpt(lines[f.Line-1], f.Line, f.Column))
		}
	}
	a.annotate(level, faults)
}

// place returns f with what it has of file, line and column before it.
func place(f config.Fault) string {
	if f.Line > 0 && f.Column > 0 {
		return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Text)
	}
	return f.Error()
}

// printError writes an error to standard error, each of those that errors.Join has joined on a line of its own.
func (a *app) printError(err error) {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	texts := make([]string, len(all))
	for i, err := range all {
		texts[i] = tame(err.Error())
	}
	fmt.Fprintf(a.stderr, "cachectl: %s\n", strings.Join(texts, "\n"))
}

// tame returns text as one line of what can be seen. What AWS and its stand-ins say could make the terminal do anything, and
// a line of theirs could pass for one of ours.
func tame(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ReplacementChar
	}, text)
}

// readLines returns the lines of a file as YAML counts them, none of a file that cannot be read twice.
func readLines(file string) []string {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	return strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text), "\n")
}

// An excerpt shows so many characters of a line, of which so many are before the column.
const (
	maxExcerpt   = 100
	beforeColumn = 60
)

// excerpt returns a line of a file, and a caret on a line of its own below the column, which is counted from 1 in
// characters. There is no caret for column 0.
func excerpt(line string, number, column int) string {
	text := []rune(strings.TrimRight(withoutPassword(line), " \t"))
	at := min(column-1, len(text))
	before, after := "", ""
	if first := at - beforeColumn; len(text) > maxExcerpt && first > 0 {
		text, at, before = text[first:], beforeColumn, "…"
	}
	if len(text) > maxExcerpt {
		text, after = text[:maxExcerpt], "…"
	}
	// What is no more than a control character could make the terminal do anything.
	for i, r := range text {
		if r != '\t' && !unicode.IsPrint(r) {
			text[i] = unicode.ReplacementChar
		}
	}
	gutter := fmt.Sprintf("%5d | ", number)
	shown := gutter + before + string(text) + after + "\n"
	if column == 0 {
		return shown
	}
	var under strings.Builder
	for range before {
		under.WriteByte(' ')
	}
	for _, r := range text[:at] {
		under.WriteString(blank(r))
	}
	return shown + strings.Repeat(" ", len(gutter)-len("| ")) + "| " + under.String() + "^\n"
}

// withoutPassword returns a line with an asterisk for each character of what no message may repeat: what a URL has in front
// of an @, be it well formed or not, and what is written for key_secret, which may be the key itself.
func withoutPassword(line string) string {
	for _, form := range []string{`://(.*)@`, `\burl["']?:\s+((?:[^/@]|/[^/])*)@`, `\bkey_secret["']?:\s+(\S.*)`} {
		if at := regexp.MustCompile(form).FindStringSubmatchIndex(line); at != nil {
			hidden := utf8.RuneCountInString(line[at[2]:at[3]])
			line = line[:at[2]] + strings.Repeat("*", hidden) + line[at[3]:]
		}
	}
	return line
}

// blank returns what is as wide as r in a terminal and cannot be seen.
func blank(r rune) string {
	switch {
	case r == '\t':
		return "\t"
	case unicode.In(r, unicode.Mn, unicode.Me):
		return ""
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana):
		return "  "
	}
	return " "
}

// annotate writes faults as GitHub's workflow commands, which it shows beside the lines of a change. It reads them from
// standard error as well, and standard output may be a document.
func (a *app) annotate(level string, faults config.Faults) {
	if a.getenv("GITHUB_ACTIONS") != "true" {
		return
	}
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for _, f := range faults {
		where := ""
		if f.File != "" {
			where = " file=" + property.Replace(a.inWorkspace(f.File))
		}
		if f.Line > 0 {
			where += fmt.Sprintf(",line=%d", f.Line)
		}
		if f.Column > 0 {
			where += fmt.Sprintf(",col=%d", f.Column)
		}
		fmt.Fprintf(a.stderr, "::%s%s::%s\n", level, where, strings.ReplaceAll(tame(f.Text), "%", "%25"))
	}
}

// inWorkspace returns the path of a file as GitHub knows it: below the checkout, wherever the step runs.
func (a *app) inWorkspace(file string) string {
	workspace := a.getenv("GITHUB_WORKSPACE")
	absolute, err := filepath.Abs(file)
	if err != nil || workspace == "" {
		return file
	}
	relative, err := filepath.Rel(workspace, absolute)
	if err != nil || !filepath.IsLocal(relative) {
		return file
	}
	return filepath.ToSlash(relative)
}
