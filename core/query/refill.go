package query

import (
	"strconv"
	"strings"
)

// Refill is what the background reindexing writes of one row.
type Refill struct {
	Key, Mark []byte // as StaleAfter read them
	Value     []byte
	Columns   [][]byte // one for each of the bucket's columns, in their order; nil for NULL
}

// StaleAfter reads rows, at most limit, with a key after the given one that were not written by this version of the definition,
// in the order of their keys. Their columns are those of [Objects.Get], and a last one, the mark, that is another one as soon as
// the row is written. It locks nothing.
func (o *Objects) StaleAfter(key string, limit int) *Statement {
	return &Statement{
		SQL: `SELECT ` + o.selected + `, xmin FROM ` + o.table + ` WHERE _key > $1 AND ` + o.stale() +
			` ORDER BY _key LIMIT $2::bigint`,
		Args: [][]byte{[]byte(key), strconv.AppendInt(nil, int64(limit), 10)},
	}
}

// Refill writes what rows lack, of those that nobody has written since they were read, or holds. It waits for no row and holds
// none for longer than this takes. Nothing is written if the definition is not current. The number of rows is the answer's.
func (o *Objects) Refill(rows []Refill) *Statement {
	columns := make([][][]byte, 3+len(o.bucket.Columns))
	for i := range rows {
		r := &rows[i]
		columns[0], columns[1], columns[2] = append(columns[0], r.Key), append(columns[1], r.Mark), append(columns[2], r.Value)
		for j := range r.Columns {
			columns[3+j] = append(columns[3+j], r.Columns[j])
		}
	}
	st := &Statement{}
	var p placeholders
	var arrays []string
	names := []string{`key`, `mark`, `value`}
	set := []string{`_value = _locked.value`}
	for i, column := range columns {
		arrays = append(arrays, p.next()+`::text[]`)
		st.Args = append(st.Args, TextArray(column))
		if i >= 3 {
			c := &o.bucket.Columns[i-3]
			names = append(names, `c`+strconv.Itoa(i-3))
			set = append(set, Quote(c.Ident)+` = _locked.`+names[i]+`::`+c.Type.Column())
		}
	}
	list := strings.Join(names, `, `)
	// The rows are locked in the order of their keys, as groups of puts lock them.
	st.SQL = `WITH _locked AS MATERIALIZED (SELECT _new.* FROM ` + o.table + ` _old JOIN unnest(` + strings.Join(arrays, `, `) + `) _new (` + list +
		`) ON _old._key = _new.key AND _old.xmin = _new.mark::xid WHERE ` + p.current() + ` ORDER BY _old._key FOR UPDATE OF _old SKIP LOCKED)` +
		` UPDATE ` + o.table + ` _row SET ` + strings.Join(set, `, `) + `, _rver = ` + o.version() + ` FROM _locked WHERE _row._key = _locked.key`
	st.Args = append(st.Args, o.definition[:]...)
	return st
}

// AnyStale tells whether a row is left that was not written by this version of the definition: the answer is a row if so.
func (o *Objects) AnyStale() *Statement {
	return &Statement{SQL: `SELECT true FROM ` + o.table + ` WHERE ` + o.stale() + ` LIMIT 1`}
}
