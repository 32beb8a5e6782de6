package object

import (
	"bytes"
	"context"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/query"
)

// Delete is a request to remove one object.
type Delete struct {
	Bucket  string
	Key     string
	Etag    string        // the etag that the object must have; "" for any
	Fresh   bool          // load the bucket's definition anew
	Headers jsvalue.Value // for the bucket's hooks: an object; nil for none
}

// Delete removes an object. The faults are BucketNotFound, ObjectNotFound, EtagConflict, and what hooks say.
func (s *Service) Delete(ctx context.Context, d *Delete) error {
	for attempt := range maxAttempts {
		b, err := s.Buckets.Get(ctx, s.Store, d.Bucket, d.Fresh || attempt > 0)
		if err != nil {
			return err
		}
		if len(b.Post) > 0 {
			err = s.Store.InTx(ctx, func(tx Tx) error { return s.delete(ctx, tx, b, d) })
		} else {
			_, err = d.run(b, func(st *query.Statement, row func(Row) error) error { return s.Store.Do(ctx, st, row) })
		}
		if !isStale(err) {
			return err
		}
	}
	return errBusy
}

// delete removes the object in tx and runs the hooks.
func (s *Service) delete(ctx context.Context, tx Tx, b *bucket.Bucket, d *Delete) error {
	if len(b.Post) == 0 {
		_, err := d.run(b, doIn(ctx, tx))
		return err
	}
	previous, err := s.previous(ctx, tx, b, d.Key)
	if err != nil {
		return err
	}
	id, err := d.run(b, doIn(ctx, tx))
	if err != nil {
		return err
	}
	return s.trigger(ctx, tx, &Event{
		Bucket: b, Post: true, Delete: true, Key: d.Key, ID: id, Headers: d.Headers, Previous: previous,
	})
}

// run removes the object with one statement and returns its id. The error is ErrStale if nothing was removed because the
// definition is not current, or because another request was at the object at the same moment.
func (d *Delete) run(b *bucket.Bucket, do doFunc) (id []byte, err error) {
	var etag []byte
	if d.Etag != "" {
		etag = []byte(d.Etag)
	}
	var removed, current bool
	var actual []byte
	err = do(query.For(b).Delete(d.Key, etag), func(r Row) error {
		removed, current = r[0] != nil, isTrue(r[3])
		id, actual = bytes.Clone(r[1]), bytes.Clone(r[2])
		return nil
	})
	switch {
	case err != nil:
		return nil, explain(err, b, d.Key)
	case removed:
		return id, nil
	case !current:
		return nil, ErrStale
	case actual == nil:
		return nil, notFound(b, d.Key)
	case d.Etag != "" && string(actual) != d.Etag:
		return nil, EtagIs(d.Etag).conflict(b, d.Key, actual)
	}
	return nil, ErrStale
}
