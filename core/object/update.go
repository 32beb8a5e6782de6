package object

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"strconv"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/filter"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/query"
)

// Update is a request to set indexed fields of the objects that fit a filter. The objects' JSON text stays as it is: reads lay
// the columns over it.
type Update struct {
	Bucket string
	Fields *jsvalue.Object
	Filter string
	Page   query.Page
	Fresh  bool // load the bucket's definition anew
}

// Update returns how many objects were changed, and the etag that all of them have now; there is an etag also if there were
// none. The faults are FieldUpdate without any field, InvalidQuery, BucketNotFound, NotIndexed for what the filter or the
// fields rely on, InvalidIndexType, NotNullable, and what PostgreSQL says.
func (s *Service) Update(ctx context.Context, u *Update) (count int64, etag string, err error) {
	if u.Fields.Len() == 0 {
		return 0, "", fault.New(fault.FieldUpdate, "{} is not a valid update definition")
	}
	err = s.inTx(ctx, u.Bucket, func(tx Tx) error {
		count, etag, err = s.update(ctx, tx, u)
		return err
	})
	return count, etag, err
}

// update changes the objects in tx.
func (s *Service) update(ctx context.Context, tx Tx, u *Update) (count int64, etag string, err error) {
	b, where, err := s.compile(ctx, tx, u.Bucket, u.Filter, u.Fresh)
	if err != nil {
		return 0, "", err
	}
	fields, err := u.fields(b)
	if err != nil {
		return 0, "", err
	}
	etag = randomEtag()
	st, err := query.For(b).UpdateMany(where, u.Page, *fields, etag, s.mtime())
	if err != nil {
		return 0, "", err
	}
	count, err = countChanged(ctx, tx, st)
	return count, etag, err
}

// compile translates the filter of an update or deletion of many, which must be answered by indexes alone.
func (s *Service) compile(ctx context.Context, tx Tx, name, text string, fresh bool) (*bucket.Bucket, *query.Where, error) {
	tree, err := filter.Parse(text)
	if err != nil {
		return nil, nil, fault.New(fault.InvalidQuery, "%s is an invalid filter", text).Because(err)
	}
	b, err := s.Buckets.Get(ctx, tx, name, fresh)
	if err != nil {
		return nil, nil, err
	}
	if err := query.RequireIndexes(b, tree, text); err != nil {
		return nil, nil, err
	}
	where, err := query.Compile(b, tree)
	return b, where, err
}

// fields converts the fields: first all that are indexes, then each is asked whether it may be set.
func (u *Update) fields(b *bucket.Bucket) (*query.Fields, error) {
	fields := &query.Fields{}
	var checks []func() error
	for i := range u.Fields.Len() {
		name, value := u.Fields.At(i)
		c := b.Column(name)
		checks = append(checks, func() error { return u.settable(b, c, value) })
		if c == nil {
			continue
		}
		var text []byte
		if !value.IsNull() {
			var err error
			if text, err = c.Type.AppendColumn([]byte{}, value); err != nil {
				return nil, fault.New(fault.InvalidIndexType, "index(%s) is of type %s", c.Name, c.Type.Elem()).Because(err)
			}
		}
		fields.Columns = append(fields.Columns, c)
		fields.Texts = append(fields.Texts, jsvalue.Sanitize(text))
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

func (u *Update) settable(b *bucket.Bucket, c *bucket.Column, value jsvalue.Value) error {
	switch {
	case c == nil:
		return fault.New(fault.NotIndexed, "%s does not have indexes that support %s", b.Name, u.Fields.Text())
	case c.Reindexing:
		return query.NotIndexed(b, string(u.Fields.Text()), b.Reindexing(), nil)
	case value.IsNull():
		return fault.New(fault.NotNullable, `index "%s" (of type "%s") cannot store null values`, c.Name, c.Type)
	}
	return nil
}

// countChanged runs a statement that changes many rows.
func countChanged(ctx context.Context, tx Tx, st *query.Statement) (count int64, err error) {
	current := false
	_, err = tx.Do(ctx, st, func(r Row) error {
		current = isTrue(r[1])
		count, err = strconv.ParseInt(string(r[0]), 10, 64)
		return err
	})
	if err == nil && !current {
		err = ErrStale
	}
	return count, err
}

// randomEtag returns an etag for objects whose text did not change: u and seven hexadecimal digits.
func randomEtag() string {
	var b [4]byte
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return "u" + hex.EncodeToString(b[:])[:7]
}

// inTx runs an operation of several steps in a transaction, once more if it turns out that it used a definition of the bucket
// that is not current.
func (s *Service) inTx(ctx context.Context, name string, fn func(Tx) error) error {
	var err error
	for range maxAttempts {
		err = s.Store.InTx(ctx, fn)
		if !isStale(err) {
			return err
		}
		s.Buckets.Forget(name)
	}
	return err
}
