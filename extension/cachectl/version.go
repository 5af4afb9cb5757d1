package main

import (
	"fmt"
	"runtime/debug"

	version "cache-extension"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		Short:             "Print the version",
		Long:              "Prints the version, and the commit where the Go command recorded one.",
		Example:           "  cachectl version",
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			commit := ""
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						commit = " (" + s.Value + ")"
					}
				}
			}
			_, err := fmt.Fprintf(a.stdout, "cachectl %s%s\n", version.Number(), commit)
			return err
		},
	}
}
