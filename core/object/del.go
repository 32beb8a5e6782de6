package object

import (
	"context"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/query"
)

// Delete is a request to remove one object.
type Delete struct {
	Bucket string
	Key    string
	Etag   string // the etag that the object must have; "" for any
	Fresh  bool   // load the bucket's definition anew
}

// Delete removes an object. The faults are BucketNotFound, ObjectNotFound and EtagConflict.
func (s *Service) Delete(ctx context.Context, d *Delete) error {
	for attempt := range maxAttempts {
		b, err := s.Buckets.Get(ctx, s.Store, d.Bucket, d.Fresh || attempt > 0)
		if err != nil {
			return err
		}
		err = d.run(b, func(st *query.Statement, row func(Row) error) error { return s.Store.Do(ctx, st, row) })
		if !isStale(err) {
			return err
		}
	}
	return errBusy
}

// run removes the object with one statement. The error is ErrStale if nothing was removed because the definition is not
// current, or because another request was at the object at the same moment.
func (d *Delete) run(b *bucket.Bucket, do doFunc) error {
	var etag []byte
	if d.Etag != "" {
		etag = []byte(d.Etag)
	}
	var removed, current bool
	var actual []byte
	err := do(query.For(b).Delete(d.Key, etag), func(r Row) error {
		removed, current = r[0] != nil, isTrue(r[3])
		actual = nil
		if r[2] != nil {
			actual = append([]byte{}, r[2]...)
		}
		return nil
	})
	switch {
	case err != nil:
		return explain(err, b, d.Key)
	case removed:
		return nil
	case !current:
		return ErrStale
	case actual == nil:
		return notFound(b, d.Key)
	case d.Etag != "" && string(actual) != d.Etag:
		return EtagIs(d.Etag).conflict(b, d.Key, actual)
	}
	return ErrStale
}
