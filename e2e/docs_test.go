package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"cache-extension/e2e/output"
)

// way says what is done about a fenced block. One of its fields is set.
type way struct {
	commands bool   // each line is a command: that which can be run here is run, of the others the names are looked for
	config   bool   // it is a config.yaml, checked
	by       string // another test has it: its folder and name
	shown    string // nothing, and why
}

// ways is what is done about the blocks that do not say it themselves behind the fence:
//
//	yaml file=NAME    the file, for the commands of the page; a config.yaml is checked
//	sh serve          a server, for the commands of the page
//	console run       commands, each behind a $ and with its output, run and compared
//	sh shown: REASON  not run
//
// A block is looked for under its page, language and heading, then page and language, then page.
var ways = map[string]way{
	"CONTRIBUTING.md sh":   {commands: true},
	"CONTRIBUTING.md text": {shown: "a drawing"},
	"CONTRIBUTING.md go":   {by: "e2e TestNewKind"},
	"CONTRIBUTING.md diff": {by: "e2e TestNewKind"},
	"CONTRIBUTING.md yaml": {by: "e2e TestNewKind"},

	"README.md sh":           {commands: true},
	"README.md sh Deploy it": {by: "e2e TestDeploySAM"},
	"README.md yaml":         {config: true},
	"README.md yaml Add it to your own function": {shown: "part of a template"},
	"docs/cli.md":                                         {by: "extension/cachectl TestDocs"},
	"docs/config.md yaml":                                 {config: true},
	"docs/config.md yaml `shared`":                        {shown: "it needs the secret of key_secret, which the page leaves to the reader"},
	"docs/deploy-cdk.md ts":                               {by: "e2e TestCDKDocs"},
	"docs/deploy-cdk.md yaml":                             {config: true},
	"docs/deploy-sam.md sh":                               {by: "e2e TestDeploySAM"},
	"docs/deploy-container.md sh":                         {by: "e2e/release TestContainerPage"},
	"docs/deploy-container.md sh Trying it":               {shown: "it takes Docker"},
	"docs/deploy-container.md dockerfile Your Dockerfile": {shown: "it takes Docker, and the reader's own repository"},
	"docs/release.md sh":                                  {by: "e2e/release TestReleasePage"},
	"docs/release.md sh Code signing":                     {by: "e2e/release TestCodeSigning"},
	"docs/deploy-terraform.md sh":                         {by: "e2e TestTerraformPolicy"},
	"docs/deploy-terraform.md hcl":                        {by: "e2e/terraform TestPage"},
	"docs/fixtures.md":                                    {by: "extension/internal/fixture TestDocs"},
	"docs/getting-started.md sh Build":                    {commands: true},
	"docs/policy.md json":                                 {by: "extension/internal/policy TestDocsHaveTheSample"},
	"docs/recipes.md":                                     {by: "e2e TestRecipes"},
	"docs/recipes.md sh":                                  {by: "e2e TestRecipeForAnotherAccount"},
	"docs/recipes.md yaml Another account by ARN":         {by: "e2e TestRecipeForAnotherAccount"},
	"docs/shared.md sh":                                   {shown: "it empties a server"},
}

// TestDocs runs or compares every fenced block of the pages for users.
func TestDocs(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, page := range pages(t, "README.md", "CONTRIBUTING.md", "docs/*.md") {
		blocks := blocksOf(t, page)
		t.Run(page, func(t *testing.T) {
			said := slices.DeleteFunc(slices.Clone(blocks), func(b block) bool { return b.info == "" })
			if len(said) > 0 {
				follow(t, said)
			}
			for _, b := range blocks {
				if b.info != "" {
					continue
				}
				found := false
				for _, key := range []string{b.page + " " + b.language + " " + b.heading, b.page + " " + b.language, b.page} {
					if w, ok := ways[key]; ok {
						used[key], found = true, true
						w.check(t, b)
						break
					}
				}
				if !found {
					t.Errorf("%s: nothing is done about this block of %q: say how behind its fence, or in ways", b, b.language)
				}
			}
		})
	}
	for key := range ways {
		if !used[key] {
			t.Errorf("ways has %q, and there is no such block", key)
		}
	}
}

func (w way) check(t *testing.T, b block) {
	t.Helper()
	switch {
	case w.config:
		file := filepath.Join(t.TempDir(), "config.yaml")
		write(t, file, b.text, 0o644)
		var env []string
		for _, m := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(b.text, -1) {
			env = append(env, m[1]+"=value")
		}
		if out, err := shell(t, root, env, "cachectl check "+file); err != nil {
			t.Errorf("%s: cachectl check: %v\n%s", b, err, out)
		}
	case w.by != "":
		dir, function, _ := strings.Cut(w.by, " ")
		page := filepath.Base(b.page)
		for _, text := range testsIn(t, dir) {
			// The name of README.md tells nothing.
			if strings.Contains(text, "\nfunc "+function+"(") && (page == "README.md" || strings.Contains(text, page)) {
				return
			}
		}
		t.Errorf("%s: no file in %s has %s and the name of the page", b, dir, function)
	case w.commands:
		var port string
		for line := range strings.Lines(b.text) {
			checkCommand(t, b, strings.TrimSpace(line), &port)
		}
	}
}

// checkCommand runs a command, or looks for what it names where it takes too long, changes something or needs AWS.
func checkCommand(t *testing.T, b block, line string, port *string) {
	t.Helper()
	line, _, _ = strings.Cut(line, " #")
	words := strings.Fields(line)
	switch {
	case len(words) == 0, words[0] == "cd", words[0] == "mkdir", words[0] == "export":
	case words[0] == "make":
		if out, err := shell(t, root, nil, "make --dry-run --silent "+words[1]); err != nil {
			t.Errorf("%s: %s: %v\n%s", b, line, err, out)
		}
	case words[0] == "go":
		checkGo(t, b, words)
	case words[0] == "bin/cachectl" && words[1] == "serve":
		// With --offline, whatever the page says.
		serveNames(t, nil, append(slices.DeleteFunc(words[2:], func(w string) bool { return w == "--offline" }), "--offline")...)
	case words[0] == "curl":
		needs(t, "curl")
		if *port == "" {
			*port = serveNames(t, nil, "config.yaml", "--offline")
		}
		line = strings.ReplaceAll(line, "localhost:4000", "localhost:"+*port)
		fallthrough
	case words[0] == "bin/cachectl":
		if out, err := shell(t, root, nil, strings.Replace(line, "curl ", "curl --silent --show-error --fail ", 1)); err != nil {
			t.Errorf("%s: %s: %v\n%s", b, line, err, out)
		}
	default:
		t.Errorf("%s: %s: this test does not know what to do about %s", b, line, words[0])
	}
}

// checkGo looks for the package of a go command, and for the tests that it chooses.
func checkGo(t *testing.T, b block, words []string) {
	t.Helper()
	dir := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "./") })
	if dir < 0 {
		t.Errorf("%s: %q names no package", b, words)
		return
	}
	sources := filepath.Join(words[dir], "*.go")
	if len(matches(t, `(?m)^package (\w+)`, sources)) == 0 && words[1] == "run" {
		t.Errorf("%s: %q: there is no program", b, words)
	}
	for _, flag := range []string{"-run", "-bench", "-fuzz"} {
		i := slices.Index(words, flag)
		if i < 0 || words[i+1] == "'^$'" {
			continue
		}
		if !slices.ContainsFunc(testsIn(t, words[dir]), func(text string) bool { return strings.Contains(text, "\nfunc "+words[i+1]+"(") }) {
			t.Errorf("%s: %q: there is no %s", b, words, words[i+1])
		}
	}
}

// testsIn returns the texts of the test files of a folder.
func testsIn(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	for _, file := range pages(t, filepath.Join(dir, "*_test.go")) {
		all = append(all, readText(t, file))
	}
	return all
}

// follow does what the blocks of a page say of themselves, as a reader would, in a folder of their own where they make
// files, else in the checkout.
func follow(t *testing.T, blocks []block) {
	dir := root
	if slices.ContainsFunc(blocks, func(b block) bool { return strings.HasPrefix(b.info, "file=") }) {
		dir = t.TempDir()
	}
	here := regexp.MustCompile(`\blocalhost:4000\b`)
	port := ""
	for _, b := range blocks {
		switch name, file := strings.CutPrefix(b.info, "file="); {
		case file:
			write(t, filepath.Join(dir, name), b.text, 0o644)
			if name == "config.yaml" {
				if out, err := shell(t, dir, nil, "cachectl check "+name); err != nil {
					t.Errorf("%s: cachectl check: %v\n%s", b, err, out)
				}
			}
		case b.info == "serve":
			words := strings.Fields(b.text)
			program := filepath.Join(programs(t), filepath.Base(words[0]))
			port = serveFrom(t, dir, nil, `at http://localhost:(\d+)`, program, append(words[1:], "--port", "0")...)
		case b.info == "run":
			for step := range strings.SplitSeq("\n"+strings.TrimSuffix(b.text, "\n"), "\n$ ") {
				line, want, _ := strings.Cut(step, "\n")
				if line == "" {
					continue
				}
				if strings.HasPrefix(line, "curl ") {
					needs(t, "curl")
				}
				got, err := shell(t, dir, nil, here.ReplaceAllString(line, "localhost:"+port))
				if _, wrong := err.(*exec.ExitError); err != nil && !wrong || strings.TrimSuffix(got, "\n") != want {
					t.Errorf("%s: %s: got %v and\n%s\nwant\n%s", b, line, err, got, want)
				}
			}
		case strings.HasPrefix(b.info, "shown: "):
		default:
			t.Errorf("%s: %q behind a fence means nothing", b, b.info)
		}
	}
}

// serveFrom runs a server in dir until the end of the test. It says its port as the expression has it.
func serveFrom(t *testing.T, dir string, env []string, expression, program string, args ...string) (port string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir, append(plainEnv(), env...)
	var said output.Log
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(program), &said)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	found, err := said.Wait(ctx, regexp.MustCompile(expression))
	if err != nil {
		t.Fatal(err)
	}
	return found[1]
}

// shell runs a line with the programs that make build makes, and returns what it wrote.
func shell(t *testing.T, dir string, env []string, line string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(line, "bin/cachectl", "cachectl"))
	path := "PATH=" + programs(t) + string(os.PathListSeparator) + os.Getenv("PATH")
	cmd.Dir, cmd.Env = dir, append(append(plainEnv(), path), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestDocsNameWhatThereIs looks for what is named by the commands that stand in the text or in indented lines.
func TestDocsNameWhatThereIs(t *testing.T) {
	t.Parallel()
	command := regexp.MustCompile("(?m)(?:`|^ {4,})((?:make|go run|go test) [^`\n]+)")
	checked := 0
	for _, page := range pages(t, "README.md", "CONTRIBUTING.md", "docs/*.md", "e2e/README.md", "examples/*/README.md") {
		for _, m := range command.FindAllStringSubmatch(withoutBlocks(readText(t, page)), -1) {
			line, _, _ := strings.Cut(m[1], "  ")
			checkCommand(t, block{page: page}, line, nil)
			checked++
		}
	}
	if checked < 10 {
		t.Errorf("%d commands are named, want those of all pages", checked)
	}
}

// TestDocsAreValidJSON reads each block that is called JSON.
func TestDocsAreValidJSON(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t, "README.md", "docs/*.md", "examples/*/README.md") {
		for _, b := range blocksOf(t, page) {
			if b.language == "json" && !json.Valid([]byte(b.text)) {
				t.Errorf("%s: not JSON", b)
			}
		}
	}
}

// TestLinks follows the links of all pages to other files and headings of the checkout. Those to other sites are only read.
func TestLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)`)
	linked := map[string]bool{}
	for _, page := range pages(t, "*.md", "docs/*.md", "docs/adr/*.md", "e2e/*.md", "examples/*/*.md", "SAM/*.md") {
		for _, m := range link.FindAllStringSubmatch(prose(readText(t, page)), -1) {
			u, err := url.Parse(m[1])
			switch {
			case err != nil:
				t.Errorf("%s: %s: %v", page, m[1], err)
				continue
			case u.Scheme == "https" && u.Host != "":
				continue
			case u.Scheme != "" || filepath.IsAbs(u.Path):
				t.Errorf("%s: %s is neither https nor relative", page, m[1])
				continue
			}
			target := page
			if u.Path != "" {
				target = filepath.Join(filepath.Dir(page), u.Path)
				if page == "docs/README.md" {
					linked[target] = true
				}
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: %s: there is no %s", page, m[1], target)
				continue
			}
			if u.Fragment != "" && !slices.Contains(anchors(readText(t, target)), u.Fragment) {
				t.Errorf("%s: %s: %s has no such heading", page, m[1], target)
			}
		}
	}
	for _, page := range pages(t, "docs/*.md") {
		if !linked[page] && page != "docs/README.md" {
			t.Errorf("docs/README.md has no link to %s", page)
		}
	}
}

// anchors are the fragments of a page, as GitHub makes them of its headings.
func anchors(text string) []string {
	var all []string
	times := map[string]int{}
	link := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	for line := range strings.Lines(withoutBlocks(text)) {
		heading := strings.TrimLeft(line, "#")
		if heading == line || !strings.HasPrefix(heading, " ") {
			continue
		}
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(link.ReplaceAllString(heading, "$1")))
		n := times[slug]
		times[slug]++
		if n > 0 {
			slug = fmt.Sprintf("%s-%d", slug, n)
		}
		all = append(all, slug)
	}
	return all
}

// prose is a page without code, in which brackets mean something else.
func prose(text string) string {
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllString(withoutBlocks(text), "``")
}

func withoutBlocks(text string) string {
	return regexp.MustCompile("(?ms)^ *```.*?^ *```").ReplaceAllString(text, "")
}

// pages returns the files of the checkout that patterns match.
func pages(t *testing.T, patterns ...string) []string {
	t.Helper()
	var all []string
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			page, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, page)
		}
	}
	if len(all) == 0 {
		t.Fatalf("no pages: %q", patterns)
	}
	return all
}

// block is a fenced block of a page.
type block struct {
	page     string // from the root
	line     int    // of the fence; 0 for what is not in a block
	heading  string // above it, without #
	language string // the first word behind the fence
	info     string // what follows it
	text     string
}

// String says where the block is.
func (b block) String() string {
	if b.line == 0 {
		return b.page
	}
	return fmt.Sprintf("%s:%d", b.page, b.line)
}

// blocksOf returns the fenced blocks of a page. In a list, they are indented; the text is not.
func blocksOf(t *testing.T, page string) []block {
	t.Helper()
	var all []block
	var open *block
	var text strings.Builder
	heading, indent := "", ""
	for i, line := range strings.Split(readText(t, page), "\n") {
		trimmed := strings.TrimLeft(line, " ")
		fence := strings.HasPrefix(trimmed, "```")
		switch {
		case fence && open == nil:
			indent = line[:len(line)-len(trimmed)]
			language, info, _ := strings.Cut(strings.TrimLeft(trimmed, "`"), " ")
			open = &block{page: page, line: i + 1, heading: heading, language: language, info: info}
			text.Reset()
		case fence:
			open.text = text.String()
			all, open = append(all, *open), nil
		case open != nil:
			text.WriteString(strings.TrimPrefix(line, indent) + "\n")
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	if open != nil {
		t.Fatalf("%s: the block has no end", open)
	}
	return all
}
