package main

import (
	"slices"
	"strings"

	"cache-extension/extension/internal/config"

	"github.com/spf13/cobra"
)

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "fish", "powershell", "zsh"}
	return &cobra.Command{
		Use:       "completion <bash|fish|powershell|zsh>",
		Short:     "Print the script that makes a shell complete cachectl's commands and flags",
		Long:      "Prints the script that makes a shell complete the commands, flags and files of cachectl. Load it where the shell starts.",
		Example:   "  source <(cachectl completion bash)\n  cachectl completion fish > ~/.config/fish/completions/cachectl.fish",
		ValidArgs: shells,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misused("completion takes one shell: %s", strings.Join(shells, ", "))
			}
			if !slices.Contains(shells, args[0]) {
				return misused("there is no completion for %q%s", args[0], config.DidYouMean(args[0], shells))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			}
			return root.GenPowerShellCompletionWithDesc(a.stdout)
		},
	}
}
