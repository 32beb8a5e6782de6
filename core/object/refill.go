package object

import (
	"bytes"
	"context"
	"errors"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/query"
)

// Refilled says what [Refill] did.
type Refilled struct {
	Last    string // the key of the last row that it looked at
	End     bool   // there are no rows behind it
	Written int
	Missed  int     // rows that somebody held, or wrote meanwhile
	Unfit   []Unfit // rows that cannot be reindexed as they are
}

// Unfit is a row that cannot be reindexed as it is.
type Unfit struct {
	Key string
	Err error
}

// refillBytes bounds the values that are held at a time. The rows behind it are read again.
const refillBytes = 4 << 20

// Refill is what a server does without being asked, of what clients ask [Service.Reindex] for: it reindexes one page of rows, at
// most limit of those with a key after the given one, in tx. It waits for nobody and keeps nobody waiting: a row that somebody
// holds or writes is left for the next time. If PostgreSQL refuses what a row holds, that is the error, see [RowRefused], and
// nothing is done for the whole page.
func Refill(ctx context.Context, tx Tx, b *bucket.Bucket, after string, limit int) (*Refilled, error) {
	statements := query.For(b)
	done := &Refilled{Last: after}
	var rows []query.Refill
	read, size := 0, 0
	_, err := tx.Do(ctx, statements.StaleAfter(after, limit), func(row Row) error {
		if size > refillBytes {
			return nil
		}
		read++
		done.Last = string(row[query.RowKey])
		value, texts, err := reindexRow(b, row[:len(row)-1])
		if err != nil {
			done.Unfit = append(done.Unfit, Unfit{done.Last, err})
			return nil
		}
		size += len(value)
		rows = append(rows, query.Refill{Key: []byte(done.Last), Mark: bytes.Clone(row[len(row)-1]), Value: value, Columns: texts})
		return nil
	})
	if err != nil {
		return nil, err
	}
	done.End = read < limit && size <= refillBytes
	if len(rows) == 0 {
		return done, nil
	}
	n, err := tx.Do(ctx, statements.Refill(rows), nil)
	done.Written, done.Missed = int(n), len(rows)-int(n)
	return done, err
}

// NextStale returns the key of the first row that [Refill] would look at; it is false if there is none.
func NextStale(ctx context.Context, tx Tx, b *bucket.Bucket, after string) (key string, found bool, err error) {
	_, err = tx.Do(ctx, query.For(b).StaleAfter(after, 1), func(row Row) error {
		key, found = string(row[query.RowKey]), true
		return nil
	})
	return key, found, err
}

// RowRefused reports whether an error of [Refill] is about what a row holds.
func RowRefused(err error) bool {
	f := fault.From(err)
	return errors.Is(err, ErrRefused) || f != nil && f.Name == fault.UniqueAttribute
}

// FinishReindexing makes the indexes of b usable if no row is left to be reindexed, else it does nothing and is false. It is
// ErrStale if the definition is not current.
func FinishReindexing(ctx context.Context, tx Tx, b *bucket.Bucket) (finished bool, err error) {
	left, err := tx.Do(ctx, query.For(b).AnyStale(), func(Row) error { return nil })
	if err != nil || left > 0 {
		return false, err
	}
	return true, finishReindexing(ctx, tx, b)
}
