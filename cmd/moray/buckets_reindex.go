package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/reconcile"
)

// reindexing are the settings of moray buckets reindex.
type reindexing struct {
	database
	pace bucket.Pace
}

func bucketsReindexCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reindex",
		Short: "Fill new indexes for the rows that are there, or tell servers when to",
		Long: `An index that is new can be used by filters when it is filled for all rows that are there. Servers do that for buckets whose
definitions have "reindex"; for others clients do, with reindexObjects. Either may be helped, and servers may be told to wait.

"moray buckets status" tells how far it is.`,
		Example: `  moray buckets reindex run -f config.json users
  moray buckets reindex pause -f config.json users`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(reindexRunCommand(), reindexPauseCommand("pause", "Make servers leave buckets alone", true),
		reindexPauseCommand("resume", "Let servers go on with buckets", false))
	return cmd
}

func reindexRunCommand() *cobra.Command {
	r := reindexing{}
	cmd := &cobra.Command{
		Use:   "run [BUCKET...]",
		Short: "Reindex buckets now, until their indexes can be used",
		Long: `Reindex buckets, or all that wait for it, until their indexes can be used. Servers and clients that do the same share the work.
To interrupt it loses nothing: it goes on where it was. It does not heed what servers have to: the pace of the definition, and
whether it is paused.

Exit status: 0 done, or nothing to do; 1 an error, or rows are left that cannot be reindexed as they are.`,
		Example: `  moray buckets reindex run --url postgres://moray@db.example.com/moray --rate 5000`,
		RunE: func(cmd *cobra.Command, names []string) error {
			store, stop, err := r.open(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			return r.run(cmd, store, names)
		},
	}
	r.flags(cmd)
	flags := cmd.Flags()
	flags.IntVar(&r.pace.Rate, "rate", 0, "reindex so many `rows` a second at most; 0 for as many as possible")
	flags.IntVar(&r.pace.Batch, "batch", 500, "`rows` in a transaction, from 1 to 10000")
	return cmd
}

func (r *reindexing) run(cmd *cobra.Command, store *pgstore.Store, names []string) error {
	if r.pace.Rate < 0 || r.pace.Batch < 1 || r.pace.Batch > 10000 {
		return errors.New("--rate is 0 or more, and --batch from 1 to 10000")
	}
	if _, err := reconcile.States(cmd.Context(), store, names); err != nil { // there are such buckets
		return err
	}
	if len(names) == 0 {
		jobs, err := store.ReindexJobs(cmd.Context())
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if j.Pending {
				names = append(names, j.Bucket)
			}
		}
	}
	if len(names) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "Nothing to reindex.")
	}
	worker := &reconcile.Reindexer{Store: store, Cache: &bucket.Cache{}, By: whoAmI(), Log: discard}
	var failed error
	for _, name := range names {
		failed = errors.Join(failed, finishReindexing(cmd, worker, name, r.pace, true))
	}
	return failed
}

// finishReindexing reindexes a bucket and says so.
func finishReindexing(cmd *cobra.Command, r *reconcile.Reindexer, name string, pace bucket.Pace, hurry bool) error {
	progress := newProgress(cmd.ErrOrStderr())
	begin := time.Now()
	job, err := r.Finish(cmd.Context(), name, pace, hurry, func(p bucket.Progress) { progress.show(name, p) })
	progress.clear()
	switch {
	case errors.Is(err, reconcile.ErrUnfit):
		return fmt.Errorf("%w:\n  %s", err, strings.Join(job.Examples, "\n  "))
	case err != nil:
		return fmt.Errorf("reindex %s: %w", name, err)
	case job == nil:
		fmt.Fprintf(cmd.OutOrStdout(), "%s: nothing to reindex\n", name)
		return nil
	}
	took := time.Since(begin)
	fmt.Fprintf(cmd.OutOrStdout(), "%s: reindexed, %d rows (%s)\n", name, job.Done, took.Round(time.Millisecond))
	return nil
}

func reindexPauseCommand(use, short string, paused bool) *cobra.Command {
	d := database{}
	cmd := &cobra.Command{
		Use:     use + " BUCKET...",
		Short:   short,
		Long:    short + ", as far as reindexing goes. Clients are not concerned, and neither is moray buckets reindex run.",
		Example: "  moray buckets reindex " + use + " -f config.json users",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			store, stop, err := d.open(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			return pauseReindexing(cmd.Context(), store, names, paused)
		},
	}
	d.flags(cmd)
	return cmd
}

func pauseReindexing(ctx context.Context, store *pgstore.Store, names []string, paused bool) error {
	if _, err := reconcile.States(ctx, store, names); err != nil { // there are such buckets
		return err
	}
	for _, name := range names {
		if err := store.PauseReindexing(ctx, name, paused); err != nil {
			return fmt.Errorf("bucket %s: %w", name, err)
		}
	}
	return nil
}
