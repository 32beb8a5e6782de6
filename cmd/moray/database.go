package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/config"
	"github.com/kaizengarden/moray/core/localpg"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/server"
	"github.com/kaizengarden/moray/hooks"
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
	flags.StringVarP(&d.file, "file", "f", "", "configuration `file` of a server, for its database, its plugins and its definitions")
	flags.StringVar(&d.dataDir, "data-dir", "", "`directory` of a moray dev that is running; .moray if nothing else is said")
	cmd.MarkFlagsMutuallyExclusive("url", "file", "data-dir")
}

// connectPatience bounds the wait for a cluster to say which server is the primary.
const connectPatience = 10 * time.Second

// target is what a command works on.
type target struct {
	*config.Config // says where the database is, and where the server's definitions are, if it has any
	hooks          *hookChecker
}

var discard = slog.New(slog.DiscardHandler)

// target finds out what the options name.
func (d *database) target() (*target, error) {
	switch {
	case d.url != "":
		return standalone(d.url, nil)
	case d.file != "":
		c, _, err := config.Load(d.file)
		if err != nil {
			return nil, err
		}
		return &target{c, &hookChecker{make: newHooks(c.Plugins, nil)}}, nil
	}
	dir := d.dataDir
	if dir == "" {
		if dir = ".moray"; !exists(dir) && os.Getenv("PGHOST") != "" {
			return standalone("", nil) // as libpq finds it
		} else if !exists(dir) {
			return nil, errors.New("name the database: --url, -f with a server's configuration, or --data-dir of a moray dev")
		}
	}
	pg, err := localpg.Running(localpg.Config{DataDir: dir, Fallback: fallbackDir})
	if err != nil {
		return nil, err
	}
	return standalone(pg.DSN("moray", "moray"), new(dev).withPlugins)
}

// standalone is the target that a URL names; without one, what libpq finds.
func standalone(url string, change func(*hooks.Config) error) (*target, error) {
	u := &config.URL{}
	if url != "" {
		var err error
		if u, err = config.ParseURL(url); err != nil {
			return nil, err
		}
	}
	return &target{&config.Config{Standalone: u}, &hookChecker{make: newHooks(nil, change)}}, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// open connects to the database for commands that check no hooks.
func (d *database) open(ctx context.Context) (store *pgstore.Store, stop func(), err error) {
	t, err := d.target()
	if err != nil {
		return nil, nil, err
	}
	return t.open(ctx)
}

// open connects to the database. stop ends the connection, and what checks hooks.
func (t *target) open(ctx context.Context) (store *pgstore.Store, stop func(), err error) {
	briefly, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	db, disconnect, err := server.Connect(briefly, t.Config, pgstore.Config{Limits: pgstore.Limits{MaxConnections: 2}, Log: discard})
	if err != nil {
		return nil, nil, err
	}
	return db.Store, func() {
		t.hooks.close()
		disconnect()
	}, nil
}
