package object

import (
	"context"
	"sync"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/filter"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/query"
)

// Find is a request for the objects that fit a filter.
type Find struct {
	Bucket         string
	Filter         string
	Page           query.Page
	NoCount        bool // the records do not say how many objects fit
	OnlySQL        bool // answer with the statement instead of running it
	RequireIndexes bool // refuse a filter that is not answered by indexes alone
	Fresh          bool // load the bucket's definition anew
	// Accepted is called once the bucket is known to exist and RequireIndexes is fulfilled; nil for nothing.
	Accepted func() error
}

// Find passes the records of the objects that fit to row, as they come from PostgreSQL. row may block; the record is valid
// during the call. The faults are InvalidQuery for a filter that cannot be read, BucketNotFound, NotIndexed, those of the
// filter's operands and of the sort attributes, and what PostgreSQL says.
func (s *Service) Find(ctx context.Context, f *Find, row func(record jsvalue.Value) error) error {
	tree, err := filter.Parse(f.Filter)
	if err != nil {
		return fault.New(fault.InvalidQuery, "%s is an invalid filter", f.Filter).Because(err)
	}
	accepted := f.Accepted
	return s.withDefinition(ctx, f.Bucket, f.Fresh, func(b *bucket.Bucket) error {
		if f.RequireIndexes {
			if err := query.RequireIndexes(b, tree, f.Filter); err != nil {
				return err
			}
		}
		if accepted != nil {
			if err := accepted(); err != nil {
				return err
			}
			accepted = nil
		}
		where, err := query.Compile(b, tree)
		if err != nil {
			return err
		}
		selection, err := query.For(b).Find(where, f.Page, !f.NoCount)
		if err != nil {
			return err
		}
		if f.OnlySQL {
			return row(selection.AppendJSON(nil))
		}
		r := findings.Get().(*finding)
		defer r.release()
		r.bucket, r.filter, r.counted, r.send = b, tree, !f.NoCount, row
		return s.Store.Do(ctx, selection.Statement(), r.row)
	})
}

// finding is a find whose rows arrive.
type finding struct {
	bucket  *bucket.Bucket
	filter  filter.Node
	counted bool
	send    func(jsvalue.Value) error
	found   found // the row that is looked at
	buf     []byte
}

var findings = sync.Pool{New: func() any { return new(finding) }}

// release leaves the memory of f for later finds, unless a large object has made it large.
func (f *finding) release() {
	if cap(f.buf)+cap(f.found.values) > maxKept {
		return
	}
	f.bucket, f.filter, f.send, f.found.row, f.found.count = nil, nil, nil, nil, nil
	findings.Put(f)
}

// maxKept is how many bytes a find leaves for later ones at most.
const maxKept = 64 << 10

// row matches one row again in memory, because the filter may name members that are not indexed, and sends its record.
func (f *finding) row(row Row) error {
	if err := checkID(f.bucket, row[query.RowKey], row[query.RowID], row[query.RowIDX]); err != nil {
		return err
	}
	if err := f.found.read(f.bucket, row); err != nil {
		return conversionFailed(err)
	}
	f.found.row = row
	if f.counted {
		f.found.count = row[len(row)-1]
	}
	if !f.filter.Match(&f.found) {
		return nil
	}
	f.buf = f.found.appendValue(appendHead(f.buf[:0], f.bucket, row))
	f.buf = appendTail(f.buf, row)
	if f.counted {
		f.buf = append(append(f.buf, `,"_count":`...), f.found.count...)
	}
	f.buf = append(f.buf, '}')
	return f.send(f.buf)
}
