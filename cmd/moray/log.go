package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"

	"github.com/kaizengarden/moray/core/bunyan"
	"github.com/kaizengarden/moray/core/config"
)

// newLog makes the log that a configuration asks for, with a level that may be changed. stop sends what is left of it.
func newLog(ctx context.Context, c config.Log, level *bunyan.Level, stderr io.Writer) (log *slog.Logger, stop func(), err error) {
	if err := setLevel(level, c); err != nil {
		return nil, nil, err
	}
	options := bunyan.Options{Name: "moray", Level: level, Source: c.Verbose > 0 && level.Level() <= slog.LevelDebug}
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

// setLevel sets the level that a configuration asks for.
func setLevel(level *bunyan.Level, c config.Log) error {
	lowest := slog.LevelInfo
	for _, text := range []string{os.Getenv("LOG_LEVEL"), c.Level} {
		if text == "" {
			continue
		}
		var err error
		if lowest, err = bunyan.ParseLevel(text); err != nil {
			return err
		}
	}
	level.SetLevel(bunyan.More(lowest, c.Verbose))
	return nil
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
