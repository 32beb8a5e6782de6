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
	// InBucketSession runs fn while no other session of any server works on the bucket. It waits for its turn without holding
	// anything.
	InBucketSession(ctx context.Context, name string, fn func(Session) error) error
	// Leftovers returns the names of the buckets for which something is recorded that an unfinished update made.
	Leftovers(ctx context.Context) ([]string, error)
	// Records passes the rows of buckets_config to row as JSON objects, whose members are the columns: of one bucket, or of
	// all if name is empty, in no particular order. It uses no cache and no transaction.
	Records(ctx context.Context, name string, row func(jsvalue.Value) error) error
}

// Session is a connection of its own for changes that take long. It is for one goroutine.
type Session interface {
	// InTx runs fn in a transaction that waits for each lock only for a moment, and then begins anew after a while: whoever
	// waits for the lock of a table makes everybody behind him wait.
	InTx(ctx context.Context, fn func(Tx) error) error
	// BuildIndex builds an index while others write. If it fails, an index may be left that is not valid. ErrInterrupted is in
	// the chain if it failed because somebody drops the table.
	BuildIndex(ctx context.Context, table string, i Index) error
	// DropIndex removes an index, if it is there, while others write.
	DropIndex(ctx context.Context, name string) error
}

// Tx is an open transaction that can change buckets. It is for one goroutine. Its methods return the faults that a client
// sees; after an error nothing but a rollback is possible.
type Tx interface {
	// LockConfig returns the record of a bucket and locks its row until the transaction ends: nil if there is none.
	LockConfig(ctx context.Context, name string) (*Record, error)
	// InsertConfig stores the definition of a new bucket. A bucket of that name is BucketConflict.
	InsertConfig(ctx context.Context, name string, c *Config) error
	// HasReindexing reports whether buckets_config has the column reindex_active, which databases lack in which no bucket was
	// ever updated. AddReindexing adds it, in a transaction of its own: it waits for all who use the table, and they for it.
	HasReindexing(ctx context.Context) (bool, error)
	AddReindexing(ctx context.Context) error
	// UpdateConfig replaces a stored definition, and reindex_active unless reindexing is nil.
	UpdateConfig(ctx context.Context, name string, c *Config, reindexing []byte) error
	// DeleteConfig removes the definition of a bucket. All three tell other servers, when the transaction is committed.
	DeleteConfig(ctx context.Context, name string) error

	// CreateTable makes all relations of a new bucket.
	CreateTable(ctx context.Context, t *Table) error
	// DropTable removes all relations of a bucket. Only the table itself must exist.
	DropTable(ctx context.Context, t *Table) error
	// CreateLockTable makes the one-row table that an ordered bucket numbers its puts with, unless it exists.
	CreateLockTable(ctx context.Context, name string) error
	// Empty reports whether a table has no rows.
	Empty(ctx context.Context, table string) (bool, error)

	// AddRowVersion adds the column that notes the version of a row, unless it exists.
	AddRowVersion(ctx context.Context, table string) error
	// DropColumns and AddColumns change columns one after the other. Their fault is a VError that counts those that failed.
	DropColumns(ctx context.Context, table string, columns []Column) error
	AddColumns(ctx context.Context, table string, columns []Column) error
	// RenameColumn gives a column another name.
	RenameColumn(ctx context.Context, table, from, to string) error

	// Indexes returns the indexes of a table that concern one column each.
	Indexes(ctx context.Context, table string) ([]Index, error)
	// CreateIndex, DropIndex and RenameIndex do what they say. An index that belongs to a constraint goes with the constraint.
	CreateIndex(ctx context.Context, table string, i Index) error
	DropIndex(ctx context.Context, table string, i Index) error
	RenameIndex(ctx context.Context, from, to string) error

	// AddShadow adds a column that is to take the place of another, and what keeps track of which rows it is filled for.
	AddShadow(ctx context.Context, table string, s Shadow) error
	// Unfilled passes rows to row that were not filled since they were last written, in the order of the keys: at most limit
	// of those after the given key. column is the text of the old column; mark tells the row's state.
	Unfilled(ctx context.Context, table string, s Shadow, after string, limit int, row func(key string, value, column []byte, mark string) error) error
	// Fill sets the shadow of rows that are still in the state that their mark tells.
	Fill(ctx context.Context, table string, s Shadow, rows []Filled) error
	// Replace puts the shadow in the place of the old column.
	Replace(ctx context.Context, table string, s Shadow) error
	// LockWriters keeps others from writing to a table until the transaction ends.
	LockWriters(ctx context.Context, table string) error

	// Owner returns the owner of a bucket, nil if it has none. Own notes it, in the place of one before, whose document counts
	// as superseded from then on; Disown forgets it.
	Owner(ctx context.Context, bucket string) (*Owner, error)
	Own(ctx context.Context, o *Owner) error
	Disown(ctx context.Context, bucket string) error

	// Note records a column or an index that is being made before the definition knows it, so that it is found if the update
	// does not come to its end. Noted returns what is recorded for a bucket; Settle forgets it.
	Note(ctx context.Context, bucket string, l Leftover) error
	Noted(ctx context.Context, bucket string) ([]Leftover, error)
	Settle(ctx context.Context, bucket string) error
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
	Valid      bool // of an index that exists: it can be used
}

// Shadow is a column of another type that is to take the place of one.
type Shadow struct {
	Column string // the identifier of the column to replace
	Type   field.Type
}

// Ident returns the identifier of the shadow until it takes its place. No index can have such a name.
func (s Shadow) Ident() string { return fold("_moray_" + s.Column) }

// MarkIdent returns the identifier of the column that keeps track of the shadow.
func (s Shadow) MarkIdent() string { return fold("_moray__" + s.Column) }

// Filled is the text of a shadow for one row; nil for NULL.
type Filled struct {
	Key, Mark string
	Text      []byte
}

// Step is one statement of a change of buckets, as somebody who plans it is shown.
type Step struct {
	SQL   string // with its arguments in their places
	Table string // the table that the lock and the rows are of
	// Lock is the mode of the lock that it takes on the table; empty if nobody waits for it.
	Lock string
	// Tx is the number of the transaction that it is part of, from 1; 0 for a statement that is none of any.
	Tx int
	// AllRows says that it works through all rows of the table.
	AllRows bool
	// Bookkeeping says that it concerns only records of what is going on.
	Bookkeeping bool
}

// Leftover is what an unfinished update made.
type Leftover struct {
	Index bool   // an index, otherwise a column
	Name  string // of the relation or column
}

// Size is how large a table is.
type Size struct {
	Rows  int64
	Bytes int64 // with its indexes
	// Exact says that the rows were counted. Of a large table they are estimated, by PostgreSQL's statistics.
	Exact bool
}

// Duplicate is a value that several rows have in a column.
type Duplicate struct {
	Value string // as PostgreSQL prints it
	Rows  int64
	Keys  []string // the first of the rows' keys
}

// Progress is how far something has come that takes long.
type Progress struct {
	What string // in words, such as "building index"
	// Done and Total count Unit; Total is 0 if nobody knows it.
	Done, Total int64
	Unit        string
}
