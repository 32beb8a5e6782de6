package main

import (
	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/reconcile"
)

func bucketsDiffCommand() *cobra.Command {
	p := planning{}
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Show the difference from the live buckets to their definitions",
		Long: `Show the difference from the buckets of a database to the definitions in files, as that of their canonical YAML in the
unified format. Where a client changed a bucket since its definition was applied, a comment says so.

Exit status: 0 there is none; 2 there is one; 1 an error.`,
		Example: "  moray buckets diff --url postgres://moray@db.example.com/moray",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			planner, stop, err := p.begin(cmd)
			if err != nil {
				return err
			}
			defer stop()
			documents, err := reconcile.ReadDir(p.dir)
			if err != nil {
				return err
			}
			difference, err := planner.Diff(cmd.Context(), documents)
			if err != nil {
				return err
			}
			if _, err := cmd.OutOrStdout().Write(difference); err != nil {
				return err
			}
			if len(difference) > 0 {
				return &exit{status: exitChanges}
			}
			return nil
		},
	}
	p.compareFlags(cmd)
	return cmd
}
