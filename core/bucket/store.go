package bucket

import (
	"context"

	"github.com/kaizengarden/moray/core/field"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Store runs the steps of the bucket operations.
type Store interface {
	// InBucketTx runs fn in a transaction at READ COMMITTED, which is committed if fn returns nil.
	InBucketTx(ctx context.Context, fn func(Tx) error) error
	// Records passes the rows of buckets_config to row as JSON objects, whose members are the columns: of one bucket, or of
	// all if name is empty, in no particular order. It uses no cache and no transaction.
	Records(ctx context.Context, name string, row func(jsvalue.Value) error) error
}

// Tx is an open transaction that can change buckets. It is for one goroutine. Its methods return the faults that a client
// sees; after an error nothing but a rollback is possible.
type Tx interface {
	// LockConfig returns the record of a bucket and locks its row until the transaction ends: nil if there is none.
	LockConfig(ctx context.Context, name string) (*Record, error)
	// InsertConfig stores the definition of a new bucket. A bucket of that name is BucketConflict.
	InsertConfig(ctx context.Context, name string, c *Config) error
	// UpdateConfig replaces a stored definition, and reindex_active unless reindexing is nil. It sees to it that
	// buckets_config has that column.
	UpdateConfig(ctx context.Context, name string, c *Config, reindexing []byte) error
	// DeleteConfig removes the definition of a bucket.
	DeleteConfig(ctx context.Context, name string) error

	// CreateTable makes all relations of a new bucket.
	CreateTable(ctx context.Context, t *Table) error
	// DropTable removes all relations of a bucket. Only the table itself must exist.
	DropTable(ctx context.Context, t *Table) error
	// CreateLockTable makes the one-row table that an ordered bucket numbers its puts with, unless it exists.
	CreateLockTable(ctx context.Context, name string) error
	// Indexes returns the indexes of a table that concern one column each.
	Indexes(ctx context.Context, table string) ([]Index, error)
	// AddRowVersion adds the column that notes the version of a row, and its index, where they are missing.
	AddRowVersion(ctx context.Context, table, index string) error
	// DropColumns and AddColumns change columns one after the other. Their fault is a VError that counts those that failed.
	DropColumns(ctx context.Context, table string, columns []Column) error
	AddColumns(ctx context.Context, table string, columns []Column) error
	// RenameColumn gives a column another name.
	RenameColumn(ctx context.Context, table, from, to string) error
	// CreateIndex and DropIndex do what they say. An index that belongs to a constraint goes with the constraint.
	CreateIndex(ctx context.Context, table string, i Index) error
	DropIndex(ctx context.Context, table string, i Index) error
	// Values passes keys and values to row, in the order of the keys: at most limit of those after the given key.
	Values(ctx context.Context, table, after string, limit int, row func(key string, value []byte) error) error
	// FillColumn sets a column of the rows with the given keys to texts of its type.
	FillColumn(ctx context.Context, table, ident string, t field.Type, keys []string, texts [][]byte) error
}

// Table names the relations of a new bucket, or of one to drop.
type Table struct {
	Name      string
	Sequence  string
	LockTable string // used only if Ordered
	Ordered   bool
	Columns   []Column
	Indexes   []Index // those that are not made by a column being unique
}

// Index is an index on one column.
type Index struct {
	Name       string
	Column     string // the column's identifier
	Method     string // in upper case
	Unique     bool
	Constraint bool // the index belongs to a unique constraint of the same name
}
