package pgstore

import (
	"context"
	"errors"
	"strconv"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// mark tells the state of a row: every put and update changes its etag or its time.
const mark = `(_etag::text || ':' || coalesce(_mtime::text, ''))`

// AddShadow implements bucket.Tx.
func (t *tx) AddShadow(ctx context.Context, table string, s bucket.Shadow) error {
	return t.alter(ctx, table, accessExclusive, `ALTER TABLE `+query.Quote(table)+` ADD COLUMN `+query.Quote(s.Ident())+` `+s.Type.Column()+
		`, ADD COLUMN `+query.Quote(s.MarkIdent())+` TEXT`)
}

// Unfilled implements bucket.Tx.
func (t *tx) Unfilled(ctx context.Context, table string, s bucket.Shadow, after string, limit int,
	row func(key string, value, column []byte, mark string) error,
) error {
	if t.rehearsal != nil { // the column is not there
		empty, err := t.Empty(ctx, table)
		if err == nil && !empty {
			t.rehearsal.fill(table, s)
		}
		return err
	}
	var failed error // an error of row must not cost the connection, but the rows behind it do not matter
	st := &query.Statement{
		SQL: `SELECT _key, _value, ` + query.Quote(s.Column) + `, ` + mark + ` FROM ` + query.Quote(table) +
			` WHERE _key > $1 AND ` + query.Quote(s.MarkIdent()) + ` IS DISTINCT FROM ` + mark + ` ORDER BY _key LIMIT $2::bigint`,
		Args: [][]byte{[]byte(after), strconv.AppendInt(nil, int64(limit), 10)},
		Once: true, // the column has another type the next time
	}
	_, err := t.Do(ctx, st, func(r object.Row) error {
		if failed == nil {
			failed = row(string(r[0]), r[1], r[2], string(r[3]))
		}
		return nil
	})
	return errors.Join(err, failed)
}

// Fill implements bucket.Tx.
func (t *tx) Fill(ctx context.Context, table string, s bucket.Shadow, rows []bucket.Filled) error {
	if len(rows) == 0 {
		return nil
	}
	var keys, marks, texts [][]byte
	for i := range rows {
		keys, marks = append(keys, []byte(rows[i].Key)), append(marks, []byte(rows[i].Mark))
		texts = append(texts, rows[i].Text)
	}
	// The rows are locked in the order of their keys, as groups of puts lock them.
	_, err := t.Do(ctx, &query.Statement{
		SQL: `WITH _locked AS MATERIALIZED (SELECT _key, _filled.text, _filled.mark FROM ` + query.Quote(table) +
			` JOIN unnest($1::text[], $2::text[], $3::text[]) _filled (key, mark, text) ON _key = _filled.key AND ` + mark + ` = _filled.mark` +
			` ORDER BY _key FOR UPDATE OF ` + query.Quote(table) + `)` +
			` UPDATE ` + query.Quote(table) + ` _t SET ` + query.Quote(s.Ident()) + ` = _locked.text::` + s.Type.Column() + `, ` +
			query.Quote(s.MarkIdent()) + ` = _locked.mark FROM _locked WHERE _t._key = _locked._key`,
		Args: [][]byte{query.TextArray(keys), query.TextArray(marks), query.TextArray(texts)},
	}, nil)
	return err
}

// Replace implements bucket.Tx.
func (t *tx) Replace(ctx context.Context, table string, s bucket.Shadow) error {
	err := t.alter(ctx, table, accessExclusive, `ALTER TABLE `+query.Quote(table)+` DROP COLUMN `+query.Quote(s.Column)+
		`, DROP COLUMN `+query.Quote(s.MarkIdent()))
	if err != nil {
		return err
	}
	return t.RenameColumn(ctx, table, s.Ident(), s.Column)
}

// LockWriters implements bucket.Tx.
func (t *tx) LockWriters(ctx context.Context, table string) error {
	return t.alter(ctx, table, shareRowExclusive, `LOCK TABLE `+query.Quote(table)+` IN SHARE ROW EXCLUSIVE MODE`)
}
