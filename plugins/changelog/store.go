package changelog

import (
	"context"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
	"github.com/kaizengarden/moray/hooks/sdk"
)

// store lets the object operations of the server itself run in the transaction of an event, over the connection to the server.
type store struct{ tx *sdk.Tx }

var (
	_ object.Store = (*store)(nil)
	_ object.Tx    = (*inner)(nil)
)

// LoadBucket implements bucket.Loader.
func (s *store) LoadBucket(ctx context.Context, name string) (record *bucket.Record, err error) {
	err = s.Do(ctx, query.Record(name), func(row object.Row) error {
		record, err = query.ParseRecord(row)
		return err
	})
	return record, err
}

// Do implements object.Store.
func (s *store) Do(_ context.Context, st *query.Statement, row func(object.Row) error) error {
	_, err := s.run(st.SQL, st.Args, row)
	return err
}

// InTx implements object.Store: there is a transaction already.
func (s *store) InTx(_ context.Context, fn func(object.Tx) error) error { return fn(&inner{s}) }

func (s *store) run(sql string, args [][]byte, row func(object.Row) error) (int64, error) {
	texts := make([]any, len(args))
	for i, a := range args {
		if a != nil {
			texts[i] = string(a)
		}
	}
	rows, err := s.tx.Query(sql, texts...)
	if err != nil {
		return 0, err
	}
	for rows.Next() {
		if row == nil {
			continue
		}
		if err := row(rows.Cells()); err != nil {
			rows.Close() //nolint:errcheck // because err is the reason
			return 0, err
		}
	}
	return rows.Count(), rows.Err()
}

// inner is the transaction as the steps of an operation want it.
type inner struct{ *store }

// Do implements object.Tx.
func (t *inner) Do(_ context.Context, st *query.Statement, row func(object.Row) error) (int64, error) {
	return t.run(st.SQL, st.Args, row)
}

// Once implements object.Tx. Nothing is run again here.
func (t *inner) Once() {}

// Last implements object.Tx. The transaction is not its own to be committed.
func (t *inner) Last(ctx context.Context, st *query.Statement, row func(object.Row) error) (int64, error) {
	return t.Do(ctx, st, row)
}

// Run implements object.Tx. It is for hooks, and those of the other bucket are not run.
func (t *inner) Run(context.Context, *object.Script) (object.Result, error) {
	return object.Result{}, errNoHooks
}

// Attempt implements object.Tx, for the same.
func (t *inner) Attempt(context.Context, func() error) error { return errNoHooks }
