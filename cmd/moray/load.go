package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/cmd/moray/bulk"
)

// loading are the options of moray load.
type loading struct {
	bulkFlags
	bulk.Load
}

func loadCommand() *cobra.Command {
	l := loading{}
	cmd := &cobra.Command{
		Use:   "load FILE",
		Short: "Store the buckets of a file that moray dump wrote",
		Long: `Store the buckets of a file that moray dump wrote, or of the input if the file is -. Buckets that are missing are made; one that
is there must have the same definition. Objects are put as clients put them, so indexes are filled and hooks run; they replace those
with the same keys.

Etags are kept. Ids and times of change are the server's: they are not.

A load that was interrupted is resumed by the same command with --resume. How far it was is kept in FILE.load.`,
		Example: `  moray load vms.ndjson.gz
  moray load everything.ndjson --host moray.example.com --rate 2000
  moray load everything.ndjson --host moray.example.com --rate 2000 --resume`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return l.run(cmd, args[0]) },
	}
	l.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&l.Resume, "resume", false, "go on where an interrupted load of the file has ended")
	flags.StringVar(&l.State, "state", "", "`file` that keeps how far the load is; FILE.load if nothing else is said")
	flags.IntVar(&l.Concurrency, "concurrency", 256, "`objects` under way at once")
	flags.BoolVar(&l.KeepExisting, "keep-existing", false, "leave objects as they are whose keys are there")
	flags.BoolVar(&l.KeepDefinition, "keep-definition", false, "leave buckets as they are that are there with another definition")
	flags.BoolVar(&l.NewEtags, "new-etags", false, "give all objects the checksum of their value as their etag")
	flags.BoolVar(&l.SkipErrors, "skip-errors", false, "go on after lines that cannot be stored")
	return cmd
}

func (l *loading) run(cmd *cobra.Command, name string) (err error) {
	if l.Concurrency < 1 {
		return errors.New("--concurrency should be more than 0")
	}
	if name == "-" {
		l.In = bulk.NewInput(cmd.InOrStdin())
	} else if l.In, err = bulk.OpenInput(name); err != nil {
		return err
	}
	defer l.In.Close()
	if l.Client, err = l.connect(cmd, 4); err != nil {
		return err
	}
	defer l.Client.Close()
	l.Load.Rate, l.Load.Patience, l.Reports = l.rate, l.patience, l.reports(cmd)
	begin := time.Now()
	result, err := l.Run(cmd.Context())
	l.progress.clear()
	if result == nil {
		return err
	}
	parts := []string{count(int(result.Objects-result.Existing-result.Failed), "object") + " stored"}
	for _, p := range []struct {
		n    int64
		text string
	}{
		{result.Existing, "there already"},
		{result.Etags, "with an etag that is no checksum"},
		{result.Changed, "changed by hooks"},
		{result.Failed, "failed"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.text))
		}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s in %s\n", strings.Join(parts, ", "), time.Since(begin).Round(10*time.Millisecond))
	switch {
	case err != nil && result.Resumable:
		return fmt.Errorf("%s: %w; the same command with --resume goes on", name, err)
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case result.Failed > 0:
		return fmt.Errorf("%s: %s could not be loaded", name, count(int(result.Failed), "line"))
	}
	return nil
}
