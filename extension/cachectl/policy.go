package main

import (
	"encoding/json"
	"slices"

	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/policy"

	"github.com/spf13/cobra"
)

func (a *app) policyCommand() *cobra.Command {
	var o policy.Options
	cmd := &cobra.Command{
		Use:   "policy [file]",
		Short: "Print the least IAM policy that reads what config.yaml declares",
		Long: `Prints the IAM policy of a role that may read what config.yaml declares, and nothing else: the actions of the calls
that are made, in batches and one by one, on the resources that the file names. AWS is not asked.

It is JSON for IAM, or with --sam the block Policies of a function in a template of AWS SAM. In JSON, the account has to
be given, and the Region of a resource is its entry's, else --region, else AWS_REGION. With --sam, what neither the file
nor a flag gives is left to the pseudo parameters of CloudFormation: a template is for every account and Region.

` + exitCodes,
		Example: `  cachectl policy --account 123456789012 --region eu-west-1 config.yaml
  cachectl policy --sam --kms-key alias/app config.yaml`,
		Args:              oneFile,
		ValidArgsFunction: yamlFiles,
		RunE: func(_ *cobra.Command, args []string) error {
			environ := a.environ
			if o.SAM || o.Region != "" {
				environ = slices.Concat([]string{"AWS_REGION=", "AWS_DEFAULT_REGION="}, environ)
			}
			cfg, err := config.Load(config.Options{Path: file(args), Env: environ, Check: true})
			if err != nil {
				return err
			}
			document, err := policy.For(cfg, o)
			if err != nil {
				return err
			}
			text := document.SAM()
			if !o.SAM {
				if text, err = json.MarshalIndent(document, "", "  "); err != nil {
					return err
				}
				text = append(text, '\n')
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.SAM, "sam", false, "print a Policies block for a template of AWS SAM")
	f.StringVar(&o.Partition, "partition", "", "`partition` of the ARNs, such as aws-cn (default: that of each Region)")
	f.StringVar(&o.Region, "region", "", "`Region` of entries that have none")
	f.StringVar(&o.Account, "account", "", "`account` of the ARNs, twelve digits")
	f.StringVar(&o.KMSKey, "kms-key", "", "customer managed `key` that values are encrypted with: its id, ARN or alias/NAME")
	return cmd
}
