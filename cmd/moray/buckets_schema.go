package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/schemas"
)

func bucketsSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of definitions, for editors",
		Long: `Print the JSON Schema (draft 7) of the documents that define buckets. Editors use it through a first line such as
"# yaml-language-server: $schema=bucket.schema.json" in a file of definitions.`,
		Example: "  moray buckets schema > bucket.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), schemas.Bucket)
			return err
		},
	}
}
