// Command bench measures a moray server against the PostgreSQL under it, on one machine and in one run.
//
// It makes a throw-away PostgreSQL, runs the real server as a process of its own, and takes turns: pgbench runs the statements
// that the server sends (the anchors), then the server answers the requests that lead to them. Absolute figures depend on the
// minute; the ratios of what was measured in the same round are the facts. CPU time an operation comes from /proc and is
// kept apart for server, PostgreSQL and client.
//
//	bench -out bin/bench.json         measure; the figures as JSON lines, beside them bin/bench.txt for benchstat
//	bench -compare old.json new.json  compare two runs
//	bench -growth -out bin/growth.svg how the cost grows with objects and buckets, bulk operations, footprint
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what the command line asks for.
type options struct {
	quick   bool
	compare bool
	growth  bool
	alarm   bool
	only    *regexp.Regexp // of the names of measurements; nil for all
	rounds  int
	window  time.Duration // of one measurement
	buckets int           // the most of growth
	out     string
	args    []string
	bed     bedConfig
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.quick, "quick", false, "one short round: get, put and find with 1 and 64 requests in flight")
	flags.BoolVar(&o.compare, "compare", false, "compare the two files that are named, instead of measuring")
	flags.BoolVar(&o.growth, "growth", false, "measure growth, bulk operations and footprint; -rows is the largest bucket, -out takes the plot")
	flags.IntVar(&o.buckets, "buckets", 1000, "with -growth: the highest number of buckets")
	flags.BoolVar(&o.alarm, "alarm", false, "fail if a ratio is far below its floor")
	only := flags.String("only", "", "measure only what this `pattern` matches, and its anchors")
	flags.IntVar(&o.rounds, "rounds", 0, "how often everything is measured; 3, quick 1")
	flags.DurationVar(&o.window, "window", 0, "how long one measurement takes; 2s, quick 1s")
	flags.StringVar(&o.out, "out", "", "`file` for the figures as JSON lines; with .txt for .json also in Go's benchmark format")
	flags.StringVar(&o.bed.dir, "dir", os.TempDir(), "where the throw-away database lives; its disk decides about synchronous commits")
	flags.StringVar(&o.bed.program, "server", "", "the moray `program` to measure; built from ./cmd/moray if not given")
	flags.IntVar(&o.bed.connections, "pool", 8, "the server's connections to PostgreSQL")
	flags.IntVar(&o.bed.rows, "rows", 200_000, "objects of 500 bytes in the database; quick 50000")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	o.args = flags.Args()
	if *only != "" {
		var err error
		if o.only, err = regexp.Compile(*only); err != nil {
			return nil, fmt.Errorf("-only: %w", err)
		}
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	rounds, window := 3, 2*time.Second
	if o.quick {
		rounds, window = 1, time.Second
		if !given["rows"] {
			o.bed.rows = 50_000
		}
	}
	if o.growth && !given["rows"] {
		o.bed.rows = 10_000_000
	}
	if !given["rounds"] {
		o.rounds = rounds
	}
	if !given["window"] {
		o.window = window
	}
	switch {
	case o.compare && len(o.args) != 2:
		return nil, errors.New("-compare takes two files: old new")
	case !o.compare && len(o.args) > 0:
		return nil, fmt.Errorf("unexpected argument %q", o.args[0])
	case o.rounds < 1 || o.window <= 0 || o.bed.connections < 1 || o.bed.rows < 1000:
		return nil, errors.New("rounds, window and pool must be positive, rows at least 1000")
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.compare {
		old, err := readRecords(o.args[0])
		if err != nil {
			return err
		}
		recent, err := readRecords(o.args[1])
		if err != nil {
			return err
		}
		return writeComparison(stdout, old, recent)
	}
	if o.growth {
		return growth(ctx, o, stdout, stderr)
	}
	steps := selectSteps(plan(o.quick), o.only)
	if len(steps) == 0 {
		return fmt.Errorf("-only: nothing that is measured matches %q", o.only)
	}
	records, err := measureAll(ctx, o, steps, stderr)
	if err != nil {
		return err
	}
	if err := writeTable(stdout, records, steps); err != nil {
		return err
	}
	if err := writeGoals(stdout, records); err != nil || !o.alarm {
		return err
	}
	return alarm(records)
}

// measureAll carries out the steps, all of them in each round, and keeps what it measures as it goes.
func measureAll(ctx context.Context, o *options, steps []step, progress io.Writer) (all []record, err error) {
	sink, err := openSink(o.out)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sink.close()) }()
	err = withBed(ctx, o.bed, progress, func(ctx context.Context, b *bed) error {
		if b.bouncer == nil {
			fmt.Fprintln(progress, "PgBouncer is not installed: it is left out")
			steps = slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return s.proxied })
		}
		for round := range o.rounds {
			if err := b.tidy(ctx); err != nil {
				return err
			}
			for i, s := range steps {
				fmt.Fprintf(progress, "round %d of %d, %d of %d: %-24s", round+1, o.rounds, i+1, len(steps), s.name)
				r, err := b.measure(ctx, s, o.window)
				if err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				r.Round = round + 1
				fmt.Fprintf(progress, "%9.0f/s, others %2.0f %%\n", r.Rate, r.Others)
				all = append(all, r)
				if err := sink.add(r); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return all, err
}
