package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/localpg"
	"github.com/kaizengarden/moray/core/pgstore"
)

// The role and the database that the server and pgbench use.
const (
	role     = "moray"
	database = "moray"
)

type bedConfig struct {
	dir         string
	program     string // the server; "" to build it
	connections int    // of the server to PostgreSQL
	rows        int    // in the bucket of small values
}

// settings keep PostgreSQL as an operator would have it on such a machine, but for what comes at times of its own choice: no
// checkpoint and no vacuum disturbs a measurement. synchronous_commit is not here because it changes between measurements.
var settings = map[string]string{
	"shared_buffers":     "1GB",
	"fsync":              "on",
	"autovacuum":         "off",
	"max_wal_size":       "16GB",
	"checkpoint_timeout": "1h",
	"max_connections":    "100",
}

// bed is what everything is measured on: a PostgreSQL with two filled buckets, and a server over it.
type bed struct {
	config  bedConfig
	pg      *localpg.Server
	admin   *pgx.Conn // superuser in the server's database
	server  *process
	pgbench pgbench
	bouncer *bouncer // nil if PgBouncer is not installed
	scripts map[string]anchorScript
	sync    string // the setting of synchronous_commit; "" before it was set
	next    int    // of the objects to be inserted
}

// withBed makes the test bed, calls fn, and removes every trace of it.
func withBed(ctx context.Context, c bedConfig, progress io.Writer, fn func(context.Context, *bed) error) error {
	return withDatabase(ctx, c, progress, func(ctx context.Context, b *bed, dir string) (err error) {
		plugin, err := build(ctx, dir, "moray-plugin-example")
		if err != nil {
			return err
		}
		if b.server, err = startServer(ctx, b.config.program, plugin, dir, b.pg.DSN(role, database), c.connections); err != nil {
			return err
		}
		if b.bouncer, err = startBouncer(ctx, dir, b.pg.SocketDir()); err != nil {
			return errors.Join(err, b.server.stop())
		}
		if b.bouncer != nil {
			defer func() { err = errors.Join(err, b.bouncer.stop()) }()
		}
		fmt.Fprintf(progress, "filling the buckets: %d and %d objects\n", c.rows, largeRows)
		err = b.fill(ctx)
		if err == nil {
			err = fn(ctx, b)
		}
		return errors.Join(err, b.server.stop())
	})
}

// withDatabase makes a bed that has a database and the program of a server, and no more.
func withDatabase(ctx context.Context, c bedConfig, progress io.Writer, fn func(ctx context.Context, b *bed, dir string) error) (err error) {
	dir, err := os.MkdirTemp(c.dir, "moray-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // for the user that PostgreSQL runs as
		return err
	}
	if c.program == "" {
		fmt.Fprintln(progress, "building the server")
		if c.program, err = build(ctx, dir, "moray"); err != nil {
			return err
		}
	}
	return localpg.Run(ctx, localpg.Config{DataDir: filepath.Join(dir, "db"), Settings: settings}, func(ctx context.Context, pg *localpg.Server) error {
		if err := pgstore.Init(ctx, pgstore.Bootstrap{URL: pg.DSN(localpg.Superuser, "postgres"), Role: role, Database: database}); err != nil {
			return fmt.Errorf("prepare the database: %w", err)
		}
		admin, err := pgx.Connect(ctx, pg.DSN(localpg.Superuser, database))
		if err != nil {
			return err
		}
		defer admin.Close(context.WithoutCancel(ctx)) //nolint:errcheck // because the database is thrown away
		return fn(ctx, &bed{
			config: c, pg: pg, admin: admin,
			pgbench: pgbench{program: filepath.Join(pg.BinDir(), "pgbench"), socketDir: pg.SocketDir(), dir: dir},
		}, dir)
	})
}

// fill makes the buckets through the server, puts the objects into their tables, and makes the scripts.
func (b *bed) fill(ctx context.Context) error {
	c, err := fast.Dial(ctx, b.server.address, fast.V2)
	if err != nil {
		return fmt.Errorf("connect to the server: %w", err)
	}
	defer c.Close()
	for _, f := range fillings(b.config.rows) {
		args := jsvalue.Value(`["` + f.bucket + `",` + bucketConfig(f.more) + `,{}]`)
		if err := c.Call(ctx, "createBucket", args, nil); err != nil {
			return fmt.Errorf("create bucket %s: %w", f.bucket, err)
		}
		if err := b.copy(ctx, f.bucket, newObjects(0, f.rows, f.size)); err != nil {
			return err
		}
	}
	b.next = b.config.rows
	small, large, err := b.definitions(ctx)
	if err != nil {
		return err
	}
	b.scripts, err = scripts(small, large, b.config.rows)
	return err
}

func (b *bed) copy(ctx context.Context, bucket string, o *objects) error {
	if _, err := b.admin.CopyFrom(ctx, pgx.Identifier{bucket}, rowColumns, o); err != nil {
		return fmt.Errorf("fill %s: %w", bucket, err)
	}
	return nil
}

// definitions loads the definitions of the two buckets, which the texts of the statements depend on.
func (b *bed) definitions(ctx context.Context) (small, large *bucket.Bucket, err error) {
	store, err := pgstore.New(pgstore.Config{URL: b.pg.DSN(role, database), Limits: pgstore.Limits{MaxConnections: 1}, Log: silent})
	if err != nil {
		return nil, nil, err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- store.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	var cache bucket.Cache
	if small, err = cache.Get(ctx, store, smallBucket, false); err != nil {
		return nil, nil, err
	}
	large, err = cache.Get(ctx, store, largeBucket, false)
	return small, large, err
}

// tidy removes what loads inserted, and the versions that overwrites left behind, and brings tables and indexes into memory.
func (b *bed) tidy(ctx context.Context) error {
	for _, sql := range []string{
		`DELETE FROM ` + smallBucket + ` WHERE _key >= '` + key(b.config.rows) + `'`,
		`VACUUM (ANALYZE) ` + smallBucket, `VACUUM (ANALYZE) ` + largeBucket,
		`VACUUM (ANALYZE) ` + hookBucket, `VACUUM (ANALYZE) ` + jsBucket, `VACUUM (ANALYZE) ` + schemaBucket,
		`SET enable_seqscan = off`, `SET enable_bitmapscan = off`,
		`SELECT sum(length(_value)) FROM ` + smallBucket + ` WHERE _key > ''`, `SELECT sum(length(_value)) FROM ` + smallBucket + ` WHERE name > ''`,
		`SELECT sum(length(_value)) FROM ` + largeBucket + ` WHERE _key > ''`,
	} {
		if _, err := b.admin.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// setSync changes synchronous_commit for all sessions, now and later.
func (b *bed) setSync(ctx context.Context, sync string) error {
	if sync == "" || sync == b.sync {
		return nil
	}
	for _, sql := range []string{`ALTER SYSTEM SET synchronous_commit = ` + sync, `SELECT pg_reload_conf()`} {
		if _, err := b.admin.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	// The postmaster tells all sessions when it tells this one.
	for seen := ""; seen != sync; {
		if err := b.admin.QueryRow(ctx, `SHOW synchronous_commit`).Scan(&seen); err != nil {
			return err
		}
	}
	b.sync = sync
	return nil
}

// measure carries out one step.
func (b *bed) measure(ctx context.Context, s step, window time.Duration) (record, error) {
	if err := b.setSync(ctx, s.sync); err != nil {
		return record{}, err
	}
	r := record{Name: s.name, Anchor: s.anchor, Time: time.Now()}
	var err error
	if s.script != "" {
		err = b.measureAnchor(ctx, &r, s, window)
	} else {
		err = b.measureLoad(ctx, &r, s, window)
	}
	return r, err
}

func (b *bed) usage() (usage, error) { return readUsage(b.server.pid(), b.pg.PID()) }

func (b *bed) measureAnchor(ctx context.Context, r *record, s step, window time.Duration) error {
	script := b.scripts[s.script]
	logged, err := b.walPosition(ctx)
	if err != nil {
		return err
	}
	var proxy *bouncer
	between := b.server.pid() // the process between client and PostgreSQL
	if s.proxied {
		proxy = b.bouncer
		between = proxy.cmd.Process.Pid
	}
	before, err := readUsage(between, b.pg.PID())
	if err != nil {
		return err
	}
	result, err := b.pgbench.run(ctx, script, s.clients, window, proxy)
	if err != nil {
		return err
	}
	after, err := readUsage(between, b.pg.PID())
	if err != nil {
		return err
	}
	// A statement that does not fit the definition of the bucket writes nothing, and is quick about it.
	const least = 100 // bytes of log that a transaction writes
	if end, err := b.walPosition(ctx); err != nil || s.sync != "" && end-logged < int64(result.transactions)*least {
		return cmp.Or(err, fmt.Errorf("%d transactions have written %d bytes of log", result.transactions, end-logged))
	}
	r.Count = result.transactions * script.weight
	r.Rate = result.rate * float64(script.weight)
	r.Seconds = after.at.Sub(before.at).Seconds()
	r.P50 = milliseconds(result.latency)
	r.setUsage(after.sub(before))
	if proxy == nil {
		r.Server = 0 // what the server does for itself
	}
	return nil
}

// walPosition returns how many bytes of write-ahead log there have been.
func (b *bed) walPosition(ctx context.Context) (n int64, err error) {
	err = b.admin.QueryRow(ctx, `SELECT (pg_current_wal_lsn() - '0/0')::bigint`).Scan(&n)
	return n, err
}

func (b *bed) measureLoad(ctx context.Context, r *record, s step, window time.Duration) error {
	t, err := b.traffic(ctx, s, window)
	if err != nil {
		return err
	}
	defer t.close()
	if err := t.start(ctx, b.server.address); err != nil {
		return err
	}
	var marks []usage
	var heaps []heap
	err = t.run(ctx, window, func() error {
		u, err := b.usage()
		if err != nil {
			return err
		}
		h, err := b.server.heap(ctx)
		marks, heaps = append(marks, u), append(heaps, h)
		return err
	})
	b.next = max(b.next, int(t.fresh.Load()))
	if err != nil {
		return err
	}
	latencies := t.latencies()
	if len(latencies) == 0 {
		return errors.New("no request was answered in time")
	}
	r.Count = len(latencies) * t.operation.weight
	r.Seconds = marks[1].at.Sub(marks[0].at).Seconds()
	r.Rate = float64(r.Count) / r.Seconds
	r.P50 = milliseconds(latencies[len(latencies)/2])
	r.P99 = milliseconds(latencies[len(latencies)*99/100])
	r.setUsage(marks[1].sub(marks[0]))
	r.Allocs = (heaps[1].mallocs - heaps[0].mallocs) / float64(r.Count)
	r.Bytes = (heaps[1].bytes - heaps[0].bytes) / float64(r.Count)
	return nil
}

// deletesPerSecond is more than any server deletes: so many objects wait for a load that deletes.
const deletesPerSecond = 40_000

// traffic prepares a load.
func (b *bed) traffic(ctx context.Context, s step, window time.Duration) (*traffic, error) {
	t := &traffic{operation: operations[s.operation], rows: b.config.rows, inFlight: s.inFlight, conns: s.conns, from: int64(b.next)}
	switch t.operation.bucket {
	case largeBucket:
		t.rows = largeRows
	case hookBucket, jsBucket, schemaBucket:
		t.rows = hookedRows
	}
	if t.operation.deletes {
		t.to = t.from + int64((warmUp+window).Seconds()*deletesPerSecond)
		if err := b.copy(ctx, smallBucket, newObjects(b.next, int(t.to), smallValue)); err != nil {
			return nil, err
		}
		b.next = int(t.to)
	}
	return t, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
