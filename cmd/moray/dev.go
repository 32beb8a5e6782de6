package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/bunyan"
	"github.com/kaizengarden/moray/core/config"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/localpg"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/server"
)

// fallbackDir is where root keeps the data if the database's user cannot reach the place that was asked for.
const fallbackDir = "/var/lib/moray"

// dev are the settings of moray dev.
type dev struct {
	dataDir     string
	port        int
	monitorPort int
	buckets     string
	verbose     int
	plugins     map[string]string // programs by name
	stdout      io.Writer
	stderr      io.Writer
}

func devCommand() *cobra.Command {
	d := dev{}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a server with a PostgreSQL of its own",
		Long: `Run a server on 127.0.0.1 with a private PostgreSQL, which is created in the data directory, started, and stopped
with the server. Nothing needs to be configured. The data is there at the next start.

PostgreSQL's programs are found in $MORAY_PG_BIN, $PATH or Debian's directories; as root, Debian's package is installed
if they are missing.`,
		Example: "  moray dev\n  moray dev --data-dir /tmp/try --port 2021 --monitor-port 3021",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.stdout, d.stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return d.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&d.dataDir, "data-dir", ".moray", "`directory` of the database, created if it is missing")
	flags.IntVar(&d.port, "port", 2020, "RPC `port`; 0 lets the system choose")
	flags.IntVar(&d.monitorPort, "monitor-port", 3020, "monitor `port`; 0 for none")
	flags.StringToStringVar(&d.plugins, "plugin", nil, "run a plugin with hooks: `NAME=PROGRAM`; may be repeated")
	flags.StringVar(&d.buckets, "buckets", "buckets.d", "`directory` of definitions to apply, at the start and when they change, if it is there")
	flags.CountVarP(&d.verbose, "verbose", "v", "log more; may be repeated")
	return cmd
}

func (d *dev) run(ctx context.Context) error {
	spareGC()
	log := slog.New(bunyan.NewText(d.stderr, bunyan.Options{Name: "moray", Level: bunyan.More(slog.LevelWarn, d.verbose)}))
	if err := portsFree(ctx, d.port, d.monitorPort); err != nil {
		return err
	}
	err := localpg.Run(ctx, localpg.Config{
		DataDir:  d.dataDir,
		Fallback: fallbackDir,
		Install:  true,
		Progress: func(line string) { fmt.Fprintln(d.stderr, "moray: "+line) },
	}, func(ctx context.Context, pg *localpg.Server) error { return d.serve(ctx, pg, log) })
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // interrupted while it started
	}
	return err
}

// portsFree looks whether the ports can be opened before anything that takes time is done.
func portsFree(ctx context.Context, ports ...int) error {
	var lc net.ListenConfig
	for _, port := range ports {
		if port == 0 {
			continue
		}
		ln, err := lc.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return fmt.Errorf("open port %d: %w", port, err)
		}
		if err := ln.Close(); err != nil {
			return fmt.Errorf("close port %d: %w", port, err)
		}
	}
	return nil
}

// serve runs the server over the database that was started.
func (d *dev) serve(ctx context.Context, pg *localpg.Server, log *slog.Logger) error {
	if err := pgstore.Init(ctx, pgstore.Bootstrap{URL: pg.DSN(localpg.Superuser, "postgres")}); err != nil {
		return fmt.Errorf("prepare the database: %w", err)
	}
	c, _, err := config.Parse("moray dev", d.config(pg))
	if err != nil {
		return err
	}
	var sample sync.WaitGroup
	s, err := server.New(c, server.Options{Log: log, Version: version(), Hooks: newHooks(c.Plugins, d.withPlugins), Ready: func(a server.Addresses) {
		sample.Go(func() {
			if example() != "" {
				if err := makeSample(ctx, a.RPC.String()); err != nil && ctx.Err() == nil {
					log.Warn("the sample bucket cannot be made", "err", err)
				}
			}
			d.welcome(a, pg)
		})
	}})
	if err != nil {
		return err
	}
	defer onSignals(map[os.Signal]func(){syscall.SIGHUP: s.Reload})()
	err = s.Run(ctx)
	sample.Wait()
	if err != nil {
		return err
	}
	fmt.Fprintln(d.stdout, "moray has stopped; the data is kept in "+pg.DataDir())
	return nil
}

// config is the configuration file of a server that nobody configured.
func (d *dev) config(pg *localpg.Server) []byte {
	text := fmt.Appendf(nil, `{"bindip":"127.0.0.1","port":%d,"monitorPort":%d,"bunyan":{},"server_uuid":"dev","datacenter":"dev",`,
		d.port, d.monitorPort)
	if info, err := os.Stat(d.buckets); err == nil && info.IsDir() {
		text = append(jsvalue.AppendString(append(text, `"reconcile":{"directory":`...), d.buckets), "},"...)
	}
	text = append(text, `"standalone":{"pg":{"maxConnections":8},"url":`...)
	text = jsvalue.AppendString(text, pg.DSN("moray", "moray"))
	return append(text, "}}"...)
}

// welcome says what is running and what to type next.
func (d *dev) welcome(a server.Addresses, pg *localpg.Server) {
	var b strings.Builder
	fmt.Fprintf(&b, "moray is listening on %s\n", a.RPC)
	if a.Monitor != nil {
		fmt.Fprintf(&b, "  monitor     http://%s/, and there /metrics, /kang/snapshot, /readyz\n", a.Monitor)
	}
	fmt.Fprintf(&b, "  PostgreSQL  psql '%s'\n", pg.DSN("moray", "moray"))
	fmt.Fprintf(&b, "  data        %s\n", pg.DataDir())
	fmt.Fprintf(&b, "Try it from another terminal:\n")
	fmt.Fprintf(&b, "  export MORAY_URL=tcp://%s\n", a.RPC)
	fmt.Fprintf(&b, "  %s putbucket -i name -i owner -i size:number pets\n", os.Args[0])
	fmt.Fprintf(&b, "  %s putobject -d '{\"name\":\"Rex\",\"owner\":\"ann\",\"size\":3}' pets rex\n", os.Args[0])
	fmt.Fprintf(&b, "  %s findobjects pets '(size>=2)'\n", os.Args[0])
	if example() != "" {
		fmt.Fprintf(&b, "The bucket dogs has hooks, of the plugin cmd/moray-plugin-example: see docs/hooks.md.\n")
	}
	fmt.Fprintf(&b, "Ctrl-C stops it.\n")
	io.WriteString(d.stdout, b.String()) //nolint:errcheck // because nobody reads a terminal that is gone
}

func join(words []string) string { return strings.Join(words, " ") }
