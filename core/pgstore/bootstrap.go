package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kaizengarden/moray/core/query"
)

// ConfigTableSQL makes the table of bucket definitions. The column reindex_active is added when a bucket is first updated.
const ConfigTableSQL = `CREATE TABLE IF NOT EXISTS buckets_config (
 name TEXT PRIMARY KEY,
 index TEXT NOT NULL,
 pre TEXT NOT NULL,
 post TEXT NOT NULL,
 options TEXT,
 mtime TIMESTAMP WITHOUT TIME ZONE DEFAULT now() NOT NULL
)`

// Bootstrap says what [Init] prepares.
type Bootstrap struct {
	// URL reaches the server with a role that may create roles and databases, in a database that exists.
	URL string
	// Role and Database are the names to create; empty means moray.
	Role, Database string
	// Reserve is how many of the server's connections the role must leave to others; 0 sets no limit for the role.
	Reserve int
	// Progress gets a line for each step; nil for none.
	Progress func(string)
}

// Init prepares a server for moray: a role, a database whose strings sort by bytes, and the table of bucket definitions. What
// exists already stays as it is.
func Init(ctx context.Context, b Bootstrap) error {
	if b.Role == "" {
		b.Role = "moray"
	}
	if b.Database == "" {
		b.Database = "moray"
	}
	if b.Progress == nil {
		b.Progress = func(string) {}
	}
	config, err := pgx.ParseConfig(b.URL)
	if err != nil {
		return fmt.Errorf("PostgreSQL's address: %w", err)
	}
	admin, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer admin.Close(ctx) //nolint:errcheck // because nothing is left to be sent
	if err := b.createRole(ctx, admin); err != nil {
		return err
	}
	if err := b.createDatabase(ctx, admin); err != nil {
		return err
	}

	config = config.Copy()
	config.Database = b.Database
	db, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer db.Close(ctx) //nolint:errcheck // because nothing is left to be sent
	return b.createTable(ctx, db)
}

func (b *Bootstrap) createRole(ctx context.Context, admin *pgx.Conn) error {
	err := b.exec(ctx, admin, "role "+b.Role, `CREATE ROLE `+query.Quote(b.Role)+` LOGIN CREATEDB NOSUPERUSER NOCREATEROLE`, "42710")
	if err != nil || b.Reserve == 0 {
		return err
	}
	var most int
	if err := admin.QueryRow(ctx, `SELECT setting::int FROM pg_settings WHERE name = 'max_connections'`).Scan(&most); err != nil {
		return fmt.Errorf("read max_connections: %w", err)
	}
	if most <= b.Reserve {
		b.Progress(fmt.Sprintf("no connection limit for the role: max_connections is only %d", most))
		return nil
	}
	limit := fmt.Sprintf(`ALTER ROLE %s CONNECTION LIMIT %d`, query.Quote(b.Role), most-b.Reserve)
	return b.exec(ctx, admin, fmt.Sprintf("connection limit %d", most-b.Reserve), limit)
}

func (b *Bootstrap) createDatabase(ctx context.Context, admin *pgx.Conn) error {
	sql := `CREATE DATABASE ` + query.Quote(b.Database) + ` OWNER ` + query.Quote(b.Role) +
		` TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`
	if err := b.exec(ctx, admin, "database "+b.Database, sql, "42P04"); err != nil {
		return err
	}
	var encoding, collation string
	err := admin.QueryRow(ctx, `SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = $1`, b.Database).
		Scan(&encoding, &collation)
	if err != nil {
		return fmt.Errorf("look at database %s: %w", b.Database, err)
	}
	if encoding != "UTF8" || collation != "C" && collation != "POSIX" {
		return fmt.Errorf("database %s has encoding %s and collation %s; moray needs UTF8 and C, on which the order of strings depends",
			b.Database, encoding, collation)
	}
	return nil
}

func (b *Bootstrap) createTable(ctx context.Context, db *pgx.Conn) error {
	var exists bool
	if err := db.QueryRow(ctx, `SELECT to_regclass('buckets_config') IS NOT NULL`).Scan(&exists); err != nil {
		return fmt.Errorf("look for buckets_config: %w", err)
	}
	if exists {
		b.Progress("table buckets_config: exists already")
		return nil
	}
	// PostgreSQL 15 no longer lets every role create tables in the schema public.
	for _, sql := range []string{
		ConfigTableSQL,
		`ALTER TABLE buckets_config OWNER TO ` + query.Quote(b.Role),
		`GRANT ALL ON SCHEMA public TO ` + query.Quote(b.Role),
	} {
		if _, err := db.Exec(ctx, sql); err != nil {
			return fmt.Errorf("create table buckets_config: %w", err)
		}
	}
	b.Progress("table buckets_config: created")
	return nil
}

// exec runs one step. Errors with one of the given SQLSTATEs say that it was done before.
func (b *Bootstrap) exec(ctx context.Context, conn *pgx.Conn, what, sql string, done ...string) error {
	_, err := conn.Exec(ctx, sql)
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		for _, code := range done {
			if pg.Code == code {
				b.Progress(what + ": exists already")
				return nil
			}
		}
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", what, err)
	}
	b.Progress(what + ": created")
	return nil
}
