package main

import (
	"maps"
	"slices"

	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/schema"

	"github.com/spf13/cobra"
)

func (a *app) schemaCommand() *cobra.Command {
	schemas := map[string]func() []byte{"config": schema.Config, "fixtures": schema.Fixtures}
	names := slices.Sorted(maps.Keys(schemas))
	return &cobra.Command{
		Use:   "schema [config|fixtures]",
		Short: "Print the JSON Schema of config.yaml or fixtures.yaml",
		Long: `Prints the JSON Schema of config.yaml, or of fixtures.yaml. Editors read it to complete keys and to mark mistakes:
begin the file with

    # yaml-language-server: $schema=config.schema.json

check knows more than a schema can say, such as that two entries are served under one name.`,
		Example:   "  cachectl schema > config.schema.json\n  cachectl schema fixtures > fixtures.schema.json",
		ValidArgs: names,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return misused("schema takes one name, not %q as well", args[1])
			}
			if len(args) == 1 && schemas[args[0]] == nil {
				return misused("there is no schema %q%s", args[0], config.DidYouMean(args[0], names))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			name := "config"
			if len(args) == 1 {
				name = args[0]
			}
			_, err := a.stdout.Write(schemas[name]())
			return err
		},
	}
}
