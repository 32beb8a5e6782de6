package pgstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

const (
	// How long a change of a table waits for a lock, during which everybody else waits behind it, and how long it then lets
	// others pass. It gives up after so many tries.
	ddlLockTimeout = "2s"
	ddlPause       = 500 * time.Millisecond
	maxLockTries   = 200

	// How often a session looks whether it is its turn. Waiting in pg_advisory_lock instead would be a deadlock: a session
	// that builds an index concurrently waits for all transactions that are open, also for one that waits for the lock.
	turnPeriod = 100 * time.Millisecond
)

var waitBriefly = &query.Statement{SQL: `SELECT set_config('lock_timeout', '` + ddlLockTimeout + `', true)`}

// InBucketTx implements bucket.Store.
func (s *Store) InBucketTx(ctx context.Context, fn func(bucket.Tx) error) error {
	return retryLocks(ctx, func() error {
		return s.inTx(ctx, waitBriefly, func(t *tx) error { return fn(t) })
	})
}

// retryLocks runs fn again as long as it fails because a lock was not to be had in time, or only by the end of another's
// transaction that waits for us.
func retryLocks(ctx context.Context, fn func() error) error {
	for try := 1; ; try++ {
		err := fn()
		if !lockTimedOut(err) && !deadlocked(err) || try == maxLockTries {
			return err
		}
		if !sleep(ctx, ddlPause) {
			return err
		}
	}
}

// sleep waits for about d; it reports false if ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// session implements bucket.Session.
type session struct {
	conn    *conn
	trail   *object.Trail
	timeout time.Duration
}

var _ bucket.Session = (*session)(nil)

// InBucketSession implements bucket.Store.
func (s *Store) InBucketSession(ctx context.Context, name string, fn func(bucket.Session) error) error {
	return s.holding(ctx, advisory{"moray bucket", name}, -1, func(c *conn) error {
		caller := object.CallerFrom(ctx)
		return fn(&session{conn: c, trail: caller.Trail, timeout: s.timeout(caller)})
	})
}

// advisory is an advisory lock, by the names of what it is for and of which.
type advisory struct{ what, which string }

// applying is held by whoever applies definitions.
var applying = advisory{"moray buckets.d", ""}

// holding runs fn on a connection of its own that holds a lock. The lock goes with the connection. It waits for the lock so
// long at most, then it is ErrBusy; if wait is negative, until ctx ends.
func (s *Store) holding(ctx context.Context, lock advisory, wait time.Duration, fn func(*conn) error) error {
	c, err := s.openOwn(ctx)
	switch {
	case errors.Is(err, errNoPrimary):
		return errNoBackend()
	case err != nil:
		return explain(err, "")
	}
	defer s.closeOwn(c)
	// The end of the store ends the session: nobody else would, while an index is being built.
	stop := context.AfterFunc(ctx, func() { c.net.Close() }) //nolint:errcheck // because closing is all that it is for
	defer stop()
	if err := c.watchClient(); err != nil {
		return explain(err, "")
	}
	for begin := time.Now(); ; {
		mine, err := c.tryLock(lock)
		switch {
		case err != nil:
			return err
		case mine:
			return fn(c)
		case wait >= 0 && time.Since(begin) >= wait:
			return bucket.ErrBusy
		}
		if !sleep(ctx, turnPeriod) {
			return fmt.Errorf("wait for another one's end: %w", context.Cause(ctx))
		}
	}
}

// watchClient makes PostgreSQL notice soon, also while it builds an index, that the client is gone: until it does, its locks
// stay. Older versions and other systems than Linux cannot.
func (c *conn) watchClient() error {
	_, err := c.run(0, nil, &query.Statement{
		SQL: `SELECT set_config(name, '2s', false) FROM pg_settings WHERE name = 'client_connection_check_interval'`, Once: true,
	})
	if sqlState(err) != "" {
		return nil
	}
	return err
}

// tryLock takes a lock, or reports false if another session holds it. It does not wait, see turnPeriod.
func (c *conn) tryLock(lock advisory) (mine bool, err error) {
	st := &query.Statement{SQL: `SELECT pg_try_advisory_lock(hashtext($1), hashtext($2))`, Args: [][]byte{[]byte(lock.what), []byte(lock.which)}}
	_, err = c.run(0, func(row object.Row) error {
		mine = string(row[0]) == "t"
		return nil
	}, st)
	return mine, explain(err, st.SQL)
}

// Exclusively implements reconcile.Store.
func (s *Store) Exclusively(ctx context.Context, wait time.Duration, fn func(alive func() error) error) error {
	return s.holding(ctx, applying, wait, func(c *conn) error {
		return fn(func() error {
			_, err := c.run(0, nil, &query.Statement{SQL: `SELECT 1`})
			return explain(err, "")
		})
	})
}

// InTx implements bucket.Session.
func (s *session) InTx(ctx context.Context, fn func(bucket.Tx) error) error {
	return retryLocks(ctx, func() error {
		return s.conn.inTx(s.trail, s.timeout, waitBriefly, func(t *tx) error { return fn(t) })
	})
}

// BuildIndex implements bucket.Session. It waits for locks as long as it takes: a build that gives up leaves an invalid index
// behind and has to begin anew.
func (s *session) BuildIndex(_ context.Context, table string, i bucket.Index) error {
	err := s.alone(createIndex(table, i, concurrently))
	if deadlocked(err) || sqlState(err) == "42P01" { // undefined_table
		// The build waits for all who hold a lock of the table, and whoever drops the table waits for the build.
		err = fmt.Errorf("%w: %w", bucket.ErrInterrupted, err)
	}
	return err
}

// DropIndex implements bucket.Session.
func (s *session) DropIndex(_ context.Context, name string) error {
	return s.alone(dropIndex(name))
}

// alone runs a statement that cannot be part of a transaction.
func (s *session) alone(sql string) error {
	defer s.trail.Add(object.SQL, time.Now(), sql)
	if _, err := s.conn.run(0, nil, patientSession); err != nil {
		return explain(err, sql)
	}
	s.conn.queue(&query.Statement{SQL: sql, Once: true})
	s.conn.sync()
	if err := s.conn.flush(); err != nil {
		return explain(err, sql)
	}
	_, err := s.conn.result(nil)
	if rerr := s.conn.ready(); err == nil {
		err = rerr
	}
	return explain(err, sql)
}

// Note implements bucket.Tx.
func (t *tx) Note(ctx context.Context, name string, l bucket.Leftover) error {
	if err := t.needTable(ctx, unfinishedTable); err != nil {
		return err
	}
	return t.keep(ctx, `INSERT INTO _moray.unfinished (bucket, is_index, name) VALUES ($1, $2::boolean, $3) ON CONFLICT DO NOTHING`,
		name, l.Index, l.Name)
}

// Noted implements bucket.Tx.
func (t *tx) Noted(ctx context.Context, name string) ([]bucket.Leftover, error) {
	exists, err := t.hasTable(ctx, unfinishedTable)
	if err != nil || !exists {
		return nil, err
	}
	var noted []bucket.Leftover
	_, err = t.Do(ctx, &query.Statement{
		SQL:  `SELECT is_index, name FROM _moray.unfinished WHERE bucket = $1 ORDER BY is_index, name`,
		Args: [][]byte{[]byte(name)},
	}, func(row object.Row) error {
		noted = append(noted, bucket.Leftover{Index: string(row[0]) == "t", Name: string(row[1])})
		return nil
	})
	return noted, err
}

// Settle implements bucket.Tx.
func (t *tx) Settle(ctx context.Context, name string) error {
	exists, err := t.willHaveTable(ctx, unfinishedTable)
	if err != nil || !exists {
		return err
	}
	return t.keep(ctx, `DELETE FROM _moray.unfinished WHERE bucket = $1`, name)
}

// Leftovers implements bucket.Store.
func (s *Store) Leftovers(ctx context.Context) (names []string, err error) {
	err = s.inTx(ctx, waitBriefly, func(t *tx) error {
		exists, err := t.hasTable(ctx, unfinishedTable)
		if err != nil || !exists {
			return err
		}
		_, err = t.Do(ctx, &query.Statement{SQL: `SELECT DISTINCT bucket FROM _moray.unfinished ORDER BY bucket`}, func(row object.Row) error {
			names = append(names, string(row[0]))
			return nil
		})
		return err
	})
	return names, err
}
