package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/kaizengarden/moray/core/bunyan"
	"github.com/kaizengarden/moray/core/config"
	"github.com/kaizengarden/moray/core/server"
)

// A program of its own runs a server until it is told to stop.
func Example() {
	c, warnings, err := config.Parse("my program", []byte(`{
		"bindip": "127.0.0.1", "port": 2020, "monitorPort": 3020, "bunyan": {},
		"standalone": { "url": "postgres://moray@127.0.0.1:5432/moray", "pg": { "maxConnections": 16 } },
		"server_uuid": "my-host", "datacenter": "dc1"
	}`))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	log := slog.New(bunyan.NewHandler(bunyan.Lines(os.Stderr), bunyan.Options{Name: "moray"}))
	for _, w := range warnings {
		log.Warn(w)
	}
	s, err := server.New(c, server.Options{
		Log:   log,
		Ready: func(a server.Addresses) { log.Info("clients can connect", "address", a.RPC.String()) },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := s.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
