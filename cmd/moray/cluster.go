package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/cluster"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/server"
)

func clusterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "The PostgreSQL cluster of a server",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(clusterStatusCommand())
	return cmd
}

func clusterStatusCommand() *cobra.Command {
	var db database
	var asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "status [-f config.json | --url URL]",
		Short: "Which server is the primary, and whether it takes writes",
		Long: `Look up which server is the primary, where a moray server with this configuration would: in ZooKeeper, or by asking the
servers. Then connect to it and see whether it takes writes. A server that is running shows the same as object "cluster" of its
kang snapshot, in its metrics (moray_cluster_...), and, if something is missing, in /readyz.

The exit status is 0 if there is a primary that takes writes, else 1.`,
		Example: "  moray cluster status -f /etc/moray/config.json\n  moray cluster status -f config.json --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := lookUp(cmd.Context(), &db, timeout)
			if err != nil {
				return err
			}
			if asJSON {
				err = r.printJSON(cmd.OutOrStdout())
			} else {
				err = r.print(cmd.OutOrStdout(), time.Now())
			}
			if err == nil && r.Error != "" {
				err = errors.New(r.Error)
			}
			return err
		},
	}
	db.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long to wait for an answer")
	return cmd
}

// clusterReport is what moray cluster status prints.
type clusterReport struct {
	cluster.Status
	Writable bool   `json:"writable"`
	Timeline uint64 `json:"timeline"` // of the primary; 0 if it does not tell
	Error    string `json:"error"`    // why there is no primary that takes writes; "" if there is one
}

// lookUp finds the primary and asks it.
func lookUp(ctx context.Context, db *database, timeout time.Duration) (*clusterReport, error) {
	target, err := db.target()
	if err != nil {
		return nil, err
	}
	found, err := server.NewDatabase(target.Config, pgstore.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	watch, stop := context.WithCancel(ctx)
	err = found.Resolver.Watch(watch, func(cluster.Topology) { stop() })
	stop()
	if err != nil {
		return nil, err
	}
	r := &clusterReport{Status: found.Resolver.Status()}
	switch {
	case r.Primary == "" && r.Problem != "":
		r.Error = "no primary is known: " + r.Problem
		return r, nil
	case r.Primary == "":
		r.Error = fmt.Sprintf("no primary is known: no answer from %s within %v", r.Source, timeout)
		return r, nil
	}
	r.Writable, r.Timeline, err = found.Probe(ctx, r.Primary)
	switch {
	case err != nil:
		r.Error = err.Error()
	case !r.Writable:
		r.Error = "the primary takes no writes"
	}
	return r, nil
}

func (r *clusterReport) printJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (r *clusterReport) print(w io.Writer, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) { fmt.Fprintf(table, "%s\t%s\n", name, value) }
	line("source", r.Source)
	if r.Connected != "" {
		line("answered by", r.Connected)
	}
	if r.Primary != "" {
		line("primary", r.Primary)
		line("generation", fmt.Sprint(r.Generation))
		line("since", fmt.Sprintf("%s (%v ago)", r.Since.UTC().Format(time.RFC3339), now.Sub(r.Since).Round(time.Second)))
		if r.Kind != "static" {
			line("synchronous standby", orNone(r.Standby))
		}
		line("takes writes", yesNo(r.Writable))
	}
	if r.Timeline > 0 {
		line("timeline", fmt.Sprint(r.Timeline))
	}
	if r.Frozen {
		line("frozen", "yes: an operator has told the cluster not to change anything")
	}
	if r.Problem != "" {
		line("problem", r.Problem)
	}
	return table.Flush()
}

func orNone(text string) string {
	if text == "" {
		return "none: what is acknowledged is on one machine only"
	}
	return text
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
