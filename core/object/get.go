package object

import (
	"context"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/query"
)

// Get is a request for one object.
type Get struct {
	Bucket string
	Key    string
	Fresh  bool // load the bucket's definition anew
	// Loaded is called once the bucket is known to exist; nil for nothing.
	Loaded func() error
}

// Get returns the record of an object. The faults are BucketNotFound, ObjectNotFound, and Internal for a row that cannot be a
// record.
func (s *Service) Get(ctx context.Context, g *Get) (jsvalue.Value, error) {
	b, err := s.Buckets.Get(ctx, s.Store, g.Bucket, g.Fresh)
	if err != nil {
		return nil, err
	}
	if g.Loaded != nil {
		if err := g.Loaded(); err != nil {
			return nil, err
		}
	}
	record, err := s.get(ctx, b, g.Key)
	if isStale(err) {
		if b, err = s.Buckets.Get(ctx, s.Store, g.Bucket, true); err != nil {
			return nil, err
		}
		record, err = s.get(ctx, b, g.Key)
	}
	return record, err
}

// get reads an object by the definition b. The error is ErrStale if b does not fit the table.
func (s *Service) get(ctx context.Context, b *bucket.Bucket, key string) (jsvalue.Value, error) {
	g := getting{bucket: b}
	switch err := s.Store.Do(ctx, query.For(b).Get(key), g.row); {
	case err != nil:
		return nil, err
	case g.failed != nil:
		return nil, conversionFailed(g.failed)
	case g.record == nil:
		return nil, notFound(b, key)
	}
	return g.record, nil
}

// getting is a get whose row arrives.
type getting struct {
	bucket *bucket.Bucket
	record jsvalue.Value // nil if there is no row
	failed error         // why the row cannot be a record
}

func (g *getting) row(r Row) error {
	g.record, g.failed = appendRecord(nil, g.bucket, r)
	return nil
}

// withDefinition runs an operation that only reads, once more with a fresh definition if the first one turns out not to fit
// the table.
func (s *Service) withDefinition(ctx context.Context, name string, fresh bool, fn func(*bucket.Bucket) error) error {
	b, err := s.Buckets.Get(ctx, s.Store, name, fresh)
	if err != nil {
		return err
	}
	if err = fn(b); !isStale(err) {
		return err
	}
	if b, err = s.Buckets.Get(ctx, s.Store, name, true); err != nil {
		return err
	}
	return fn(b)
}

// conversionFailed wraps the reason why a row cannot be a record as getObject does.
func conversionFailed(reason error) error {
	text := reason.Error()
	if f := fault.From(reason); f != nil {
		text = f.Message
	}
	return fault.New(fault.Internal, "failed to convert row: %s", text).Because(reason)
}
