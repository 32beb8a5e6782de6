package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/config"
	"github.com/kaizengarden/moray/core/pgstore"
)

func initCommand() *cobra.Command {
	var b pgstore.Bootstrap
	var address string
	cmd := &cobra.Command{
		Use:   "init [--url URL]",
		Short: "Prepare an existing PostgreSQL: role, database, table of buckets",
		Long: `Prepare an existing PostgreSQL for moray: create the role and the database, whose strings sort by bytes, and in it
the table of bucket definitions. What exists already stays as it is, so it can be run again.

Connect as a role that may create roles and databases, in a database that exists. What the URL leaves out comes from
PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and PGSSLMODE. The new database is called moray, or as MORAY_DB_NAME says.`,
		Example: `  moray init --url postgres://postgres@db.example.com/postgres
  PGHOST=/var/run/postgresql PGUSER=postgres moray init`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if address != "" {
				u, err := config.ParseURL(address)
				if err != nil {
					return fmt.Errorf("--url %w", err)
				}
				b.URL = u.ConnString()
			}
			b.Progress = func(line string) { fmt.Fprintln(cmd.OutOrStdout(), line) }
			return pgstore.Init(cmd.Context(), b)
		},
	}
	database := os.Getenv("MORAY_DB_NAME")
	if database == "" {
		database = "moray"
	}
	flags := cmd.Flags()
	flags.StringVar(&address, "url", "", "PostgreSQL's `URL`, in any form that a configuration file takes")
	flags.StringVar(&b.Role, "role", "moray", "`name` of the role that owns the database")
	flags.StringVar(&b.Database, "database", database, "`name` of the database")
	flags.IntVar(&b.Reserve, "reserve", 0, "limit the role to max_connections less this `number`; 0 sets no limit")
	return cmd
}
