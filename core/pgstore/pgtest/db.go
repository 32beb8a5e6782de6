package pgtest

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kaizengarden/moray/core/localpg"
)

// dropTimeout bounds the removal of a test's database. Sessions that are still open are ended by it.
const dropTimeout = 30 * time.Second

// DB is one test's database: encoding UTF-8, locale C, owned by the role moray, with an empty table buckets_config. Its
// methods may be called from several goroutines; those that take t fail the test when something goes wrong, so they are for
// the test's own goroutine.
type DB struct {
	// Name is the database's name.
	Name    string
	cluster *Cluster
}

// New returns a fresh database on c; it is dropped when the test ends.
func (c *Cluster) New(t testing.TB) *DB {
	t.Helper()
	db := &DB{Name: fmt.Sprintf("test_%d", c.made.Add(1)), cluster: c}
	if err := c.run(t.Context(), "CREATE DATABASE "+db.Name+" OWNER moray TEMPLATE "+template); err != nil {
		t.Fatalf("make the test's database: %v", err)
	}
	t.Cleanup(func() {
		if c.cancel == nil { // the test stopped its server
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), dropTimeout)
		defer cancel()
		if err := c.run(ctx, "DROP DATABASE "+db.Name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return db
}

// URL returns the connection URL of the role moray.
func (db *DB) URL() string { return db.cluster.server.DSN("moray", db.Name) }

// SuperURL returns the connection URL of the superuser.
func (db *DB) SuperURL() string { return db.cluster.server.DSN(localpg.Superuser, db.Name) }

// Connect returns a connection of the role moray, closed when the test ends.
func (db *DB) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	return connect(t, db.URL())
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("connect to %s: %v", url, err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// Exec runs SQL as moray, on a connection of its own: one statement with arguments, or several without.
func (db *DB) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	conn := db.Connect(t)
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Strings runs a query as moray, on a connection of its own, and returns a string a row: the columns as psql prints them,
// separated by "|", and NULL as nothing.
func (db *DB) Strings(t testing.TB, sql string, args ...any) []string {
	t.Helper()
	return queryStrings(t, db.URL(), sql, args...)
}

func queryStrings(t testing.TB, url, sql string, args ...any) []string {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), sql, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, args...)...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var columns []string
		for _, value := range row.RawValues() {
			columns = append(columns, string(value))
		}
		return strings.Join(columns, "|"), nil
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return lines
}

// Terminate ends all sessions of the role moray in the database, as an operator's pg_terminate_backend does, and returns
// how many there were, when they are gone.
func (db *DB) Terminate(t testing.TB) int {
	t.Helper()
	return len(queryStrings(t, db.SuperURL(),
		"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1 AND usename = 'moray'", db.Name))
}

// Signal sends a signal to each server process of a session of the role moray in the database, and returns how many there were.
// SIGSTOP freezes them, SIGCONT lets them go on; a SIGKILL makes the whole server restart, so it is for [NewCluster] only.
func (db *DB) Signal(t testing.TB, signal syscall.Signal) int {
	t.Helper()
	lines := queryStrings(t, db.SuperURL(), "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND usename = 'moray'", db.Name)
	for _, line := range lines {
		var pid int
		if _, err := fmt.Sscan(line, &pid); err != nil {
			t.Fatalf("process id %q: %v", line, err)
		}
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatalf("send %v to process %d: %v", signal, pid, err)
		}
	}
	return len(lines)
}
