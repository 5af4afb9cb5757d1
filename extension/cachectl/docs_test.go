package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestDocs holds docs/cli.md to the help of the commands. UPDATE_GOLDEN=1 writes it anew.
func TestDocs(t *testing.T) {
	const file = "../../docs/cli.md"
	root := newRoot(&app{stdout: io.Discard, stderr: io.Discard})
	root.InitDefaultHelpCmd()
	var b strings.Builder
	b.WriteString("# cachectl\n\n<!-- Written by TestDocs in extension/cachectl from the help of the commands. -->\n\n" +
		"`go build -o bin/cachectl ./extension/cachectl` builds it. It is not part of the Lambda layer.\n\n")
	section(&b, root)
	for _, c := range root.Commands() {
		fmt.Fprintf(&b, "\n## %s\n\n", c.CommandPath())
		section(&b, c)
	}
	got := b.String()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("docs/cli.md is not what the commands say: run UPDATE_GOLDEN=1 go test -run TestDocs ./extension/cachectl")
	}
}

func section(b *strings.Builder, c *cobra.Command) {
	fmt.Fprintf(b, "%s\n\n    %s\n", c.Long, c.UseLine())
	if c.HasAvailableSubCommands() {
		b.WriteString("\n| command | |\n|---|---|\n")
		for _, sub := range c.Commands() {
			fmt.Fprintf(b, "| [%s](#%s) | %s |\n", sub.Name(), strings.ReplaceAll(sub.CommandPath(), " ", "-"), sub.Short)
		}
	}
	if flags := c.LocalFlags(); flags.HasFlags() {
		fmt.Fprintf(b, "\n```\n%s```\n", flags.FlagUsages())
	}
	fmt.Fprintf(b, "\n```sh\n%s\n```\n", strings.ReplaceAll("\n"+c.Example, "\n  ", "\n")[1:])
}

// Every command has what its help and docs/cli.md are made of.
func TestHelpIsWhole(t *testing.T) {
	root := newRoot(&app{stdout: io.Discard, stderr: io.Discard})
	root.InitDefaultHelpCmd()
	for _, c := range append(root.Commands(), root) {
		if c.Short == "" || c.Long == "" || !strings.Contains(c.Example, "  cachectl ") {
			t.Errorf("%s lacks Short, Long or an example", c.CommandPath())
		}
		if c.Args == nil {
			t.Errorf("%s takes any arguments", c.CommandPath())
		}
	}
}
