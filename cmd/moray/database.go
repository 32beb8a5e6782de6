package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/config"
	"github.com/kaizengarden/moray/core/localpg"
	"github.com/kaizengarden/moray/core/pgstore"
)

// database is where a command finds the database that it works on.
type database struct {
	url     string // PostgreSQL's
	file    string // a server's configuration
	dataDir string // of moray dev
}

// flags adds the options that name the database.
func (d *database) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&d.url, "url", "", "PostgreSQL's `URL`, in any form that a configuration file takes")
	flags.StringVarP(&d.file, "file", "f", "", "configuration `file` of a server, for its database")
	flags.StringVar(&d.dataDir, "data-dir", "", "`directory` of a moray dev that is running; .moray if nothing else is said")
	cmd.MarkFlagsMutuallyExclusive("url", "file", "data-dir")
}

// open connects to the database. stop ends the connection.
func (d *database) open(ctx context.Context) (store *pgstore.Store, stop func(), err error) {
	address, err := d.address()
	if err != nil {
		return nil, nil, err
	}
	store, err = pgstore.New(pgstore.Config{
		URL: address, Limits: pgstore.Limits{MaxConnections: 2}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, nil, err
	}
	if err := store.Reach(ctx); err != nil {
		return nil, nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- store.Run(run) }()
	return store, func() {
		cancel()
		<-ended // nil, always
	}, nil
}

// address returns the connection string of the database.
func (d *database) address() (string, error) {
	switch {
	case d.url != "":
		u, err := config.ParseURL(d.url)
		if err != nil {
			return "", err
		}
		return u.ConnString(), nil
	case d.file != "":
		c, _, err := config.Load(d.file)
		if err != nil {
			return "", err
		}
		if c.Standalone == nil {
			return "", fmt.Errorf("%s: name the database in config.standalone, or with --url", d.file)
		}
		return c.Standalone.ConnString(), nil
	}
	dir := d.dataDir
	if dir == "" {
		dir = ".moray"
		if _, err := os.Stat(filepath.Clean(dir)); err != nil && os.Getenv("PGHOST") == "" {
			return "", errors.New("name the database: --url, -f with a server's configuration, or --data-dir of a moray dev")
		} else if err != nil {
			return "", nil // as libpq finds it
		}
	}
	pg, err := localpg.Running(localpg.Config{DataDir: dir, Fallback: fallbackDir})
	if err != nil {
		return "", err
	}
	return pg.DSN("moray", "moray"), nil
}
