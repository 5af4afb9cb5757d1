// Package parts decides which programs of others the demo and the tests run, and where they live: pins.txt names them
// and their versions, and Install puts them into a folder of the checkout, once.
package parts

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// The parts that pins.txt lists.
const (
	Staticcheck = "staticcheck" // the linter: staticcheck
	RIE         = "rie"         // AWS's Lambda runtime interface emulator, out of the SAM CLI's wheel: aws-lambda-rie
	SAM         = "sam"         // the SAM CLI and cfn-lint: bin/sam, bin/cfn-lint
	Moto        = "moto"        // AWS stand-in: bin/moto_server
	DynamoDB    = "dynamodb"    // DynamoDB Local, AWS's own engine: lib/*.jar
	CDK         = "cdk"         // what examples/cdk needs, and the CDK CLI: node_modules
	Actionlint  = "actionlint"  // the linter of GitHub workflows: actionlint
	AWSCLI      = "awscli"      // the AWS CLI: bin/aws
	Ministack   = "ministack"   // AWS stand-in that deploys SAM templates, and the AWS SDK for Python: bin/ministack, bin/python
)

//go:embed pins.txt
var pins string

// Pin is one line of pins.txt.
type Pin struct {
	Name      string
	Installer string   // go, wheel, pip, maven or npm
	Specs     []string // what the installer is told, with exact versions
}

// Pins returns what pins.txt lists, in its order.
func Pins() []Pin {
	var all []Pin
	for line := range strings.Lines(pins) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 2 {
			all = append(all, Pin{Name: fields[0], Installer: fields[1], Specs: fields[2:]})
		}
	}
	return all
}

// folder is the pin's own place: a changed pin gets another one, so that a run that still uses the old one goes on.
func (p Pin) folder() string {
	h := fnv.New32a()
	fmt.Fprint(h, p.Installer, p.Specs)
	return fmt.Sprintf("%s-%08x", p.Name, h.Sum32())
}

// Install makes sure that the named parts are installed below root, all of them when none is named, and returns the
// absolute folder of each. Parts are installed in parallel; what is there already is not touched. Several processes may
// install at once: each part is installed by one of them while the others wait. Progress, a line for what starts and
// ends, goes to progress. The error says for each part that is missing why, the folders of the others are still given.
func Install(ctx context.Context, root string, progress io.Writer, names ...string) (map[string]string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	wanted, err := choose(names)
	if err != nil {
		return nil, err
	}
	var (
		mu      sync.Mutex // guards folders and progress
		folders = make(map[string]string)
		errs    = make([]error, len(wanted))
		wg      sync.WaitGroup
	)
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(progress, format+"\n", args...)
	}
	for i, p := range wanted {
		wg.Go(func() {
			dir := filepath.Join(root, p.folder())
			if errs[i] = install(ctx, p, dir, say); errs[i] == nil {
				mu.Lock()
				defer mu.Unlock()
				folders[p.Name] = dir
			}
		})
	}
	wg.Wait()
	return folders, errors.Join(errs...)
}

func choose(names []string) ([]Pin, error) {
	all := Pins()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []Pin
	for _, name := range names {
		n := len(chosen)
		for _, p := range all {
			if p.Name == name {
				chosen = append(chosen, p)
			}
		}
		if len(chosen) == n {
			return nil, fmt.Errorf("no part is called %q", name)
		}
	}
	return chosen, nil
}

// install installs p into dir unless the stamp in it says that this was done. The stamp is written last, so a run that
// was interrupted leaves a folder that the next one clears.
func install(ctx context.Context, p Pin, dir string, say func(string, ...any)) error {
	stamp := filepath.Join(dir, "installed")
	if _, err := os.Stat(stamp); err == nil {
		return nil
	}
	unlock, err := lock(ctx, dir+".lock", func() { say("%s: another run installs it, waiting", p.Name) })
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	defer unlock()
	if _, err := os.Stat(stamp); err == nil {
		return nil
	}
	say("%s: installing %s", p.Name, strings.Join(p.Specs, " "))
	start := time.Now()
	if err := fill(ctx, p, dir); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	if err := os.WriteFile(stamp, nil, 0o644); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	say("%s: installed in %.0f s", p.Name, time.Since(start).Seconds())
	return nil
}

func fill(ctx context.Context, p Pin, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	switch p.Installer {
	case "go":
		return goInstall(ctx, p.Specs, dir)
	case "wheel":
		return unpackRIE(ctx, p.Specs, dir)
	case "pip":
		return pipInstall(ctx, p.Specs, dir)
	case "maven":
		return mavenCopy(ctx, p.Specs, dir)
	case "npm":
		return npmInstall(ctx, p.Specs, dir)
	}
	return fmt.Errorf("pins.txt: unknown installer %q", p.Installer)
}
