package object

import (
	"context"

	"github.com/kaizengarden/moray/core/query"
)

// DeleteMany is a request to remove the objects that fit a filter.
type DeleteMany struct {
	Bucket string
	Filter string
	Page   query.Page
	Fresh  bool // load the bucket's definition anew
}

// DeleteMany returns how many objects were removed. The faults are InvalidQuery, BucketNotFound, NotIndexed, and what
// PostgreSQL says.
func (s *Service) DeleteMany(ctx context.Context, d *DeleteMany) (count int64, err error) {
	err = s.inTx(ctx, d.Bucket, func(tx Tx) error {
		count, err = s.deleteMany(ctx, tx, d)
		return err
	})
	return count, err
}

// deleteMany removes the objects in tx.
func (s *Service) deleteMany(ctx context.Context, tx Tx, d *DeleteMany) (int64, error) {
	b, where, err := s.compile(ctx, tx, d.Bucket, d.Filter, d.Fresh)
	if err != nil {
		return 0, err
	}
	st, err := query.For(b).DeleteMany(where, d.Page)
	if err != nil {
		return 0, err
	}
	return countChanged(ctx, tx, st)
}
