package pgstore

import (
	"context"
	"errors"
	"strconv"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// What somebody who plans a change of buckets wants to know about the rows that are there.

// countedBytes is the size up to which the rows of a table are counted.
const countedBytes = 16 << 20

// Size implements reconcile.Store.
func (s *Store) Size(ctx context.Context, table string) (size *bucket.Size, err error) {
	err = s.inTx(ctx, waitBriefly, func(t *tx) error {
		size = nil
		var heap int64
		_, err := t.Do(ctx, &query.Statement{
			SQL: `SELECT greatest(c.reltuples, coalesce(s.n_live_tup, 0), 0)::bigint, pg_total_relation_size(c.oid), pg_relation_size(c.oid)
 FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.oid = to_regclass($1)`,
			Args: [][]byte{[]byte(query.Quote(table))},
		}, func(row object.Row) (err error) {
			size = &bucket.Size{}
			return integers(row, &size.Rows, &size.Bytes, &heap)
		})
		if err != nil || size == nil || heap > countedBytes {
			return err
		}
		size.Exact = true
		_, err = t.Do(ctx, &query.Statement{SQL: `SELECT count(*) FROM ` + query.Quote(table), Once: true}, func(row object.Row) error {
			return integers(row, &size.Rows)
		})
		return err
	})
	return size, err
}

// integers reads the columns of a row that are integers.
func integers(row object.Row, into ...*int64) (err error) {
	for i, n := range into {
		var of error
		*n, of = strconv.ParseInt(string(row[i]), 10, 64)
		err = errors.Join(err, of)
	}
	return err
}

// Duplicates implements reconcile.Store.
func (s *Store) Duplicates(ctx context.Context, table, column string, limit int) (all []bucket.Duplicate, err error) {
	c := query.Quote(column)
	st := &query.Statement{
		SQL: `SELECT left(` + c + `::text, 200), count(*), array_to_json((array_agg(_key ORDER BY _key))[1:3]) FROM ` + query.Quote(table) +
			` WHERE ` + c + ` IS NOT NULL GROUP BY ` + c + ` HAVING count(*) > 1 ORDER BY 2 DESC, 1 LIMIT $1::bigint`,
		Args: [][]byte{strconv.AppendInt(nil, int64(limit), 10)},
		Once: true,
	}
	err = s.Do(ctx, st, func(row object.Row) error {
		d := bucket.Duplicate{Value: string(row[0]), Keys: query.Names(row[2])}
		all = append(all, d)
		return integers(row[1:], &all[len(all)-1].Rows)
	})
	return all, err
}

// Values implements reconcile.Store.
func (s *Store) Values(ctx context.Context, table, after string, limit int, each func(key string, value []byte) error) error {
	st := &query.Statement{
		SQL:  `SELECT _key, _value FROM ` + query.Quote(table) + ` WHERE _key > $1 ORDER BY _key LIMIT $2::bigint`,
		Args: [][]byte{[]byte(after), strconv.AppendInt(nil, int64(limit), 10)},
	}
	var failed error // must not cost the connection
	err := s.Do(ctx, st, func(row object.Row) error {
		if failed == nil {
			failed = each(string(row[0]), row[1])
		}
		return nil
	})
	return errors.Join(err, failed)
}

// Building implements reconcile.Store.
func (s *Store) Building(ctx context.Context, table string) (progress *bucket.Progress, err error) {
	st := &query.Statement{
		SQL: `SELECT coalesce(r.relname, ''), p.phase, p.blocks_done, p.blocks_total, p.tuples_done, p.tuples_total
 FROM pg_stat_progress_create_index p LEFT JOIN pg_class r ON r.oid = p.index_relid WHERE p.relid = to_regclass($1)`,
		Args: [][]byte{[]byte(query.Quote(table))},
	}
	err = s.Do(ctx, st, func(row object.Row) error {
		var blocks, allBlocks, rows, allRows int64
		if err := integers(row[2:], &blocks, &allBlocks, &rows, &allRows); err != nil {
			return err
		}
		progress = &bucket.Progress{What: "index " + string(row[0]) + ", " + string(row[1]), Done: blocks, Total: allBlocks, Unit: "blocks"}
		if allRows > 0 {
			progress.Done, progress.Total, progress.Unit = rows, allRows, "rows"
		}
		return nil
	})
	return progress, err
}
