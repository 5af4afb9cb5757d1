package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// helpCommand takes the place of cobra's, which answers an unknown command with success.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [command]",
		Short:   "Print the help of a command",
		Long:    "Prints the help of a command as its flag --help does, or of cachectl as a whole.",
		Example: "  cachectl help check",

		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return misused("help takes one command, not %q as well", args[1])
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			if len(args) == 0 {
				for _, c := range cmd.Root().Commands() {
					if !c.Hidden {
						names = append(names, c.Name()+"\t"+c.Short)
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about := cmd.Root()
			if len(args) == 1 {
				if about, _, _ = about.Find(args); about == cmd.Root() {
					return unknownCommand(about, args[0])
				}
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// help returns what --help prints: the text of the command, its usage, flags and commands, and an example.
func help(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage: %s\n", cmd.Long, cmd.UseLine())
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() || c.Name() == "help" {
				fmt.Fprintf(&b, "  %-*s  %s\n", cmd.NamePadding(), c.Name(), c.Short)
			}
		}
	}
	if cmd.HasAvailableLocalFlags() {
		fmt.Fprintf(&b, "\nFlags:\n%s", cmd.LocalFlags().FlagUsages())
	}
	fmt.Fprintf(&b, "\nExample:\n%s\n", cmd.Example)
	return b.String()
}
