package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/config"
	"github.com/kaizengarden/moray/core/localpg"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/server"
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

// connectPatience bounds the wait for a cluster to say which server is the primary.
const connectPatience = 10 * time.Second

// open connects to the database. stop ends the connection.
func (d *database) open(ctx context.Context) (store *pgstore.Store, stop func(), err error) {
	c, err := d.config()
	if err != nil {
		return nil, nil, err
	}
	briefly, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	db, stop, err := server.Connect(briefly, c, pgstore.Config{
		Limits: pgstore.Limits{MaxConnections: 2}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, nil, err
	}
	return db.Store, stop, nil
}

// config returns a configuration that says where the database is, and little else.
func (d *database) config() (*config.Config, error) {
	switch {
	case d.url != "":
		return standalone(d.url)
	case d.file != "":
		c, _, err := config.Load(d.file)
		return c, err
	}
	dir := d.dataDir
	if dir == "" {
		dir = ".moray"
		if _, err := os.Stat(filepath.Clean(dir)); err != nil && os.Getenv("PGHOST") == "" {
			return nil, errors.New("name the database: --url, -f with a server's configuration, or --data-dir of a moray dev")
		} else if err != nil {
			return &config.Config{Standalone: &config.URL{}}, nil // as libpq finds it
		}
	}
	pg, err := localpg.Running(localpg.Config{DataDir: dir, Fallback: fallbackDir})
	if err != nil {
		return nil, err
	}
	return standalone(pg.DSN("moray", "moray"))
}

func standalone(url string) (*config.Config, error) {
	u, err := config.ParseURL(url)
	if err != nil {
		return nil, err
	}
	return &config.Config{Standalone: u}, nil
}
