package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/reconcile"
)

func bucketsValidateCommand() *cobra.Command {
	var dir, output string
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the files of definitions, without a database",
		Long: `Check all files of definitions: YAML, the keys and their values, names, and what cannot be together. All problems of
all files are listed with file, line and column. No database is asked; plan checks hooks and what is there as well.`,
		Example: "  moray buckets validate\n  moray buckets validate -d /etc/moray/buckets.d -o github",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, ok := problemWriters[output]
			if !ok {
				return fmt.Errorf("unknown output %q: it is text, json, github or sarif", output)
			}
			documents, err := reconcile.ReadDir(dir)
			invalid := (*reconcile.InvalidError)(nil)
			if err != nil && !errors.As(err, &invalid) {
				return err
			}
			var problems []reconcile.Problem
			if invalid != nil {
				problems = invalid.Problems
			}
			if err := write(cmd.OutOrStdout(), problems); err != nil {
				return err
			}
			if problems != nil {
				return &exit{status: 1, err: errors.New(count(len(problems), "problem"))}
			}
			if output == "text" {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", dir, count(len(documents), "definition"))
			}
			return nil
		},
	}
	dirFlag(cmd, &dir)
	outputFlag(cmd, &output, "text, json, github (annotations) or sarif")
	return cmd
}

// outputFlag adds the option that chooses the form of the output.
func outputFlag(cmd *cobra.Command, output *string, forms string) {
	cmd.Flags().StringVarP(output, "output", "o", "text", "`form` of the output: "+forms)
}

// problemWriters write a list of problems in the form that has the name.
var problemWriters = map[string]func(io.Writer, []reconcile.Problem) error{
	"text":   writeProblems,
	"json":   writeProblemsJSON,
	"github": writeAnnotations,
	"sarif":  writeSARIF,
}
