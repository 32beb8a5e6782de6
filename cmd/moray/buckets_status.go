package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/reconcile"
)

func bucketsStatusCommand() *cobra.Command {
	p := planning{}
	cmd := &cobra.Command{
		Use:   "status [BUCKET...]",
		Short: "Show who manages buckets, how they differ from what was applied, and how far their indexes are",
		Long: `Show of each bucket of a database which file defines it and at which revision, what a client changed since, and how far new
indexes are: rows, rate, time left, and rows that cannot be reindexed as they are. Nothing is changed.`,
		Example: `  moray buckets status --url postgres://moray@db.example.com/moray
  moray buckets status -f config.json users -o json`,
		RunE: func(cmd *cobra.Command, names []string) error {
			write := stateWriters[p.output]
			if write == nil {
				return fmt.Errorf("unknown output %q: it is text or json", p.output)
			}
			store, stop, err := p.database.open(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			states, err := reconcile.States(cmd.Context(), store, names)
			if err != nil {
				return err
			}
			return write(cmd.OutOrStdout(), states)
		},
	}
	p.flags(cmd)
	outputFlag(cmd, &p.output, "text or json")
	return cmd
}

// stateWriters write states in the form that has the name.
var stateWriters = map[string]func(io.Writer, []*reconcile.State) error{
	"text": writeStates,
	"json": func(w io.Writer, states []*reconcile.State) error {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(states)
	},
}

func writeStates(w io.Writer, states []*reconcile.State) error {
	if len(states) == 0 {
		_, err := fmt.Fprintln(w, "There are no buckets.")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BUCKET\tVERSION\tDEFINED BY\tSTATE")
	for _, s := range states {
		version, source := "-", "-"
		if s.Version != 0 {
			version = strconv.FormatFloat(s.Version, 'f', -1, 64)
		}
		if o := s.Owner; o != nil {
			if source = o.Source; o.Revision != "" {
				source += " at " + o.Revision
			}
			if o.Protect {
				source += ", protected"
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", s.Bucket, version, source, s.Words())
	}
	return table.Flush()
}
