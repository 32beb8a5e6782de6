// Package object carries out the operations on objects: put, get, delete, find. Each verb has a file, which reads from top to
// bottom as the steps of the specification.
//
// A put or delete of a bucket without hooks and without an order is one statement that commits itself. Everything else
// goes step by step through one transaction. The statements come from core/query; how they get to PostgreSQL is up to the
// [Store], which core/pgstore implements.
package object

import (
	"errors"
	"strconv"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/query"
)

// Service carries out the operations. It is safe for concurrent use.
type Service struct {
	Store    Store
	Buckets  *bucket.Cache
	Triggers Triggers // nil if the server runs none
	// Now tells the time that objects are marked with; nil means time.Now.
	Now func() time.Time
}

// mtime is the time that objects written now are marked with, in ms since the epoch.
func (s *Service) mtime() int64 {
	if s.Now != nil {
		return s.Now().UnixMilli()
	}
	return time.Now().UnixMilli()
}

// maxAttempts is how often an operation is tried with a fresh definition, or against another request that changes the same
// object at the same moment. Each attempt that fails means that somebody else got ahead.
const maxAttempts = 10

// errBusy is what is left after maxAttempts.
var errBusy = errors.New("the object or the definition of its bucket keeps changing")

// Precondition is what a request expects of the stored object.
type Precondition struct {
	kind preconditionKind
	etag string
}

type preconditionKind uint8

const (
	anything preconditionKind = iota
	nothing
	exactly
)

// Absent expects that there is no object. The zero Precondition expects nothing.
var Absent = Precondition{kind: nothing}

// EtagIs expects an object with the given etag.
func EtagIs(etag string) Precondition { return Precondition{kind: exactly, etag: etag} }

// check compares with the etag of the stored object, nil for none.
func (p Precondition) check(b *bucket.Bucket, key string, actual []byte) error {
	switch {
	case p.kind == anything,
		p.kind == nothing && actual == nil,
		p.kind == exactly && actual != nil && string(actual) == p.etag:
		return nil
	}
	return p.conflict(b, key, actual)
}

func (p Precondition) conflict(b *bucket.Bucket, key string, actual []byte) error {
	expected, found := p.etag, "null"
	if p.kind == nothing {
		expected = "null"
	}
	if actual != nil {
		found = string(actual)
	}
	return fault.New(fault.EtagConflict, `%s::%s was expected to have etag "%s", but was "%s"`, b.Name, key, expected, found).
		With("bucket", b.Name, "key", key, "expected", expected, "actual", found)
}

func notFound(b *bucket.Bucket, key string) error {
	return fault.New(fault.ObjectNotFound, "%s::%s does not exist", b.Name, key)
}

// columns returns the texts for the columns of b's indexes, by the members of an object: nil for members that are absent or
// null. A value that is not of its index's type is InvalidIndexType.
func columns(b *bucket.Bucket, object *jsvalue.Object) ([][]byte, error) {
	texts := make([][]byte, len(b.Columns))
	shared := make([]byte, 0, columnsSize)
	for i := range b.Columns {
		text, err := column(shared, &b.Columns[i], object)
		if err != nil {
			return nil, err
		}
		if texts[i] = text[:len(text):len(text)]; len(text) <= cap(shared) {
			shared = shared[len(text):len(text)] // what is left of it
		}
	}
	return texts, nil
}

// columnsSize is how much memory the texts of a row's columns get together. Longer ones get their own.
const columnsSize = 128

// column returns the text for the column of an index, in the memory of dst if it is large enough.
func column(dst []byte, c *bucket.Column, object *jsvalue.Object) ([]byte, error) {
	member := object.Get(c.Name)
	if member == nil || member.IsNull() {
		return nil, nil
	}
	text, err := c.Type.AppendColumn(dst[:0], member)
	if err != nil {
		return nil, fault.New(fault.InvalidIndexType, "index(%s) is of type %s", c.Name, c.Type.Elem()).Because(err)
	}
	return jsvalue.Sanitize(text), nil
}

// vnode returns the text for the column _vnode, or nil.
func vnode(object *jsvalue.Object) []byte {
	v := object.Get("vnode")
	switch v.Kind() {
	case jsvalue.KindUndefined, jsvalue.KindNull:
		return nil
	case jsvalue.KindString:
		return jsvalue.Sanitize(v.AppendText([]byte{}))
	}
	return v
}

// checkID returns the fault for a row whose id a client cannot represent, or nil. id and idx are the two id columns in text
// form, nil for NULL.
func checkID[Key string | []byte](b *bucket.Bucket, key Key, id, idx []byte) error {
	if b.ExtendedID {
		switch {
		case id == nil && idx == nil:
			return fault.New(fault.AssertionError, "must have _idx if no _id")
		case id != nil && idx != nil:
			return fault.New(fault.AssertionError, "must not have _idx if _id exists")
		case id == nil:
			id = idx
		}
	}
	if id == nil {
		return fault.New(fault.Multi, `invalid "_id" type (bucket "%s"; key "%s"): 'null'`, b.Name, key)
	}
	if !representable(id) {
		return fault.New(fault.Multi, `invalid "_id" value (bucket "%s"; key "%s"): number is outside of the supported range: "%s"`,
			b.Name, key, id)
	}
	return nil
}

// representable reports whether a JavaScript number can be id.
func representable(id []byte) bool {
	n, err := strconv.ParseInt(string(id), 10, 64)
	return err == nil && n <= query.MaxID
}

// explain turns the error of a statement that met a row with an impossible id into its fault.
func explain(err error, b *bucket.Bucket, key string) error {
	var bad *BadID
	if !errors.As(err, &bad) {
		return err
	}
	text := func(id string) []byte {
		if id == "null" {
			return nil
		}
		return []byte(id)
	}
	if f := checkID(b, key, text(bad.ID), text(bad.IDX)); f != nil {
		return f
	}
	return err
}

// isTrue reads a boolean column.
func isTrue(column []byte) bool { return len(column) == 1 && column[0] == 't' }
