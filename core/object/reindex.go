package object

import (
	"bytes"
	"context"
	"strconv"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/query"
)

// Reindex is a request to fill the columns of objects that were stored before an index was added.
type Reindex struct {
	Bucket  string
	Count   float64 // how many objects at most
	NoCount bool    // do not count what remains
}

// Reindexed says what a Reindex did.
type Reindexed struct {
	Processed int64
	Remaining int64 // -1 if it was not counted
}

// reindexPage is how many rows are held in memory at a time.
const reindexPage = 200

// Reindex fills the columns of objects that have an old row version, and stores their values as reads show them. When none is
// left, the indexes become usable. The faults are BucketNotFound, InvalidArgument for a count of 0, InvalidIndexType for a
// value that does not fit its index, Internal for a row that cannot be read, and what PostgreSQL says.
func (s *Service) Reindex(ctx context.Context, r *Reindex) (*Reindexed, error) {
	var done *Reindexed
	finished := false
	err := s.inTx(ctx, r.Bucket, func(tx Tx) error {
		b, err := s.Buckets.Get(ctx, tx, r.Bucket, true)
		if err != nil {
			return err
		}
		if r.Count < 1 {
			return fault.New(fault.InvalidArgument, "count 0 < 1")
		}
		done = &Reindexed{Remaining: -1}
		if !b.Pending {
			return nil
		}
		if done.Processed, err = reindexRows(ctx, tx, b, r.Count); err != nil {
			return err
		}
		if finished = done.Processed == 0; finished {
			if err := finishReindexing(ctx, tx, b); err != nil {
				return err
			}
		}
		if !r.NoCount {
			done.Remaining, err = CountStale(ctx, tx, b)
		}
		return err
	})
	if finished {
		s.Buckets.Forget(r.Bucket)
	}
	return done, err
}

// reindexRows reindexes at most count rows.
func reindexRows(ctx context.Context, tx Tx, b *bucket.Bucket, count float64) (processed int64, err error) {
	statements := query.For(b)
	for left := count; left >= 1; {
		page := reindexPage
		if left < reindexPage {
			page = int(left)
		}
		var writes []*query.Statement
		_, err := tx.Do(ctx, statements.Stale(page), func(row Row) error {
			value, texts, err := reindexRow(b, row)
			writes = append(writes, statements.Reindex(string(row[query.RowKey]), value, texts))
			return err
		})
		if err != nil {
			return 0, err
		}
		for _, st := range writes {
			if _, err := tx.Do(ctx, st, nil); err != nil {
				return 0, err
			}
		}
		processed += int64(len(writes))
		left -= float64(len(writes))
		if len(writes) < page {
			break
		}
	}
	return processed, nil
}

// reindexRow returns what is to be stored in the row that is read: its value, and the texts for its columns.
func reindexRow(b *bucket.Bucket, row Row) (value []byte, texts [][]byte, err error) {
	if err := checkID(b, row[query.RowKey], row[query.RowID], row[query.RowIDX]); err != nil {
		return nil, nil, conversionFailed(err)
	}
	m := new(merged)
	if err := m.read(b, row); err != nil {
		return nil, nil, conversionFailed(err)
	}
	if m.object == nil { // not an object: it has no members to index
		return append([]byte{}, row[query.RowValue]...), make([][]byte, len(b.Columns)), nil
	}
	object, err := m.rewritten()
	if err != nil {
		return nil, nil, err
	}
	if texts, err = reindexed(b, m.object, row); err != nil {
		return nil, nil, err
	}
	// Without edits the value is still in the row, which is valid only during the call.
	return bytes.Clone(jsvalue.Sanitize(object.Text())), texts, nil
}

// reindexed returns the texts for the columns of a row. A column that is filled keeps its text, which may be one that no value
// stands for: only those that are not filled yet take theirs from the object.
func reindexed(b *bucket.Bucket, object *jsvalue.Object, row Row) ([][]byte, error) {
	texts := make([][]byte, len(b.Columns))
	at := query.RowColumns - 1
	for i := range b.Columns {
		c := &b.Columns[i]
		if !c.Missing {
			at++
			if !c.Reindexing && row[at] != nil {
				texts[i] = bytes.Clone(row[at])
				continue
			}
		}
		var err error
		if texts[i], err = column([]byte{}, c, object); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// finishReindexing makes the indexes usable. It fails with ErrStale if the definition changed, which may have added more.
func finishReindexing(ctx context.Context, tx Tx, b *bucket.Bucket) error {
	current := false
	_, err := tx.Do(ctx, query.For(b).Reindexed(), func(Row) error {
		current = true
		return nil
	})
	if err == nil && !current {
		err = ErrStale
	}
	return err
}

// CountStale counts the rows that are to be reindexed.
func CountStale(ctx context.Context, tx Tx, b *bucket.Bucket) (int64, error) {
	return number(ctx, tx, query.For(b).CountStale())
}

// number runs a statement that answers with one number.
func number(ctx context.Context, tx Tx, st *query.Statement) (n int64, err error) {
	_, err = tx.Do(ctx, st, func(r Row) error {
		n, err = strconv.ParseInt(string(r[0]), 10, 64)
		return err
	})
	return n, err
}
