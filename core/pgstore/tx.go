package pgstore

import (
	"context"
	"fmt"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

var (
	begin         = &query.Statement{SQL: `BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED`}
	beginReadOnly = &query.Statement{SQL: `BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY`}

	commit   = &query.Statement{SQL: `COMMIT`}
	rollback = &query.Statement{SQL: `ROLLBACK`}
)

// rollbackTimeout bounds the wait for the end of a rollback. After it the connection is closed, which is a rollback too.
const rollbackTimeout = 5 * time.Second

// tx is a transaction on a connection that was claimed for it. BEGIN travels with the first statement.
type tx struct {
	conn    *conn
	trail   *object.Trail    // nil if nobody asks
	timeout time.Duration    // of each statement
	opening *query.Statement // sent after BEGIN: how patiently to wait for locks
	begun   bool
	once    bool  // it must not be run again
	foreign bool  // SQL of hooks was run in it
	err     error // why the transaction failed

	rehearsal *rehearsal // notes changes instead of making them; nil for the real thing
}

var (
	_ object.Tx = (*tx)(nil)
	_ bucket.Tx = (*tx)(nil)
)

// InTx implements object.Store.
func (s *Store) InTx(ctx context.Context, fn func(object.Tx) error) error {
	return s.inTx(ctx, waitPatiently, func(t *tx) error { return fn(t) })
}

// inTx runs fn in a transaction, and again if a connection that was lost undid it.
func (s *Store) inTx(ctx context.Context, opening *query.Statement, fn func(*tx) error) error {
	return s.retry(func() (again bool, err error) {
		once := false
		err = s.tryTx(ctx, opening, func(t *tx) error {
			defer func() { once = t.once }()
			return fn(t)
		})
		return !once && repeatable(err), err
	})
}

func (s *Store) tryTx(ctx context.Context, opening *query.Statement, fn func(*tx) error) error {
	caller := object.CallerFrom(ctx)
	c, err := s.pool.claim(ctx, useOf(caller))
	if err != nil {
		return err
	}
	defer s.pool.release(c)
	return c.inTx(caller.Trail, s.timeout(caller), opening, fn)
}

// Once implements object.Tx.
func (t *tx) Once() { t.once = true }

// inTx runs fn in a transaction.
func (c *conn) inTx(trail *object.Trail, timeout time.Duration, opening *query.Statement, fn func(*tx) error) error {
	t := &tx{conn: c, trail: trail, timeout: timeout, opening: opening}
	ended := false
	defer func() { // also if fn panics
		if !ended {
			t.rollback()
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	ended = true
	return t.commit()
}

// Do implements object.Tx.
func (t *tx) Do(_ context.Context, st *query.Statement, row func(object.Row) error) (int64, error) {
	if t.err != nil {
		return 0, t.err
	}
	statements := []*query.Statement{st}
	if !t.begun {
		t.begun = true
		statements = []*query.Statement{begin, t.opening, st}
	}
	start := time.Now()
	n, err := t.conn.run(t.timeout, row, statements...)
	t.ran(start, st.SQL)
	if err != nil {
		t.err = explain(err, st.SQL)
		return 0, t.err
	}
	return n, nil
}

// Last implements object.Tx.
func (t *tx) Last(ctx context.Context, st *query.Statement, row func(object.Row) error) (int64, error) {
	if t.err != nil || !t.begun || t.foreign || t.timeout > 0 { // a statement with a commit behind it cannot be given up
		return t.Do(ctx, st, row)
	}
	c, start := t.conn, time.Now()
	n, refused, err := c.runWith(st, row, commit)
	t.ran(start, st.SQL)
	if !refused && (c.broken != nil || c.status == 'I') { // it has come to the commit, or may have
		err = c.outcome(err)
		t.begun = false
	}
	t.err = explain(err, st.SQL)
	return n, t.err
}

// ran notes the time that a statement took.
func (t *tx) ran(start time.Time, text string) {
	now := time.Now()
	t.conn.metrics.seconds[inTransaction].Observe(now.Sub(start).Seconds())
	t.trail.AddUntil(object.SQL, start, now, text)
}

// commit ends the transaction. It has no timeout: nobody could tell what became of it.
func (t *tx) commit() error {
	switch {
	case !t.begun:
		return nil
	case t.conn.broken != nil: // nothing was to be committed any more
		return explain(t.conn.broken, commit.SQL)
	}
	start := time.Now()
	_, err := t.conn.run(0, nil, commit)
	t.ran(start, commit.SQL)
	err = t.conn.outcome(err)
	if err == nil && t.conn.undone {
		err = errUndone()
	}
	return explain(err, commit.SQL)
}

// errUndone says that a commit turned out to be a rollback, because a statement had failed that nobody asked about.
func errUndone() error {
	return fault.New(fault.PostgreSQL, "current transaction is aborted, commands ignored until end of transaction block")
}

// rollback ends the transaction. That it fails is no news for anybody: the connection is closed then, with the same effect.
func (t *tx) rollback() {
	if !t.begun || t.conn.broken != nil {
		return
	}
	defer t.trail.Add(object.SQL, time.Now(), rollback.SQL)
	if _, err := t.conn.run(rollbackTimeout, nil, rollback); err != nil {
		t.conn.fail(fmt.Errorf("roll back: %w", err)) //nolint:errcheck // because the connection is closed by it
	}
}
