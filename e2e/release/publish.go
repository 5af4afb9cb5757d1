package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	version "cache-extension"
)

// publication is what to publish, where and for whom. Without accounts and organisations only the own account may use
// the layers.
type publication struct {
	dir           string   // where the zips and SHA256SUMS are
	name          string   // of the layers; the architecture is added to it
	regions       []string // one or more
	accounts      []string // that may use the layers
	organisations []string // whose accounts may use the layers
	dryRun        bool     // print the commands, as a script, instead of running them
}

// parsePublication reads the flags of publish; it explains them on stderr where they are wrong.
func parsePublication(args []string, stderr io.Writer) (publication, error) {
	var p publication
	f := flag.NewFlagSet("publish", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&p.name, "name", "cache-extension", "`name` of the layers, to which the architecture is added")
	f.BoolVar(&p.dryRun, "dry-run", false, "print the commands as a shell script instead of running them")
	f.Func("regions", "`Regions` to publish in, separated by commas", list(&p.regions, `^[a-z]+(-[a-z]+)+-\d+$`, "a Region, such as eu-west-1"))
	f.Func("accounts", "`accounts` that may use the layers, separated by commas", list(&p.accounts, `^\d{12}$`, "an account, which has twelve digits"))
	f.Func("organizations", "AWS `organizations` whose accounts may use the layers, separated by commas",
		list(&p.organisations, `^o-[a-z0-9]{10,32}$`, "an organization, such as o-a1b2c3d4e5"))
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return p, err
		}
		return p, fmt.Errorf("%w of publish", errUsage) // the flag set has said what is wrong
	}
	switch {
	case f.NArg() > 0:
		return p, fmt.Errorf("%w: publish takes no argument %q", errUsage, f.Arg(0))
	case len(p.regions) == 0:
		return p, fmt.Errorf("%w: say where to publish, such as publish -regions eu-west-1,us-east-1", errUsage)
	case !regexp.MustCompile(`^[a-zA-Z0-9-_]{1,100}$`).MatchString(p.name):
		return p, fmt.Errorf("%w: -name %q: a layer's name has letters, digits, - and _", errUsage, p.name)
	}
	return p, nil
}

// list returns what parses a list separated by commas, each of which must match pattern; what says what it is.
func list(to *[]string, pattern, what string) func(string) error {
	return func(text string) error {
		for each := range strings.SplitSeq(text, ",") {
			if !regexp.MustCompile(pattern).MatchString(each) {
				return fmt.Errorf("%q is not %s", each, what)
			}
			*to = append(*to, each)
		}
		return nil
	}
}

// publish publishes the layer of each architecture in each Region, and prints the ARN of each as soon as it may be used.
// It stops at the first failure: what was printed before is published and stays so.
func (p publication) publish(ctx context.Context, stdout io.Writer) error {
	if err := p.verify(); err != nil {
		return err
	}
	if p.dryRun {
		fmt.Fprintln(stdout, "set -eu")
	}
	for _, region := range p.regions {
		for _, a := range arches() {
			if p.dryRun {
				p.print(stdout, region, a)
				continue
			}
			arn, err := p.layer(ctx, region, a)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", region, a.lambda, err)
			}
			fmt.Fprintln(stdout, arn)
		}
	}
	return nil
}

// verify holds the zips to the checksums beside them.
func (p publication) verify() error {
	sums, err := os.ReadFile(filepath.Join(p.dir, sumsName))
	if err != nil {
		return fmt.Errorf("%w: run make release first", err)
	}
	for _, a := range arches() {
		text, err := os.ReadFile(filepath.Join(p.dir, zipName(a)))
		if err != nil {
			return fmt.Errorf("%w: run make release first", err)
		}
		if line := fmt.Sprintf("%x  %s\n", sha256.Sum256(text), zipName(a)); !strings.Contains(string(sums), line) {
			return fmt.Errorf("%s is not what %s says: run make release again", zipName(a), sumsName)
		}
	}
	return nil
}

// layer publishes one layer and lets those use it who are named. It returns the ARN of the layer's new version.
func (p publication) layer(ctx context.Context, region string, a arch) (string, error) {
	out, err := runAWS(ctx, p.publishing(region, a))
	if err != nil {
		return "", err
	}
	arn := strings.TrimSpace(out)
	number := arn[strings.LastIndexByte(arn, ':')+1:]
	for _, command := range p.permissions(region, a, number) {
		if _, err := runAWS(ctx, command); err != nil {
			return "", fmt.Errorf("%s is published, but not for all who may use it: %w", arn, err)
		}
	}
	return arn, nil
}

// print prints what layer does.
func (p publication) print(stdout io.Writer, region string, a arch) {
	fmt.Fprintf(stdout, "arn=$(%s)\n", shell(p.publishing(region, a)))
	for _, command := range p.permissions(region, a, "${arn##*:}") {
		fmt.Fprintln(stdout, shell(command)+" >/dev/null")
	}
	fmt.Fprintln(stdout, `echo "$arn"`)
}

// publishing is the command that publishes a layer and prints the ARN of its new version.
func (p publication) publishing(region string, a arch) []string {
	return []string{"aws", "lambda", "publish-layer-version", "--region", region,
		"--layer-name", p.name + "-" + a.lambda,
		"--description", "cache-extension " + version.Number(),
		"--license-info", "Apache-2.0; of what is linked in: " + licencesName,
		"--compatible-architectures", a.lambda,
		"--zip-file", "fileb://" + filepath.ToSlash(filepath.Join(p.dir, zipName(a))),
		"--query", "LayerVersionArn", "--output", "text"}
}

// permissions are the commands that let others use a version of a layer.
func (p publication) permissions(region string, a arch, number string) [][]string {
	allow := func(id string, principal ...string) []string {
		return append([]string{"aws", "lambda", "add-layer-version-permission", "--region", region,
			"--layer-name", p.name + "-" + a.lambda, "--version-number", number,
			"--statement-id", id, "--action", "lambda:GetLayerVersion"}, principal...)
	}
	var commands [][]string
	for _, account := range p.accounts {
		commands = append(commands, allow("account-"+account, "--principal", account))
	}
	for _, o := range p.organisations {
		commands = append(commands, allow("organization-"+o, "--principal", "*", "--organization-id", o))
	}
	return commands
}

// shell writes a command so that a shell reads it as it is; a word with a $ is left to the shell to replace.
func shell(command []string) string {
	var words []string
	for _, w := range command {
		switch {
		case strings.Contains(w, "$"):
			w = `"` + w + `"`
		case !regexp.MustCompile(`^[\w./:=,-]+$`).MatchString(w):
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// runAWS runs a command of the AWS CLI and returns what it printed.
func runAWS(ctx context.Context, command []string) (string, error) {
	if _, err := exec.LookPath(command[0]); err != nil {
		return "", errors.New("the AWS CLI is not on PATH: install it, or use -dry-run to see the commands")
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "AWS_PAGER=")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(command[:3], " "), err, strings.TrimSpace(said.String()))
	}
	return string(out), nil
}
