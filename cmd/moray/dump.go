package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/cmd/moray/bulk"
	"github.com/kaizengarden/moray/cmd/moray/tools"
	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/client"
)

// bulkFlags are the options that dump and load have in common.
type bulkFlags struct {
	place    tools.Place
	rate     int
	patience time.Duration
	progress *progress
}

func (f *bulkFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.place.Host, "host", "", "`host` of the server; without it what MORAY_SERVICE or MORAY_URL says, or 127.0.0.1")
	flags.StringVar(&f.place.Port, "port", "", "`port` of the server; without it what MORAY_URL says, or 2020")
	flags.StringVar(&f.place.Service, "service", "", "`name` under which the servers are found, instead of host and port")
	flags.IntVar(&f.rate, "rate", 0, "`objects` a second at most; 0 for no limit")
	flags.DurationVar(&f.patience, "patience", time.Minute, "wait so `long` for a server that is lost on the way")
}

// connect returns a client of a server that answers.
func (f *bulkFlags) connect(cmd *cobra.Command, connections int) (*client.Client, error) {
	f.progress = newProgress(cmd.ErrOrStderr())
	c, err := f.place.Client(cmd.Context(), connections)
	if err != nil {
		return nil, err
	}
	if err := c.Ping(cmd.Context(), nil); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// reports tells how far it is: on a terminal all the time, else when it takes long.
func (f *bulkFlags) reports(cmd *cobra.Command) bulk.Reports {
	last := time.Now()
	return bulk.Reports{
		Progress: func(name string, at bucket.Progress) {
			if now := time.Now(); f.progress.terminal || now.Sub(last) >= linePeriod {
				f.progress.show(name, at)
				last = now
			}
		},
		Notice: func(text string) {
			f.progress.clear()
			fmt.Fprintf(cmd.ErrOrStderr(), "moray: %s\n", text)
		},
	}
}

// dumping are the options of moray dump.
type dumping struct {
	bulkFlags
	all, resume bool
	output      string
	members     []string
	page        int
}

func dumpCommand() *cobra.Command {
	d := dumping{}
	cmd := &cobra.Command{
		Use:   "dump {BUCKET... | --all}",
		Short: "Write buckets to a file",
		Long: `Write buckets to a file, or to the output, for moray load: a line with the definition of each, then a line for each object, in
the order of their ids, then a line with their number.

Each bucket is read by one statement and so from one moment. Options that split it, --page and --rate, and connections that were
lost, make a bucket one of several moments. A dump to a file that was interrupted is resumed by the same command with --resume.`,
		Example: `  moray dump vmapi_vms -o vms.ndjson.gz
  moray dump --all --host moray.example.com -o everything.ndjson
  moray dump --all --host moray.example.com -o everything.ndjson --resume`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if d.all != (len(names) == 0) {
				return errors.New("name the buckets, or say --all")
			}
			return d.run(cmd, names)
		},
	}
	d.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&d.all, "all", false, "all buckets")
	flags.StringVarP(&d.output, "output", "o", "", "`file` to write, compressed if its name ends in .gz; it must not be there")
	flags.BoolVar(&d.resume, "resume", false, "go on with a file where an interrupted dump has ended")
	flags.StringSliceVar(&d.members, "members", []string{"_etag", "_id", "_mtime"}, "optional `members` of the objects' lines; without _id a dump cannot be resumed")
	flags.IntVar(&d.page, "page", 0, "read so many `objects` with one statement, which ends long transactions; 0 for all")
	return cmd
}

func (d *dumping) run(cmd *cobra.Command, names []string) error {
	dump := &bulk.Dump{Rate: d.rate, Page: d.page, Patience: d.patience, Reports: bulk.Reports{}}
	for _, m := range d.members {
		switch m {
		case "_etag":
			dump.Members.Etag = true
		case "_id":
			dump.Members.ID = true
		case "_mtime":
			dump.Members.Mtime = true
		default:
			return fmt.Errorf("--members: %q is none of _etag, _id, _mtime", m)
		}
	}
	if d.rate > 0 && d.page == 0 {
		dump.Page = 10 * d.rate // a statement should not wait for minutes
	}
	var err error
	if dump.Client, err = d.connect(cmd, 2); err != nil {
		return err
	}
	defer dump.Client.Close()
	if dump.Stream, err = d.connect(cmd, 1); err != nil {
		return err
	}
	defer dump.Stream.Close()
	dump.Reports, dump.Count = d.reports(cmd), d.progress.terminal
	from, err := d.open(cmd, dump)
	if err != nil {
		return err
	}
	if d.all {
		names = nil
	}
	begin := time.Now()
	result, err := dump.Run(cmd.Context(), names, from)
	if closed := dump.Out.Close(); err == nil {
		err = closed
	}
	d.progress.clear()
	if err != nil && d.output != "" {
		return fmt.Errorf("%w; the same command with --resume goes on", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "dumped %s with %s in %s\n", count(result.Buckets, "bucket"), count(int(result.Objects), "object"),
		time.Since(begin).Round(10*time.Millisecond))
	if result.Failed > 0 {
		return fmt.Errorf("%s left out: the stored values are not JSON", count(int(result.Failed), "object"))
	}
	return nil
}

// open opens what the dump is written to.
func (d *dumping) open(cmd *cobra.Command, dump *bulk.Dump) (from *bulk.Position, err error) {
	switch {
	case d.resume && (d.output == "" || !dump.Members.ID):
		return nil, errors.New("--resume needs -o with the file of the dump, and the member _id")
	case d.resume:
		if _, err := os.Stat(d.output); err == nil {
			dump.Out, from, err = bulk.ResumeOutput(d.output)
			return from, err
		}
		fallthrough // it did not come as far as a file
	case d.output != "":
		dump.Out, err = bulk.CreateOutput(d.output)
		return nil, err
	}
	dump.Out = bulk.NewOutput(cmd.OutOrStdout())
	return nil, nil
}
