package parts

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestPinsAreExact(t *testing.T) {
	exact := regexp.MustCompile(`(==|@v?|:)\d+\.\d+(\.\d+)?$`)
	var names []string
	for _, p := range Pins() {
		names = append(names, p.Name)
		for _, spec := range p.Specs {
			if !exact.MatchString(spec) {
				t.Errorf("%s: %s has no exact version", p.Name, spec)
			}
		}
	}
	if got, want := strings.Join(names, " "), strings.Join([]string{Staticcheck, RIE, SAM, Moto, DynamoDB, CDK, Actionlint, AWSCLI, Ministack}, " "); got != want {
		t.Errorf("pins: got %s, want %s", got, want)
	}
}

func TestChangedPinGetsAnotherFolder(t *testing.T) {
	a := Pin{Name: "x", Installer: "pip", Specs: []string{"x==1"}}
	b := Pin{Name: "x", Installer: "pip", Specs: []string{"x==2"}}
	if a.folder() == b.folder() {
		t.Errorf("folder of %v and %v: got %s for both", a, b, a.folder())
	}
}

func TestInstallRefusesUnknownPart(t *testing.T) {
	if _, err := Install(t.Context(), t.TempDir(), os.Stderr, "motto"); err == nil || !strings.Contains(err.Error(), `"motto"`) {
		t.Errorf("Install of motto: got %v, want an error that names it", err)
	}
}

func TestInstallSaysWhichProgramIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var progress strings.Builder
	_, err := Install(t.Context(), t.TempDir(), &progress, Moto, DynamoDB)
	if want := "moto: python3 is not installed\ndynamodb: mvn is not installed"; err == nil || err.Error() != want {
		t.Errorf("Install without programs: got %v, want %s", err, want)
	}
}

func TestInterruptedInstallIsDoneAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "part")
	leftover := filepath.Join(dir, "half")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(leftover, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	say := func(string, ...any) {}
	if err := install(t.Context(), Pin{Name: "part", Installer: "none"}, dir, say); err == nil {
		t.Error("install by an unknown installer: got no error")
	}
	if _, err := os.Stat(leftover); err == nil {
		t.Errorf("%s is still there", leftover)
	}
}

func TestLockIsHeldByOne(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), file, func() { t.Error("the first one waits") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := lock(ctx, file, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("a second lock: got %v, want it to wait until its context ends", err)
	}
	unlock()
	again, err := lock(t.Context(), file, func() { t.Error("one waits for a lock that is free") })
	if err != nil {
		t.Fatal(err)
	}
	again()
}
