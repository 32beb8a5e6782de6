package main

import (
	"context"
	"os"
	"os/exec"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/reconcile"
)

// planning are the settings of the commands that compare definitions with a database.
type planning struct {
	database
	dir      string
	buckets  []string
	allow    []string
	prune    bool
	rows     int
	revision string
	output   string
	verbose  bool
}

// compareFlags adds the options of all such commands.
func (p *planning) compareFlags(cmd *cobra.Command) {
	dirFlag(cmd, &p.dir)
	p.flags(cmd)
	cmd.Flags().StringSliceVarP(&p.buckets, "bucket", "b", nil, "look only at the bucket of this `name`; may be repeated")
}

// changeFlags adds the options of those that plan changes.
func (p *planning) changeFlags(cmd *cobra.Command) {
	p.compareFlags(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&p.allow, "allow", nil,
		"`consent` to a change: drop-index=BUCKET.INDEX, change-type=BUCKET.INDEX, unique=BUCKET.INDEX, schema=BUCKET, drop-bucket=BUCKET; may be repeated")
	flags.BoolVar(&p.prune, "prune", false, "also what becomes of managed buckets whose documents are gone")
	flags.IntVar(&p.rows, "check-rows", 100000, "look at so many `objects` of a bucket for what does not fit a new definition; 0 for all")
	flags.StringVar(&p.revision, "revision", "", "`revision` of the files to note; without it what the file REVISION says, or Git")
	flags.BoolVarP(&p.verbose, "verbose", "v", false, "show also the statements that concern our own records")
}

// begin connects to the database and makes the planner of a command. stop ends the connection.
func (p *planning) begin(cmd *cobra.Command) (planner *reconcile.Planner, stop func(), err error) {
	target, err := p.target()
	if err != nil {
		return nil, nil, err
	}
	if flag := cmd.Flags().Lookup("dir"); flag != nil && !flag.Changed && target.Reconcile.Directory != "" {
		p.dir = target.Reconcile.Directory
	}
	if planner, err = p.planner(cmd.Context()); err != nil {
		return nil, nil, err
	}
	store, stop, err := target.open(cmd.Context())
	if err != nil {
		return nil, nil, err
	}
	planner.Store, planner.Triggers = store, target.hooks
	return planner, stop, nil
}

func (p *planning) planner(ctx context.Context) (*reconcile.Planner, error) {
	planner := &reconcile.Planner{
		Only: p.buckets, Prune: p.prune, Rows: p.rows, Directory: p.dir, Revision: p.revision, By: whoAmI(),
	}
	for _, text := range p.allow {
		consent, err := reconcile.ParseConsent(text)
		if err != nil {
			return nil, err
		}
		planner.Allow = append(planner.Allow, consent)
	}
	if planner.Revision == "" {
		planner.Revision = revision(ctx, p.dir)
	}
	return planner, nil
}

// style says how plans are printed.
func (p *planning) style(cmd *cobra.Command) reconcile.Style {
	return reconcile.Style{Color: onTerminal(cmd.OutOrStdout()) && os.Getenv("NO_COLOR") == "", Verbose: p.verbose}
}

// onTerminal reports whether what is written to w is seen by somebody at once.
func onTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// revision finds out which revision of the files is in a directory.
func revision(ctx context.Context, dir string) string {
	if noted := reconcile.Revision(dir); noted != "" {
		return noted
	}
	out, err := exec.CommandContext(ctx, "git", "-C", dir, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*").Output()
	if err != nil {
		return "" // no Git, or no working copy
	}
	return strings.TrimSpace(string(out))
}

// whoAmI names who applies definitions.
func whoAmI() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
