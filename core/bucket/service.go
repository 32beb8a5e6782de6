package bucket

import (
	"context"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Service carries out the bucket operations. It is safe for concurrent use.
type Service struct {
	Store    Store
	Cache    *Cache
	Triggers Triggers // nil if the server runs none
	// Progress is told of what takes long, from time to time; nil for nobody.
	Progress func(bucket string, p Progress)
}

// Create makes a new bucket. The faults are those of [ParseConfig], BucketConflict if a bucket of that name exists, and what
// PostgreSQL says about the relations.
func (s *Service) Create(ctx context.Context, name string, config jsvalue.Value) error {
	return s.create(ctx, name, config, nil)
}

func (s *Service) create(ctx context.Context, name string, config jsvalue.Value, owner *Owner) error {
	return s.Store.InBucketTx(ctx, func(tx Tx) error {
		c, err := ParseConfig(ctx, s.Triggers, name, config)
		if err != nil {
			return err
		}
		if err := tx.InsertConfig(ctx, name, c); err != nil {
			return err
		}
		if err := tx.CreateTable(ctx, newTable(name, c)); err != nil || owner == nil {
			return err
		}
		return tx.Own(ctx, owner)
	})
}

// newTable names the relations of a bucket. The order in which names are given is part of the rule: it decides who keeps the
// plain name when long ones collide.
func newTable(name string, c *Config) *Table {
	t := &Table{Name: TableName(name), Ordered: c.Ordered, Columns: c.Columns}
	names := NewNamer(t.Name)
	t.Sequence = names.Name("_serial")
	t.LockTable = names.Name("_locking_serial")
	for _, column := range c.Columns {
		if !column.Unique {
			t.Indexes = append(t.Indexes, Index{Name: names.Index(column.Ident), Column: column.Ident, Method: column.Type.IndexMethod()})
		}
	}
	for _, column := range []string{"_id", "_etag", "_mtime", "_vnode"} {
		t.Indexes = append(t.Indexes, Index{Name: names.Index(column), Column: column, Method: "BTREE"})
	}
	return t
}

// Get passes the stored record of a bucket to row. A bucket that does not exist is BucketNotFound.
func (s *Service) Get(ctx context.Context, name string, row func(jsvalue.Value) error) error {
	found := false
	err := s.Store.Records(ctx, name, func(record jsvalue.Value) error {
		found = true
		return row(record)
	})
	if err == nil && !found {
		return notFound(name)
	}
	return err
}

// List passes the stored records of all buckets to row.
func (s *Service) List(ctx context.Context, row func(jsvalue.Value) error) error {
	return s.Store.Records(ctx, "", row)
}

// Delete removes a bucket with all its objects, as a client asks. The faults are InvalidBucketName for a reserved name,
// BucketNotFound, and BucketProtected.
func (s *Service) Delete(ctx context.Context, name string) error {
	err := s.Store.InBucketTx(ctx, func(tx Tx) error {
		if err := checkReserved(name); err != nil {
			return err
		}
		record, err := tx.LockConfig(ctx, name)
		if err != nil {
			return err
		}
		if record == nil {
			return notFound(name)
		}
		if err := refuseProtected(ctx, tx, name); err != nil {
			return err
		}
		return remove(ctx, tx, name)
	})
	// Also after an error: the commit may have happened all the same.
	s.Cache.Forget(name)
	return err
}

// remove removes a bucket whose definition is locked.
func remove(ctx context.Context, tx Tx, name string) error {
	if err := tx.DeleteConfig(ctx, name); err != nil {
		return err
	}
	if err := tx.Settle(ctx, name); err != nil {
		return err
	}
	return tx.DropTable(ctx, newTable(name, &Config{}))
}

func notFound(name string) error { return fault.New(fault.BucketNotFound, "%s does not exist", name) }
