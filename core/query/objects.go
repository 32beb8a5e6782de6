package query

import (
	"strconv"
	"strings"

	"github.com/kaizengarden/moray/core/bucket"
)

// MaxID is the highest id that a JavaScript client can represent.
const MaxID = 1<<53 - 1

// IDMark begins the text that a statement fails to read as a number where it would insert or delete a row whose id no client
// can represent: the statement commits itself, so the check belongs into it. The row's two ids follow the mark, with a colon
// between them.
const IDMark = "moray:id:"

// Objects are the statements about single objects by one definition of a bucket. See [For].
type Objects struct {
	bucket *bucket.Bucket
	table  string // quoted

	definition [2][]byte // the arguments of placeholders.current
	// Habit is what the puts to the bucket have been like.
	Habit Habit

	selected                   string // the columns of a row
	get, lock                  string
	putAny, putNew, putIf, del string
	overwrite                  string
	insert, update, serial     string
}

// For returns the statements by a definition. They are made once a definition.
func For(b *bucket.Bucket) *Objects {
	return b.Memo(bucket.Statements, func(b *bucket.Bucket) any { return build(b) }).(*Objects)
}

// The columns of a row as [Objects.Get] and [Objects.Find] select them, in this order: those that every bucket has, and from
// RowColumns on the bucket's own, without those that the table lacks.
const (
	RowKey = iota
	RowValue
	RowEtag
	RowMtime
	RowID
	RowIDX // NULL unless the bucket has extended ids
	RowTxnSnap
	RowColumns
)

// placeholders counts the parameters of a statement.
type placeholders int

func (p *placeholders) next() string {
	*p++
	return `$` + strconv.Itoa(int(*p))
}

// write is what all forms of a put have in common: the columns that they set, in the order of the arguments of [Put], whose
// first is the key.
type write struct {
	table        string
	names        []string // without _key
	values       []string
	placeholders placeholders
}

func newWrite(b *bucket.Bucket) *write {
	w := &write{table: Quote(b.Table), placeholders: 1}
	for _, name := range []string{`_value`, `_etag`, `_mtime`, `_vnode`} {
		w.add(name)
	}
	for _, c := range b.Columns {
		w.add(Quote(c.Ident))
	}
	if b.RowVersion {
		w.names = append(w.names, `_rver`)
		w.values = append(w.values, `'`+strconv.FormatFloat(b.Version, 'f', -1, 64)+`'`)
	}
	return w
}

func (w *write) add(name string) {
	w.names = append(w.names, name)
	w.values = append(w.values, w.placeholders.next())
}

func (w *write) insert(where string) string {
	return `INSERT INTO ` + w.table + ` (_key, ` + strings.Join(w.names, `, `) + `) SELECT $1, ` + strings.Join(w.values, `, `) +
		` WHERE ` + where + ` ON CONFLICT (_key) DO NOTHING`
}

func (w *write) update(where string) string {
	pairs := make([]string, len(w.names))
	for i, name := range w.names {
		pairs[i] = name + ` = ` + w.values[i]
	}
	return `UPDATE ` + w.table + ` SET ` + strings.Join(pairs, `, `) + ` WHERE _key = $1 AND ` + where
}

// current is true while the stored definition of the bucket is the one that the statement was made from.
func (p *placeholders) current() string {
	return `EXISTS (SELECT FROM buckets_config WHERE name = ` + p.next() + ` AND xmin = ` + p.next() + `::xid)`
}

// etagIs compares with the etag as clients see it: the column is a CHAR(8), padded with blanks.
func etagIs(placeholder string) string { return `rpad(_etag::text, 8) = ` + placeholder + `::text` }

// build makes the texts. Names of their parts begin with an underscore, which no bucket's name does: a part hides a table.
//
// Those that commit themselves rest on three facts. An UPDATE or DELETE locks the row and checks its WHERE again on the newest
// version. What reads the row for the answer runs only if nothing was written, and waits for the row too. And nothing is
// written by a definition that is not the stored one any more: no notification is needed for that, and none can be missed.
//
// INSERT with ON CONFLICT DO UPDATE would be shorter, but it draws an id for every overwrite, which ends buckets with ids of
// 32 bits, and fires triggers BEFORE INSERT that belong to consumers.
func build(b *bucket.Bucket) *Objects {
	o := &Objects{bucket: b, table: Quote(b.Table), selected: selected(b)}
	o.definition = [2][]byte{[]byte(b.Name), strconv.AppendUint(nil, uint64(b.Generation), 10)}
	t := o.table
	o.get = `SELECT ` + o.selected + ` FROM ` + t + ` WHERE _key = $1`
	o.lock = `WITH _cur AS MATERIALIZED (SELECT _etag FROM ` + t + ` WHERE _key = $1 FOR UPDATE)` +
		` SELECT (SELECT _etag FROM _cur), (SELECT xmin FROM buckets_config WHERE name = $2)`
	id := ` RETURNING ` + idOf(b) + ` AS _id`
	checked := ` RETURNING ` + checkedID(b) + ` AS _id`

	w := newWrite(b)
	current := w.placeholders.current()
	cur := func(writer string) string {
		return `_cur AS MATERIALIZED (SELECT _etag FROM ` + t + ` WHERE _key = $1 AND NOT EXISTS (SELECT FROM ` + writer + `)` +
			` AND ` + current + ` FOR UPDATE)`
	}
	o.putAny = `WITH _upd AS (` + w.update(current) + id + `),` +
		` _ins AS (` + w.insert(`NOT EXISTS (SELECT FROM _upd) AND `+current) + checked + `)` +
		` SELECT true, NULL, _id FROM _upd UNION ALL SELECT false, NULL, _id FROM _ins`
	o.overwrite = w.update(current) + ` RETURNING true, NULL, ` + idOf(b)
	o.putNew = `WITH _ins AS (` + w.insert(`NOT EXISTS (SELECT FROM `+t+` WHERE _key = $1) AND `+current) + checked + `), ` + cur(`_ins`) +
		` SELECT false, NULL, _id FROM _ins UNION ALL SELECT NULL, _etag, NULL FROM _cur`
	etag := w.placeholders.next()
	o.putIf = `WITH _upd AS (` + w.update(etagIs(etag)+` AND `+current) + id + `), ` + cur(`_upd`) +
		` SELECT true, NULL, _id FROM _upd UNION ALL SELECT NULL, _etag, NULL FROM _cur UNION ALL` +
		` SELECT NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM _upd) AND NOT EXISTS (SELECT FROM _cur) AND ` + current

	p := placeholders(2)
	current = p.current()
	o.del = `WITH _del AS (DELETE FROM ` + t + ` WHERE _key = $1 AND ($2::text IS NULL OR ` + etagIs(`$2`) + `) AND ` + current +
		` RETURNING _etag, ` + checkedID(b) + ` AS _id), ` + cur(`_del`) +
		` SELECT (SELECT _etag FROM _del), (SELECT _id FROM _del), (SELECT _etag FROM _cur), ` + current

	// The same writes for transactions that locked the row before.
	w = newWrite(b)
	if b.Ordered {
		w.add(`_txn_snap`)
	}
	current = w.placeholders.current()
	o.insert = w.insert(current) + checked
	o.update = w.update(current) + id
	o.serial = `UPDATE ` + Quote(bucket.LockTable(b.Name)) + ` SET id = id + 1 RETURNING id`
	return o
}

func selected(b *bucket.Bucket) string {
	idx := `NULL`
	if b.ExtendedID {
		idx = `_idx`
	}
	columns := []string{`_key`, `_value`, `_etag`, `_mtime`, `_id`, idx, `_txn_snap`}
	for _, c := range b.Columns {
		if !c.Missing {
			columns = append(columns, Quote(c.Ident))
		}
	}
	return strings.Join(columns, `, `)
}

func idOf(b *bucket.Bucket) string {
	if b.ExtendedID {
		return `coalesce(_id, _idx)`
	}
	return `_id`
}

// checkedID is the id of a row, or fails if clients cannot represent it. What fails depends on the row, so that it is not
// computed ahead of it.
func checkedID(b *bucket.Bucket) string {
	valid, idx := idOf(b)+` <= `+strconv.Itoa(MaxID), `'null'`
	if b.ExtendedID {
		valid += ` AND (_id IS NULL) <> (_idx IS NULL)`
		idx = `coalesce(_idx::text, 'null')`
	}
	return `CASE WHEN ` + valid + ` THEN ` + idOf(b) +
		` ELSE ('` + IDMark + `' || coalesce(_id::text, 'null') || ':' || ` + idx + `)::bigint END`
}

// Get reads the row with the given key.
func (o *Objects) Get(key string) *Statement {
	s := &struct {
		Statement
		args [1][]byte
	}{Statement: Statement{SQL: o.get, Sharing: Read}, args: [1][]byte{[]byte(key)}}
	s.Args = s.args[:]
	return &s.Statement
}

// Put is what a put writes.
type Put struct {
	Key     string
	Value   []byte
	Etag    string
	Mtime   int64    // ms since the epoch
	Vnode   []byte   // nil for NULL
	Columns [][]byte // one for each of the bucket's columns, in their order; nil for NULL
	Serial  []byte   // of ordered buckets only
}

func (o *Objects) args(p *Put, ordered bool) [][]byte {
	text := make([]byte, 0, len(p.Key)+len(p.Etag)+20) // of key, etag and mtime
	text = append(append(text, p.Key...), p.Etag...)
	short := len(text)
	text = strconv.AppendInt(text, p.Mtime, 10)

	args := make([][]byte, 0, len(p.Columns)+9)
	args = append(args, text[:len(p.Key):len(p.Key)], p.Value, text[len(p.Key):short:short], text[short:], p.Vnode)
	args = append(args, p.Columns...)
	if ordered {
		args = append(args, p.Serial)
	}
	return append(args, o.definition[:]...)
}

func (o *Objects) write(sql string, args [][]byte, key string) *Statement {
	return &Statement{SQL: sql, Args: args, Sharing: Write, Table: o.table, Key: key}
}

// PutAny writes an object whatever is there. The answer of the three puts is a row of
//
//	true or false, NULL, id    written, as an update or as an insert
//	NULL, etag, NULL           not written: the object there has this etag
//	NULL, NULL, NULL           not written: there is no object (PutIf only)
//
// or no row, if another request changed the object or the definition at the same moment; nothing was written then.
func (o *Objects) PutAny(p *Put) *Statement { return o.write(o.putAny, o.args(p, false), p.Key) }

// Overwrite writes an object if there is one. The answer is the same, and no row if there is none. It costs PostgreSQL a fifth
// less than PutAny.
func (o *Objects) Overwrite(p *Put) *Statement { return o.write(o.overwrite, o.args(p, false), p.Key) }

// PutNew writes an object if there is none.
func (o *Objects) PutNew(p *Put) *Statement { return o.write(o.putNew, o.args(p, false), p.Key) }

// PutIf writes an object if the one there has the given etag.
func (o *Objects) PutIf(p *Put, etag string) *Statement {
	return o.write(o.putIf, append(o.args(p, false), []byte(etag)), p.Key)
}

// Delete removes an object if it has the given etag; nil stands for any. The answer is one row: etag and id of what was
// removed, else the etag of what is there, and whether the definition is current. If it is, and all else is NULL, there is no
// object.
func (o *Objects) Delete(key string, etag []byte) *Statement {
	return o.write(o.del, [][]byte{[]byte(key), etag, o.definition[0], o.definition[1]}, key)
}

// Lock locks the row with the given key. The answer is one row: the etag, NULL if there is no row, and the generation of the
// stored definition.
func (o *Objects) Lock(key string) *Statement {
	return &Statement{SQL: o.lock, Args: [][]byte{[]byte(key), []byte(o.bucket.Name)}}
}

// Serial draws the next number of an ordered bucket. Whoever draws after that waits until the transaction ends.
func (o *Objects) Serial() *Statement { return &Statement{SQL: o.serial} }

// Insert writes a row that was not there when it was locked; the answer is its id. Update writes one that was there. There is
// no answer if another request inserted the row, or changed the definition, at the same moment.
func (o *Objects) Insert(p *Put) *Statement {
	return &Statement{SQL: o.insert, Args: o.args(p, o.bucket.Ordered)}
}

// Update is described at [Objects.Insert].
func (o *Objects) Update(p *Put) *Statement {
	return &Statement{SQL: o.update, Args: o.args(p, o.bucket.Ordered)}
}
