// Package bucket knows what a bucket is: its definition in the table buckets_config, the checks that a definition must
// pass, the names of the relations that belong to it, the difference between two definitions, and the operations that
// create, change and delete buckets. It keeps the definitions that the object operations use in a [Cache].
//
// It does not know SQL: the steps of an operation go through [Tx], which core/pgstore implements.
package bucket

import (
	"strconv"
	"sync"

	"github.com/kaizengarden/moray/core/field"
)

// Bucket is the definition of a bucket as it was loaded at one moment. It does not change afterwards and is shared by all
// requests.
type Bucket struct {
	Name    string   // as the client writes it
	Table   string   // the name of its table: in lower case, at most 63 bytes
	Columns []Column // in the order of the definition
	Pre     []Trigger
	Post    []Trigger
	Schema  *Schema // of the values; nil for any

	// Version is the version of the definition; 0 for none. Clients may use any number that JSON has, also 1e21.
	Version float64
	// Ordered says that puts take a number from the lock table, one after the other.
	Ordered bool
	// ExtendedID says that the table has a second, 64-bit id column beside a 32-bit one that ran out.
	ExtendedID bool
	// RowVersion says that puts note Version in the row, because a reindexing is or was going on.
	RowVersion bool
	// Pending says that a reindexing is asked for and not finished, even if it concerns no column.
	Pending bool
	// Generation identifies the row of buckets_config that the definition comes from: its xmin.
	Generation uint32

	memos [layers]struct {
		once  sync.Once
		value any
	}
}

// Layer is a part of the server that derives something from definitions. See [Bucket.Memo].
type Layer uint8

// The layers.
const (
	Statements Layer = iota // core/query
	Hooks                   // what runs the hooks
	layers
)

// Column is one index of a bucket and the column that holds it.
type Column struct {
	Name   string // as the definition writes it: the name of the member of the value
	Ident  string // the name of the column: in lower case, at most 63 bytes
	Type   field.Type
	Unique bool
	// Reindexing says that rows may not have the column filled: filters must not rely on it, and reads take the member from
	// the value.
	Reindexing bool
	// Missing says that the table has no such column.
	Missing bool
}

// Column returns the column of the index with the given name, or nil. The case of the name counts.
func (b *Bucket) Column(name string) *Column {
	for i := range b.Columns {
		if b.Columns[i].Name == name {
			return &b.Columns[i]
		}
	}
	return nil
}

// Plain reports whether puts and deletes of b's objects are one statement: no triggers, no order to keep.
func (b *Bucket) Plain() bool { return len(b.Pre) == 0 && len(b.Post) == 0 && !b.Ordered }

// ID returns a text that no other definition of any bucket has.
func (b *Bucket) ID() string { return b.Name + "/" + strconv.FormatUint(uint64(b.Generation), 10) }

// Reindexing returns the names of the indexes that are being reindexed.
func (b *Bucket) Reindexing() []string {
	var names []string
	for _, c := range b.Columns {
		if c.Reindexing {
			names = append(names, c.Name)
		}
	}
	return names
}

// Memo returns what build made of b the first time that Memo was called for a layer. A higher layer keeps there what it derives from a
// definition once, such as the texts of its statements.
func (b *Bucket) Memo(of Layer, build func(*Bucket) any) any {
	m := &b.memos[of]
	m.once.Do(func() { m.value = build(b) })
	return m.value
}
