package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/bunyan"
	"github.com/kaizengarden/moray/core/config"
	"github.com/kaizengarden/moray/core/server"
)

func serveCommand() *cobra.Command {
	var file, port, monitorPort string
	var verbose int
	var profiles bool
	cmd := &cobra.Command{
		Use:   "serve -f config.json [-p port] [-k port] [-v]",
		Short: "Run a server as configured",
		Long: `Run a server as its configuration file says. The file is JSON, in the form of the original Moray, or the same
in YAML. Variables of the environment count instead of what it says: MORAY_CONFIG__FAST__MAXINFLIGHT=100 sets fast.maxInFlight.

The log goes to stderr, one JSON record a line, or to syslog. SIGTERM and SIGINT let the requests in flight finish and
then end the server; a second one ends it at once. SIGHUP makes it read the configuration again, and the
definitions of buckets; what needs a restart is named in the log. SIGUSR1 makes it log more, SIGUSR2 less. The word "serve"
may be left out.`,
		Example: "  moray serve -f /etc/moray/config.json -p 2021 -k 3021",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("Positional arguments found when none were expected: %s", join(args)) //nolint:staticcheck // because the text is the original's
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return errors.New("No config file specified: name it with -f") //nolint:staticcheck // because the text is the original's
			}
			overrides := []config.Override{config.WithVerbose(verbose)}
			for text, with := range map[*string]func(int) config.Override{&port: config.WithPort, &monitorPort: config.WithMonitorPort} {
				if *text == "" {
					continue
				}
				n, err := config.ParsePort(*text)
				if err != nil {
					return err
				}
				overrides = append(overrides, with(n))
			}
			return serve(cmd.Context(), file, overrides, profiles, cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&file, "file", "f", "", "configuration `file` (JSON or YAML)")
	flags.StringVarP(&port, "port", "p", "", "RPC `port`, instead of the file's")
	flags.StringVarP(&monitorPort, "monitor-port", "k", "", "monitor `port`, instead of the file's")
	flags.BoolVar(&profiles, "pprof", false, "serve profiles of the process at /debug/pprof/ of the monitor port")
	flags.CountVarP(&verbose, "verbose", "v", "log more; may be repeated")
	return cmd
}

func serve(ctx context.Context, file string, overrides []config.Override, profiles bool, stderr io.Writer) error {
	spareGC()
	c, warnings, err := config.Load(file, overrides...)
	if err != nil {
		return err
	}
	var level bunyan.Level
	logger, stopLog, err := newLog(ctx, c.Log, &level, stderr)
	if err != nil {
		return err
	}
	defer stopLog()
	for _, w := range warnings {
		logger.Warn(w)
	}
	s, err := server.New(c, server.Options{
		Log: logger, LogLevel: &level, Version: version(), Hooks: newHooks(c.Plugins, nil), Profiles: profiles,
		Ready: func(server.Addresses) { notify(logger, "READY=1") },
	})
	if err != nil {
		return err
	}
	r := &reloader{file: file, overrides: overrides, running: c, current: c, level: &level, log: logger, server: s}
	defer onSignals(map[os.Signal]func(){
		syscall.SIGHUP:  r.reload,
		syscall.SIGUSR1: func() { r.setLevel(level.More) },
		syscall.SIGUSR2: func() { r.setLevel(level.Less) },
	})()
	defer context.AfterFunc(ctx, func() { notify(logger, "STOPPING=1") })()
	return s.Run(ctx)
}
