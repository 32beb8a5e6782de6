package pgstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// Our own records are in a schema that no other program looks at. Each table is created when it is first needed.
const (
	unfinishedTable = `_moray.unfinished`
	managedTable    = `_moray.managed`
	reindexingTable = `_moray.reindexing`
)

// recordTables make the tables of our own records.
var recordTables = map[string]string{
	unfinishedTable: `CREATE TABLE IF NOT EXISTS _moray.unfinished (
 bucket TEXT NOT NULL,
 is_index BOOLEAN NOT NULL,
 name TEXT NOT NULL,
 noted TIMESTAMPTZ NOT NULL DEFAULT now(),
 PRIMARY KEY (bucket, is_index, name)
)`,
	managedTable: `CREATE TABLE IF NOT EXISTS _moray.managed (
 bucket TEXT PRIMARY KEY,
 source TEXT NOT NULL,
 revision TEXT NOT NULL,
 document TEXT NOT NULL,
 hash TEXT NOT NULL,
 fingerprint TEXT NOT NULL,
 superseded TEXT[] NOT NULL,
 protect BOOLEAN NOT NULL,
 rate INTEGER,
 batch INTEGER,
 applied_by TEXT NOT NULL,
 applied TIMESTAMPTZ NOT NULL
)`,
	reindexingTable: `CREATE TABLE IF NOT EXISTS _moray.reindexing (
 bucket TEXT PRIMARY KEY,
 paused BOOLEAN NOT NULL DEFAULT false,
 version TEXT NOT NULL DEFAULT '',
 after_key TEXT NOT NULL DEFAULT '',
 pass INTEGER NOT NULL DEFAULT 0,
 total BIGINT NOT NULL DEFAULT 0,
 done BIGINT NOT NULL DEFAULT 0,
 missed BIGINT NOT NULL DEFAULT 0,
 unfit BIGINT NOT NULL DEFAULT 0,
 examples TEXT[] NOT NULL DEFAULT '{}',
 problem TEXT NOT NULL DEFAULT '',
 rate DOUBLE PRECISION NOT NULL DEFAULT 0,
 swept BOOLEAN NOT NULL DEFAULT false,
 worker TEXT NOT NULL DEFAULT '',
 began TIMESTAMPTZ NOT NULL DEFAULT now(),
 noted TIMESTAMPTZ NOT NULL DEFAULT now(),
 due TIMESTAMPTZ NOT NULL DEFAULT now(),
 finished TIMESTAMPTZ
) WITH (fillfactor = 50)`,
}

// hasTable reports whether one of our tables exists.
func (t *tx) hasTable(ctx context.Context, table string) (exists bool, err error) {
	_, err = t.Do(ctx, &query.Statement{SQL: `SELECT to_regclass($1) IS NOT NULL`, Args: [][]byte{[]byte(table)}}, func(row object.Row) error {
		exists = string(row[0]) == "t"
		return nil
	})
	return exists, err
}

// willHaveTable reports the same for what a rehearsal has come to.
func (t *tx) willHaveTable(ctx context.Context, table string) (exists bool, err error) {
	if t.rehearsal != nil && slices.Contains(t.rehearsal.made, table) {
		return true, nil
	}
	return t.hasTable(ctx, table)
}

// needTable creates one of our tables unless it exists. Of several who do so at once all but one wait: to PostgreSQL IF NOT
// EXISTS is no promise that nobody else makes it meanwhile.
func (t *tx) needTable(ctx context.Context, table string) error {
	exists, err := t.hasTable(ctx, table)
	if err != nil || exists || t.rehearsal != nil && t.rehearsal.once(table) {
		return err
	}
	for _, sql := range []string{
		`SELECT pg_advisory_xact_lock(hashtext('moray records'))`,
		`CREATE SCHEMA IF NOT EXISTS _moray`,
		recordTables[table],
	} {
		if err := t.keep(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

const ownerColumns = `m.source, m.revision, m.document, m.hash, m.fingerprint, array_to_json(m.superseded), m.protect, m.rate, m.batch,
 m.applied_by, to_char(m.applied AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

// readOwner reads the columns above.
func readOwner(name string, row object.Row) (*bucket.Owner, error) {
	o := &bucket.Owner{
		Bucket: name, Source: string(row[0]), Revision: string(row[1]), Document: clone(row[2]), Hash: string(row[3]),
		Fingerprint: string(row[4]), Superseded: query.Names(row[5]), Protect: string(row[6]) == "t", By: string(row[9]),
	}
	var err error
	if o.Pace, err = readPace(row[7], row[8]); err != nil {
		return nil, err
	}
	o.Applied, err = time.Parse(time.RFC3339Nano, string(row[10]))
	return o, err
}

// readPace reads the columns rate and batch; both are NULL if there is no pace.
func readPace(rate, batch []byte) (*bucket.Pace, error) {
	if rate == nil || batch == nil {
		return nil, nil
	}
	var r, b int64
	err := integers(object.Row{rate, batch}, &r, &b)
	return &bucket.Pace{Rate: int(r), Batch: int(b)}, err
}

// Owner implements bucket.Tx.
func (t *tx) Owner(ctx context.Context, name string) (owner *bucket.Owner, err error) {
	exists, err := t.hasTable(ctx, managedTable)
	if err != nil || !exists {
		return nil, err
	}
	_, err = t.Do(ctx, &query.Statement{
		SQL:  `SELECT ` + ownerColumns + ` FROM _moray.managed m WHERE bucket = $1`,
		Args: [][]byte{[]byte(name)},
	}, func(row object.Row) (err error) {
		owner, err = readOwner(name, row)
		return err
	})
	return owner, err
}

// maxSuperseded bounds how many documents are remembered as out of date.
const maxSuperseded = 50

// Own implements bucket.Tx.
func (t *tx) Own(ctx context.Context, o *bucket.Owner) error {
	if err := t.needTable(ctx, managedTable); err != nil {
		return err
	}
	rate, batch := any(nil), any(nil)
	if o.Pace != nil {
		rate, batch = o.Pace.Rate, o.Pace.Batch
	}
	return t.keep(ctx, `INSERT INTO _moray.managed AS m VALUES ($1, $2, $3, $4, $5, $6, '{}', $7::boolean, $8::integer, $9::integer, $10, now())
 ON CONFLICT (bucket) DO UPDATE SET source = excluded.source, revision = excluded.revision, document = excluded.document,
 hash = excluded.hash, fingerprint = excluded.fingerprint, protect = excluded.protect, rate = excluded.rate, batch = excluded.batch,
 applied_by = excluded.applied_by, applied = excluded.applied,
 superseded = CASE WHEN m.hash = excluded.hash THEN m.superseded
 ELSE (array_prepend(m.hash, array_remove(array_remove(m.superseded, excluded.hash), m.hash)))[1:`+strconv.Itoa(maxSuperseded)+`] END`,
		o.Bucket, o.Source, o.Revision, string(o.Document), o.Hash, o.Fingerprint, o.Protect, rate, batch, o.By)
}

// Disown implements bucket.Tx.
func (t *tx) Disown(ctx context.Context, name string) error {
	exists, err := t.hasTable(ctx, managedTable)
	if err != nil || !exists {
		return err
	}
	return t.keep(ctx, `DELETE FROM _moray.managed WHERE bucket = $1`, name)
}

// keep changes our own records.
func (t *tx) keep(ctx context.Context, sql string, args ...any) error {
	return t.change(ctx, bucket.Step{SQL: sql, Bookkeeping: true}, args...)
}

// change carries out one step of a change of buckets, or only notes it if this is a rehearsal. Arguments are strings, numbers,
// truth values, or nil for NULL.
func (t *tx) change(ctx context.Context, step bucket.Step, args ...any) error {
	st := &query.Statement{SQL: step.SQL, Args: make([][]byte, len(args)), Once: true}
	for i, a := range args {
		if a != nil {
			st.Args[i] = fmt.Append([]byte{}, a)
		}
	}
	if t.rehearsal != nil {
		step.SQL = written(st)
		t.rehearsal.add(step)
		return nil
	}
	_, err := t.Do(ctx, st, nil)
	return err
}

// Live passes all buckets that there are, and those that a document defines and that are not there, to each.
func (s *Store) Live(ctx context.Context, each func(bucket.Live) error) error {
	return s.inTx(ctx, waitBriefly, func(t *tx) error {
		managed, err := t.hasTable(ctx, managedTable)
		if err != nil {
			return err
		}
		sql := `SELECT c.name, c.index, c.pre, c.post, c.options, to_jsonb(c) ->> 'reindex_active', c.xmin, NULL FROM buckets_config c`
		if managed {
			sql = `SELECT c.name, c.index, c.pre, c.post, c.options, to_jsonb(c) ->> 'reindex_active', c.xmin, m.bucket, ` + ownerColumns +
				` FROM buckets_config c FULL JOIN _moray.managed m ON m.bucket = c.name`
		}
		var failed error // must not cost the connection
		_, err = t.Do(ctx, &query.Statement{SQL: sql, Once: true}, func(row object.Row) error {
			if failed != nil {
				return nil
			}
			live, err := readLive(row)
			if err == nil {
				err = each(live)
			}
			failed = err
			return nil
		})
		if err == nil {
			err = failed
		}
		return err
	})
}

func readLive(row object.Row) (live bucket.Live, err error) {
	if row[0] != nil {
		generation, err := strconv.ParseUint(string(row[6]), 10, 32)
		if err != nil {
			return live, err
		}
		live.Record = &bucket.Record{
			Name: string(row[0]), Index: clone(row[1]), Pre: clone(row[2]), Post: clone(row[3]), Options: clone(row[4]),
			Reindexing: clone(row[5]), Generation: uint32(generation),
		}
		live.Fingerprint = live.Record.Fingerprint()
	}
	if row[7] != nil {
		live.Owner, err = readOwner(string(row[7]), row[8:])
	}
	return live, err
}
