package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/reconcile"
)

// applying is one moray buckets apply.
type applying struct {
	planning
	wait       time.Duration
	maxChanges int
	reindex    bool
	stdout     io.Writer
	progress   *progress
}

func bucketsApplyCommand() *cobra.Command {
	a := applying{}
	cmd := &cobra.Command{
		Use:   "apply [plan.json]",
		Short: "Bring buckets in line with their definitions",
		Long: `Bring the buckets of a database in line with their definitions, or carry out a plan that plan --out kept. The plan is made
anew when nobody else applies definitions; one that was kept is carried out only if it would be the same now.

If a change is refused, or has to be allowed and is not, nothing is done. Clients go on while indexes are built over rows. An
apply that was interrupted, at any point, leaves buckets that work; the next one does the rest.

Exit status: 0 done, or nothing to do; 3 a change is refused or has to be allowed; 4 somebody else applies definitions and did
not end in time; 1 an error.`,
		Example: `  moray buckets apply --url postgres://moray@db.example.com/moray
  moray buckets apply -f config.json --allow drop-index=users.email
  moray buckets apply -f config.json plan.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.stdout, a.progress = cmd.OutOrStdout(), newProgress(cmd.ErrOrStderr())
			planner, stop, err := a.begin(cmd)
			if err != nil {
				return err
			}
			defer stop()
			documents, saved, err := a.read(args)
			if err != nil {
				return err
			}
			result, err := a.applier(cmd, planner, saved).Apply(cmd.Context(), documents, saved)
			a.progress.clear()
			if err := a.conclude(result, err); err != nil || !a.reindex {
				return err
			}
			return a.finishReindexing(cmd, planner.Store.(reconcile.ReindexStore))
		},
	}
	a.changeFlags(cmd)
	flags := cmd.Flags()
	flags.DurationVar(&a.wait, "lock-timeout", time.Minute, "wait so `long` for others who apply definitions")
	flags.IntVar(&a.maxChanges, "max-changes", 0, "do nothing if more `buckets` than these would change; 0 for any number")
	flags.BoolVar(&a.reindex, "wait-reindex", false, "wait until new indexes can be used that servers fill, and help them")
	return cmd
}

// finishReindexing reindexes what is for servers to reindex, at the pace of the definitions.
func (a *applying) finishReindexing(cmd *cobra.Command, store reconcile.ReindexStore) error {
	jobs, err := store.ReindexJobs(cmd.Context())
	if err != nil {
		return err
	}
	worker := &reconcile.Reindexer{Store: store, Cache: &bucket.Cache{}, By: whoAmI(), Log: discard}
	var failed error
	for _, j := range jobs {
		if j.Pending && j.Pace != nil && (len(a.buckets) == 0 || slices.Contains(a.buckets, j.Bucket)) {
			failed = errors.Join(failed, finishReindexing(cmd, worker, j.Bucket, *j.Pace, false))
		}
	}
	return failed
}

// read returns the documents to apply, and the plan that they are from, if it is one that was kept.
func (a *applying) read(args []string) ([]*reconcile.Document, *reconcile.Plan, error) {
	if len(args) == 0 {
		documents, err := reconcile.ReadDir(a.dir)
		return documents, nil, err
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return nil, nil, err
	}
	saved, documents, err := reconcile.LoadPlan(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", args[0], err)
	}
	return documents, saved, nil
}

func (a *applying) applier(cmd *cobra.Command, planner *reconcile.Planner, saved *reconcile.Plan) *reconcile.Applier {
	if saved != nil { // what is to be done was decided when it was made
		planner.Directory, planner.Revision = saved.Directory, saved.Revision
		planner.Only, planner.Prune = saved.Only, saved.Prune
		planner.Allow = append(planner.Allow, saved.Allow...)
	}
	return &reconcile.Applier{
		Planner: planner, Wait: a.wait, MaxChanges: a.maxChanges,
		Planned: func(plan *reconcile.Plan) {
			plan.Print(a.stdout, a.style(cmd)) //nolint:errcheck // because what is to be done does not depend on who sees it
			if len(plan.Changes) > 0 {
				fmt.Fprintln(a.stdout)
			}
		},
		Applied: func(c *reconcile.Change, took time.Duration) {
			a.progress.clear()
			fmt.Fprintf(a.stdout, "done: %s (%s)\n", c.Bucket, took.Round(time.Millisecond))
		},
		Progress: a.progress.show,
	}
}

// conclude says how it ended.
func (a *applying) conclude(result *reconcile.Result, err error) error {
	var partial *reconcile.PartialError
	switch {
	case errors.Is(err, bucket.ErrBusy):
		return &exit{status: exitBusy, err: fmt.Errorf("somebody else applies definitions, and did not end within %s", a.wait)}
	case errors.Is(err, reconcile.ErrForbidden):
		return &exit{status: exitRefused, err: err}
	case errors.As(err, &partial) && len(partial.Applied) > 0:
		return fmt.Errorf("%w; apply again to do the rest", err)
	case err != nil:
		return err
	}
	if len(result.Adopted) > 0 {
		fmt.Fprintf(a.stdout, "managed from now on: %s\n", strings.Join(result.Adopted, ", "))
	}
	return nil
}
