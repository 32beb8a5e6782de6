package query

import (
	"strconv"
	"strings"

	"github.com/kaizengarden/moray/core/bucket"
)

// Fields are the columns that an update sets, besides etag and mtime.
type Fields struct {
	Columns []*bucket.Column
	Texts   [][]byte
}

// UpdateMany sets columns of the rows that a condition selects. The answer is one row: how many were changed, and whether the
// definition is current; nothing is changed if it is not. Rows without any id are never changed.
func (o *Objects) UpdateMany(w *Where, page Page, fields Fields, etag string, mtime int64) (*Statement, error) {
	s := &Selection{args: w.Args}
	rows, err := o.rowSet(s, w, page)
	if err != nil {
		return nil, err
	}
	st := s.Statement()
	p := placeholders(len(st.Args))
	set := []string{`_etag = ` + p.next(), `_mtime = ` + p.next()}
	st.Args = append(st.Args, []byte(etag), strconv.AppendInt(nil, mtime, 10))
	for i, c := range fields.Columns {
		set = append(set, Quote(c.Ident)+` = `+p.next())
		st.Args = append(st.Args, fields.Texts[i])
	}
	o.counted(st, &p, rows, `UPDATE `+o.table+` SET `+strings.Join(set, `, `))
	return st, nil
}

// DeleteMany removes the rows that a condition selects. The answer is as that of [Objects.UpdateMany].
func (o *Objects) DeleteMany(w *Where, page Page) (*Statement, error) {
	s := &Selection{args: w.Args}
	rows, err := o.rowSet(s, w, page)
	if err != nil {
		return nil, err
	}
	st := s.Statement()
	p := placeholders(len(st.Args))
	o.counted(st, &p, rows, `DELETE FROM `+o.table)
	return st, nil
}

// rowSet selects the ids of the rows that a condition and a page select.
func (o *Objects) rowSet(s *Selection, w *Where, page Page) (string, error) {
	tail, err := s.tail(o, page)
	if err != nil {
		return "", err
	}
	columns := `_id`
	if o.bucket.ExtendedID {
		columns = `_id, _idx`
	}
	return `_rows AS (SELECT ` + columns + ` FROM ` + o.table + ` WHERE ` + w.SQL + tail + `)`, nil
}

// counted completes a statement that changes the rows of a set, and counts them.
func (o *Objects) counted(st *Statement, p *placeholders, rows, change string) {
	in := `_id IN (SELECT _id FROM _rows)`
	if o.bucket.ExtendedID {
		in = `(_id IN (SELECT _id FROM _rows WHERE _id IS NOT NULL) OR _idx IN (SELECT _idx FROM _rows WHERE _idx IS NOT NULL))`
	}
	st.SQL = `WITH _definition AS (SELECT ` + p.current() + ` AS current), ` + rows +
		`, _changed AS (` + change + ` WHERE ` + in + ` AND (SELECT current FROM _definition) RETURNING 1)` +
		` SELECT (SELECT count(*) FROM _changed), current FROM _definition`
	st.Args = append(st.Args, o.definition[:]...)
}

// Stale locks rows, at most limit, that were not written by this version of the definition; the answer are rows as those of
// [Objects.Get].
func (o *Objects) Stale(limit int) *Statement {
	return &Statement{
		SQL:  `SELECT ` + o.selected + ` FROM ` + o.table + ` WHERE ` + o.stale() + ` LIMIT $1::bigint FOR UPDATE`,
		Args: [][]byte{strconv.AppendInt(nil, int64(limit), 10)},
	}
}

// CountStale counts the rows that [Objects.Stale] would lock.
func (o *Objects) CountStale() *Statement {
	return &Statement{SQL: `SELECT count(*) FROM ` + o.table + ` WHERE ` + o.stale()}
}

// CountSomeStale counts them up to a limit.
func (o *Objects) CountSomeStale(limit int) *Statement {
	return &Statement{
		SQL:  `SELECT count(*) FROM (SELECT 1 FROM ` + o.table + ` WHERE ` + o.stale() + ` LIMIT $1::bigint) _stale`,
		Args: [][]byte{strconv.AppendInt(nil, int64(limit), 10)},
	}
}

func (o *Objects) stale() string { return `(_rver IS NULL OR _rver < ` + o.version() + `)` }

func (o *Objects) version() string {
	return strconv.FormatFloat(o.bucket.Version, 'f', -1, 64) + `::integer`
}

// Reindex writes the columns of a row anew, and its value with what the columns say; columns are those of [Put].
func (o *Objects) Reindex(key string, value []byte, columns [][]byte) *Statement {
	p := placeholders(1)
	set := []string{`_value = ` + p.next()}
	for _, c := range o.bucket.Columns {
		set = append(set, Quote(c.Ident)+` = `+p.next())
	}
	return &Statement{
		SQL:  `UPDATE ` + o.table + ` SET ` + strings.Join(set, `, `) + `, _rver = ` + o.version() + ` WHERE _key = $1`,
		Args: append([][]byte{[]byte(key), value}, columns...),
	}
}

// Reindexed notes that nothing is left to reindex, unless the definition changed, and tells other servers. The answer is a row if
// it did not.
func (o *Objects) Reindexed() *Statement {
	return &Statement{
		SQL: `WITH _done AS (UPDATE buckets_config SET reindex_active = '{}' WHERE name = $1 AND xmin = $2::xid RETURNING true)` +
			` SELECT pg_notify('` + Channel + `', $1) FROM _done`,
		Args: o.definition[:],
	}
}
