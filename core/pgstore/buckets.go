package pgstore

import (
	"context"
	"errors"
	"slices"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// LoadBucket implements bucket.Loader.
func (s *Store) LoadBucket(ctx context.Context, name string) (*bucket.Record, error) {
	return loadRecord(query.Record(name), func(st *query.Statement, row func(object.Row) error) error { return s.Do(ctx, st, row) })
}

// LoadBucket implements bucket.Loader.
func (t *tx) LoadBucket(ctx context.Context, name string) (*bucket.Record, error) {
	return loadRecord(query.Record(name), t.rows(ctx))
}

// LockConfig implements bucket.Tx.
func (t *tx) LockConfig(ctx context.Context, name string) (*bucket.Record, error) {
	if t.rehearsal != nil {
		return t.LoadBucket(ctx, name)
	}
	return loadRecord(query.LockedRecord(name), t.rows(ctx))
}

// rows returns Do without the number of rows.
func (t *tx) rows(ctx context.Context) func(*query.Statement, func(object.Row) error) error {
	return func(st *query.Statement, row func(object.Row) error) error {
		_, err := t.Do(ctx, st, row)
		return err
	}
}

func loadRecord(st *query.Statement, do func(*query.Statement, func(object.Row) error) error) (record *bucket.Record, err error) {
	err = do(st, func(row object.Row) error {
		record, err = query.ParseRecord(row)
		return err
	})
	return record, err
}

// clone copies a column; NULL stays nil.
func clone(text []byte) []byte {
	if text == nil {
		return nil
	}
	return append([]byte{}, text...)
}

// InsertConfig implements bucket.Tx.
func (t *tx) InsertConfig(ctx context.Context, name string, c *bucket.Config) error {
	err := t.change(ctx, bucket.Step{SQL: `INSERT INTO buckets_config (name, index, pre, post, options) VALUES ($1, $2, $3, $4, $5)`},
		name, string(c.Index), string(c.Pre), string(c.Post), string(c.Options))
	switch {
	case errors.Is(err, fault.UniqueAttribute):
		return fault.New(fault.BucketConflict, "%s was likely being concurrently updated", name).Because(err)
	case sqlState(err) != "" && !lockTimedOut(err):
		return fault.New(fault.Internal, "unable to create bucket").Because(err)
	case err != nil:
		return err
	}
	return t.announce(ctx, name)
}

// announce tells other servers, at the commit, that the definition of a bucket changed.
func (t *tx) announce(ctx context.Context, name string) error {
	return t.keep(ctx, `SELECT pg_notify('`+query.Channel+`', $1)`, name)
}

// UpdateConfig implements bucket.Tx.
func (t *tx) UpdateConfig(ctx context.Context, name string, c *bucket.Config, reindexing []byte) error {
	err := t.change(ctx, bucket.Step{SQL: `UPDATE buckets_config SET index = $2, pre = $3, post = $4, options = $5 WHERE name = $1`},
		name, string(c.Index), string(c.Pre), string(c.Post), string(c.Options))
	if err != nil {
		return err
	}
	if reindexing != nil {
		if err := t.keep(ctx, `UPDATE buckets_config SET reindex_active = $2 WHERE name = $1`, name, string(reindexing)); err != nil {
			return err
		}
	}
	return t.announce(ctx, name)
}

// HasReindexing implements bucket.Tx.
func (t *tx) HasReindexing(ctx context.Context) (has bool, err error) {
	_, err = t.Do(ctx, &query.Statement{SQL: `SELECT FROM pg_attribute
 WHERE attrelid = 'buckets_config'::regclass AND attname = '` + reindexActive + `' AND NOT attisdropped`}, func(object.Row) error {
		has = true
		return nil
	})
	return has || t.rehearsal != nil && slices.Contains(t.rehearsal.made, reindexActive), err
}

// AddReindexing implements bucket.Tx.
func (t *tx) AddReindexing(ctx context.Context) error {
	if t.rehearsal != nil && t.rehearsal.once(reindexActive) {
		return nil
	}
	return t.alter(ctx, "buckets_config", accessExclusive, `ALTER TABLE buckets_config ADD COLUMN IF NOT EXISTS `+reindexActive+` TEXT`)
}

// reindexActive is the column that databases lack in which no bucket was ever updated.
const reindexActive = `reindex_active`

// DeleteConfig implements bucket.Tx.
func (t *tx) DeleteConfig(ctx context.Context, name string) error {
	if err := t.change(ctx, bucket.Step{SQL: `DELETE FROM buckets_config WHERE name = $1`}, name); err != nil {
		return err
	}
	if err := t.forgetJob(ctx, name); err != nil {
		return err
	}
	return t.announce(ctx, name)
}
