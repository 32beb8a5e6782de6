package object

import (
	"context"

	"github.com/kaizengarden/moray/core/query"
)

// Operation is one item of a batch: one of its fields is set.
type Operation struct {
	Put        *Put
	Delete     *Delete
	Update     *Update
	DeleteMany *DeleteMany
}

// Outcome is what an operation of a batch did.
type Outcome struct {
	Etag  string // of puts and updates
	Count int64  // of updates and deletions of many
}

// Batch carries out operations one after the other in one transaction. The first that fails undoes all of them, and its fault
// is the answer.
func (s *Service) Batch(ctx context.Context, operations []Operation) ([]Outcome, error) {
	var outcomes []Outcome
	var err error
	for range maxAttempts {
		err = s.Store.InTx(ctx, func(tx Tx) error {
			outcomes = make([]Outcome, len(operations))
			for i := range operations {
				if err := s.perform(ctx, tx, &operations[i], &outcomes[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if !isStale(err) {
			break
		}
		for _, o := range operations {
			s.Buckets.Forget(o.bucket())
		}
	}
	return outcomes, err
}

func (o *Operation) bucket() string {
	switch {
	case o.Put != nil:
		return o.Put.Bucket
	case o.Delete != nil:
		return o.Delete.Bucket
	case o.Update != nil:
		return o.Update.Bucket
	}
	return o.DeleteMany.Bucket
}

func (s *Service) perform(ctx context.Context, tx Tx, o *Operation, out *Outcome) (err error) {
	switch {
	case o.Put != nil:
		out.Etag, err = s.putInBatch(ctx, tx, o.Put)
	case o.Delete != nil:
		err = s.deleteInBatch(ctx, tx, o.Delete)
	case o.Update != nil:
		out.Count, out.Etag, err = s.update(ctx, tx, o.Update)
	default:
		out.Count, err = s.deleteMany(ctx, tx, o.DeleteMany)
	}
	return err
}

func (s *Service) putInBatch(ctx context.Context, tx Tx, p *Put) (etag string, err error) {
	b, err := s.Buckets.Get(ctx, tx, p.Bucket, p.Fresh)
	if err != nil {
		return "", err
	}
	w := newWriting(p, s.mtime())
	if b.Plain() && p.Expects.kind == anything {
		// Without a precondition nothing has to be looked at first.
		if done, err := w.atOnce(b, doIn(ctx, tx)); done || err != nil {
			return w.etag, err
		}
	}
	return w.etag, s.put(ctx, tx, b, w)
}

func (s *Service) deleteInBatch(ctx context.Context, tx Tx, d *Delete) error {
	b, err := s.Buckets.Get(ctx, tx, d.Bucket, d.Fresh)
	if err != nil {
		return err
	}
	return s.delete(ctx, tx, b, d)
}

// doIn returns tx.Do without the number of rows.
func doIn(ctx context.Context, tx Tx) doFunc {
	return func(st *query.Statement, row func(Row) error) error {
		_, err := tx.Do(ctx, st, row)
		return err
	}
}

// doFunc runs one statement, in a transaction or as one.
type doFunc func(st *query.Statement, row func(Row) error) error
