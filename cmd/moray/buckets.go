package main

import "github.com/spf13/cobra"

func bucketsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "buckets",
		Short: "Define buckets in files: check, plan and apply them",
		Long: `Define buckets in files. Each YAML document below the directory (--dir, buckets.d) defines a bucket; "moray buckets
schema" prints the form.

Exit status: 0 nothing to do, or done; 1 an error; 2 there is something to change; 3 a guard refuses a change; 4 somebody
else is applying changes.`,
		Example: `  moray buckets validate
  moray buckets plan --url postgres://moray@db.example.com/moray
  moray buckets apply --url postgres://moray@db.example.com/moray`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		bucketsValidateCommand(), bucketsPlanCommand(), bucketsApplyCommand(), bucketsDiffCommand(), bucketsExportCommand(), bucketsFmtCommand(), bucketsSchemaCommand(),
		bucketsStatusCommand(), bucketsReindexCommand(),
	)
	return cmd
}

// dirFlag adds the option that names the directory of definitions.
func dirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVarP(dir, "dir", "d", "buckets.d", "`directory` of the definitions")
}
