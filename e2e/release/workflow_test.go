package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"cache-extension/e2e/parts"
)

const workflowFile = ".github/workflows/ci.yml"

// step is a step of a workflow's job.
type step struct {
	Name, Uses, Run string
}

// workflowSteps returns the steps of each job.
func workflowSteps(t *testing.T) map[string][]step {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, workflowFile))
	if err != nil {
		t.Fatal(err)
	}
	var workflow struct {
		Jobs map[string]struct{ Steps []step }
	}
	if err := yaml.Unmarshal(text, &workflow); err != nil {
		t.Fatal(err)
	}
	steps := make(map[string][]step)
	for name, job := range workflow.Jobs {
		steps[name] = job.Steps
	}
	return steps
}

func TestWorkflowIsLinted(t *testing.T) {
	folders, err := parts.Install(t.Context(), filepath.Join(checkout, ".tools"), os.Stderr, parts.Actionlint)
	if err != nil {
		missing(t, err)
	}
	// Without the linters of other languages, which some machines have and others don't.
	cmd := exec.CommandContext(t.Context(), filepath.Join(folders[parts.Actionlint], "actionlint"), "-shellcheck=", "-pyflakes=", workflowFile)
	cmd.Dir = checkout
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("actionlint: %v\n%s", err, out)
	}
}

// TestWorkflowPinsActions fails on an action by a tag, which its owner can move.
func TestWorkflowPinsActions(t *testing.T) {
	for job, steps := range workflowSteps(t) {
		for _, s := range steps {
			if s.Uses != "" && !regexp.MustCompile(`@[0-9a-f]{40}$`).MatchString(s.Uses) {
				t.Errorf("%s uses %s: pin the commit", job, s.Uses)
			}
		}
	}
}

// TestWorkflowRunsWhatIsHere runs the steps that are ours with a go and a make that only say how they were called.
func TestWorkflowRunsWhatIsHere(t *testing.T) {
	bin, temp := t.TempDir(), t.TempDir()
	const say = "#!/bin/sh\nfor w in ${0##*/} \"$@\"; do printf '%s\\n' \"$w\"; done\n"
	for _, name := range []string{"go", "make", "sudo"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(say), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name, job, run string
		env            []string
		want           string
	}{
		{"test", "test", "sudo", nil, "sudo env PATH=" + bin + " CI=true .ci/run"},
		{"notes", "release", "release notes", []string{"GITHUB_REF_NAME=v0.1.0"}, "go run ./e2e/release notes v0.1.0"},
		{"release", "release", "make", nil, "make release"},
		{"publish", "publish", "publish", []string{"REGIONS=eu-west-1,us-east-1"}, "go run ./e2e/release publish -regions eu-west-1,us-east-1"},
		{"publish for others", "publish", "publish", []string{"REGIONS=eu-west-1", "ACCOUNTS=123456789012", "ORGANIZATIONS=o-a1b2c3d4e5"},
			"go run ./e2e/release publish -regions eu-west-1 -accounts 123456789012 -organizations o-a1b2c3d4e5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var script string
			for _, s := range workflowSteps(t)[tt.job] {
				if strings.Contains(s.Run, tt.run) {
					script = s.Run
				}
			}
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-eu", "-c", script)
			cmd.Env = append([]string{"PATH=" + bin, "RUNNER_TEMP=" + temp, "REGIONS=", "ACCOUNTS=", "ORGANIZATIONS="}, tt.env...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", script, err, out)
			}
			if len(out) == 0 { // it went into a file
				if out, err = os.ReadFile(filepath.Join(temp, "notes.md")); err != nil {
					t.Fatal(err)
				}
			}
			words := strings.Fields(string(out))
			if got := strings.Join(words, " "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if args, ok := strings.CutPrefix(tt.want, "go run ./e2e/release publish "); ok {
				if _, err := parsePublication(strings.Fields(args), io.Discard); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
