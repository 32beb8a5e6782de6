package reconcile

import (
	"context"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
)

// Store is what planning and applying ask of the database. core/pgstore implements it.
type Store interface {
	bucket.Store
	bucket.Loader

	// Live passes all buckets that there are, and those that are managed and not there, to each.
	Live(ctx context.Context, each func(bucket.Live) error) error
	// Rehearse runs fn over a store that changes nothing, and returns the steps that fn would have taken.
	Rehearse(ctx context.Context, fn func(bucket.Store) error) ([]bucket.Step, error)

	// Exclusively runs fn while nobody else does so on the same database. It waits so long for its turn at most, then it is
	// bucket.ErrBusy; if wait is negative, until ctx ends. Nobody has to wait for the wait. alive fails if the turn is lost,
	// because its connection is.
	Exclusively(ctx context.Context, wait time.Duration, fn func(alive func() error) error) error
	// Building tells what PostgreSQL is doing to a table: nil if it builds no index there.
	Building(ctx context.Context, table string) (*bucket.Progress, error)

	// Size tells how large a table is; nil if there is none.
	Size(ctx context.Context, table string) (*bucket.Size, error)
	// Duplicates returns values that several rows have in a column, at most limit, those with the most rows first.
	Duplicates(ctx context.Context, table, column string, limit int) ([]bucket.Duplicate, error)
	// Values passes key and value of rows to each, in the order of the keys: at most limit of those after the given key.
	Values(ctx context.Context, table, after string, limit int, each func(key string, value []byte) error) error
}
