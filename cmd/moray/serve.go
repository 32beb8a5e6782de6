package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
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
then end the server; a second one ends it at once. SIGHUP makes it look at its definitions of buckets again. The word
"serve" may be left out.`,
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
	logger, stopLog, err := newLog(ctx, c.Log, stderr)
	if err != nil {
		return err
	}
	defer stopLog()
	for _, w := range warnings {
		logger.Warn(w)
	}
	s, err := server.New(c, server.Options{Log: logger, Version: version(), Hooks: newHooks(c.Plugins, nil), Profiles: profiles})
	if err != nil {
		return err
	}
	defer onHangup(s.Reload)()
	return s.Run(ctx)
}

// newLog makes the log that a configuration asks for. stop sends what is left of it.
func newLog(ctx context.Context, c config.Log, stderr io.Writer) (log *slog.Logger, stop func(), err error) {
	level := slog.LevelInfo
	for _, text := range []string{os.Getenv("LOG_LEVEL"), c.Level} {
		if text == "" {
			continue
		}
		if level, err = bunyan.ParseLevel(text); err != nil {
			return nil, nil, err
		}
	}
	level = bunyan.More(level, c.Verbose)
	options := bunyan.Options{Name: "moray", Level: level, Source: c.Verbose > 0 && level <= slog.LevelDebug}
	if c.Syslog == nil {
		return slog.New(bunyan.NewHandler(bunyan.Lines(stderr), options)), func() {}, nil
	}
	sink := bunyan.NewSyslog(syslogOptions(*c.Syslog))
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- sink.Run(run) }()
	return slog.New(bunyan.NewHandler(sink, options)), func() {
		cancel()
		if err := <-ended; err != nil {
			fmt.Fprintf(stderr, "moray: syslog: %v\n", err)
		}
	}, nil
}

func syslogOptions(c config.Syslog) bunyan.SyslogOptions {
	o := bunyan.SyslogOptions{
		Network: c.Type, Address: net.JoinHostPort(c.Host, strconv.Itoa(c.Port)),
		Facility: bunyan.Facility(c.Facility), Name: "moray",
	}
	if c.Type == "sys" {
		o.Network, o.Address = "unixgram", "/dev/log"
	}
	return o
}

// onHangup calls reload at each SIGHUP, until the function that it returns is called.
func onHangup(reload func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range signals {
			reload()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-ended
	}
}
