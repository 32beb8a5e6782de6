package main

import (
	"bytes"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/reconcile"
)

func bucketsPlanCommand() *cobra.Command {
	p := planning{}
	var keep string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what would have to be done to bring buckets in line with their definitions",
		Long: `Compare the definitions with the buckets of a database, and show what apply would do: each statement, the lock that it
takes, and the rows that it works through. Nothing is changed, and nobody has to wait.

Changes are grouped: create, additive (at once, whatever the size of the bucket), online (builds something over the rows
while clients read and write), needs reindex (filters can use the index when all rows are reindexed), destructive
(something is lost, or may not succeed: somebody has to allow it by name), refused.

Exit status: 0 there is nothing to do; 2 there are changes; 3 a change is refused or has to be allowed; 1 an error.`,
		Example: `  moray buckets plan --url postgres://moray@db.example.com/moray
  moray buckets plan -f config.json --out plan.json && moray buckets apply -f config.json plan.json
  moray buckets plan -o markdown > comment.md`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, err := p.plan(cmd)
			if err != nil {
				return err
			}
			if err := p.print(cmd, plan); err != nil {
				return err
			}
			if keep != "" {
				var text bytes.Buffer
				if err := plan.JSON(&text); err != nil {
					return err
				}
				if err := replaceFile(keep, text.Bytes()); err != nil {
					return fmt.Errorf("keep the plan: %w", err)
				}
			}
			return verdict(plan)
		},
	}
	p.changeFlags(cmd)
	outputFlag(cmd, &p.output, "text, json or markdown")
	cmd.Flags().StringVar(&keep, "out", "", "keep the plan in a `file`, for apply")
	return cmd
}

// plan makes the plan that the options ask for.
func (p *planning) plan(cmd *cobra.Command) (*reconcile.Plan, error) {
	if planWriters[p.output] == nil {
		return nil, fmt.Errorf("unknown output %q: it is text, json or markdown", p.output)
	}
	planner, stop, err := p.begin(cmd)
	if err != nil {
		return nil, err
	}
	defer stop()
	documents, err := reconcile.ReadDir(p.dir)
	if err != nil {
		return nil, err
	}
	return planner.Make(cmd.Context(), documents)
}

// planWriters write a plan in the form that has the name.
var planWriters = map[string]func(*reconcile.Plan, io.Writer, reconcile.Style) error{
	"text":     (*reconcile.Plan).Print,
	"json":     func(p *reconcile.Plan, w io.Writer, _ reconcile.Style) error { return p.JSON(w) },
	"markdown": func(p *reconcile.Plan, w io.Writer, _ reconcile.Style) error { return p.Markdown(w) },
}

func (p *planning) print(cmd *cobra.Command, plan *reconcile.Plan) error {
	return planWriters[p.output](plan, cmd.OutOrStdout(), p.style(cmd))
}

// verdict is the end of a command that shows a plan.
func verdict(plan *reconcile.Plan) error {
	switch plan.Verdict() {
	case reconcile.Pending:
		return &exit{status: exitChanges}
	case reconcile.Forbidden:
		return &exit{status: exitRefused}
	}
	return nil
}
