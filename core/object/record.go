package object

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/field"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/query"
)

// merged is the value of a stored object: its JSON text with the columns of the indexes laid over it.
//
// It shares memory with the row that it was read from, and uses its own again for the next row.
type merged struct {
	object *jsvalue.Object // nil if the text is not an object, which only other programs can have stored
	text   jsvalue.Value   // then this is the value
	edits  []jsvalue.Edit
	// unreal are the columns that hold what JSON has no number for, NaN or Infinity: records show null, filters compare with it.
	unreal []jsvalue.Edit

	parsed jsvalue.Object
	values []byte // of edits
}

// read reads the value of a row. A column wins over the member of the same name, except that an array stays under an index
// that is none, and that a NULL hides nothing: such a row has not been indexed yet.
func (m *merged) read(b *bucket.Bucket, row Row) error {
	m.object, m.text, m.edits, m.unreal, m.values = nil, nil, m.edits[:0], m.unreal[:0], m.values[:0]
	err := m.parsed.Parse(row[query.RowValue])
	if errors.Is(err, jsvalue.ErrNotObject) {
		v, _ := jsvalue.Parse(row[query.RowValue])
		if v.IsNull() {
			return fmt.Errorf("the value is null")
		}
		m.text = jsvalue.AppendPrinted(nil, v)
		return nil
	}
	if err != nil {
		return fmt.Errorf("the value is not JSON: %w", err)
	}
	m.object = &m.parsed
	at := query.RowColumns - 1
	for i := range b.Columns {
		c := &b.Columns[i]
		if c.Missing {
			continue
		}
		at++
		if c.Reindexing || row[at] == nil {
			continue
		}
		member := m.object.Get(c.Name)
		if member.Kind() == jsvalue.KindArray && !c.Type.Array() {
			continue
		}
		if c.Type == field.String && holds(member, row[at]) {
			continue
		}
		start := len(m.values)
		values, err := c.Type.AppendJSON(m.values, row[at])
		if err != nil {
			continue // the column is of another type than the index: an original server changed the definition alone
		}
		m.values = values
		value := values[start:len(values):len(values)]
		if c.Type == field.Number && jsvalue.Value(value).IsNull() {
			m.unreal = append(m.unreal, jsvalue.Edit{Name: c.Name, Value: bytes.Clone(row[at])})
		}
		if !bytes.Equal(value, member) {
			m.edits = append(m.edits, jsvalue.Edit{Name: c.Name, Value: value})
		}
	}
	return nil
}

// mergers are for operations that read one row.
var mergers = sync.Pool{New: func() any { return new(merged) }}

// holds reports whether member is a string that stands for text: the common case, told without a copy.
func holds(member jsvalue.Value, text []byte) bool {
	return member.Kind() == jsvalue.KindString && bytes.Equal(member[1:len(member)-1], text) && bytes.IndexByte(text, '\\') < 0
}

func (m *merged) appendTo(dst []byte) []byte {
	if m.object == nil {
		return append(dst, m.text...)
	}
	return m.object.AppendEdited(dst, m.edits)
}

// rewritten returns the value as an object of its own.
func (m *merged) rewritten() (*jsvalue.Object, error) {
	if len(m.edits) == 0 {
		return m.object, nil
	}
	return jsvalue.ParseObject(m.appendTo(nil))
}

// appendRecord appends what getObject answers for a row.
func appendRecord(dst []byte, b *bucket.Bucket, row Row) (jsvalue.Value, error) {
	if err := checkID(b, row[query.RowKey], row[query.RowID], row[query.RowIDX]); err != nil {
		return nil, err
	}
	m := mergers.Get().(*merged)
	defer mergers.Put(m)
	if err := m.read(b, row); err != nil {
		return nil, err
	}
	if dst == nil {
		dst = make([]byte, 0, len(row[query.RowValue])+len(row[query.RowKey])+len(b.Name)+160)
	}
	dst = m.appendTo(appendHead(dst, b, row))
	return append(appendTail(dst, row), `,"_count":null}`...), nil
}

// appendHead appends a record up to its value, appendTail what follows it.
func appendHead(dst []byte, b *bucket.Bucket, row Row) []byte {
	dst = jsvalue.AppendString(append(dst, `{"bucket":`...), b.Name)
	dst = jsvalue.AppendString(append(dst, `,"key":`...), row[query.RowKey])
	return append(dst, `,"value":`...)
}

func appendTail(dst []byte, row Row) []byte {
	dst = append(append(dst, `,"_id":`...), id(row)...)
	dst = jsvalue.AppendString(append(dst, `,"_etag":`...), row[query.RowEtag])
	dst = appendInteger(append(dst, `,"_mtime":`...), row[query.RowMtime])
	return appendInteger(append(dst, `,"_txn_snap":`...), row[query.RowTxnSnap])
}

// id returns the id of a row that passed checkID.
func id(row Row) []byte {
	if row[query.RowID] != nil {
		return row[query.RowID]
	}
	return row[query.RowIDX]
}

// appendInteger appends an integer as the double that a client makes of it; NULL is null.
func appendInteger(dst, text []byte) []byte {
	switch {
	case text == nil:
		return append(dst, "null"...)
	case len(text) <= 15:
		return append(dst, text...)
	}
	f, _ := strconv.ParseFloat(string(text), 64) // an integer column: it parses
	return jsvalue.AppendNumber(dst, f)
}

// The members that a find adds to a value while it is matched, and takes out before the record is sent, also where the stored
// value has members of these names.
var temporary = [...]string{"_id", "_txn_snap", "_etag", "_key", "_mtime", "_count"}

// found is a row of a find while it is matched. It implements filter.Fields.
type found struct {
	merged
	row   Row
	count []byte // nil if it was not asked for
}

// temporary returns a temporary member by its place in [temporary].
func (f *found) temporary(i int) jsvalue.Value {
	switch temporary[i] {
	case "_id":
		return id(f.row)
	case "_txn_snap":
		return appendInteger(nil, f.row[query.RowTxnSnap])
	case "_etag":
		return jsvalue.AppendString(nil, f.row[query.RowEtag])
	case "_key":
		return jsvalue.AppendString(nil, f.row[query.RowKey])
	case "_mtime":
		return appendInteger(nil, f.row[query.RowMtime])
	}
	return f.count
}

// Get implements filter.Fields.
func (f *found) Get(attribute string) jsvalue.Value {
	if f.object == nil {
		return nil
	}
	for i, name := range temporary {
		if name == attribute && (name != "_count" || f.count != nil) {
			return f.temporary(i)
		}
	}
	if v := f.member(attribute); v != nil {
		return v
	}
	lower := strings.ToLower(attribute)
	for i := range f.object.Len() {
		if name, _ := f.object.At(i); strings.ToLower(name) == lower {
			return f.member(name)
		}
	}
	for _, e := range f.edits {
		if strings.ToLower(e.Name) == lower {
			return e.Value
		}
	}
	for i, name := range temporary {
		if name == lower {
			return f.temporary(i)
		}
	}
	return nil
}

// member returns the member of exactly this name, after the columns were laid over it.
func (f *found) member(name string) jsvalue.Value {
	for _, e := range f.unreal {
		if e.Name == name {
			return e.Value
		}
	}
	for _, e := range f.edits {
		if e.Name == name {
			return e.Value
		}
	}
	return f.object.Get(name)
}

// appendValue appends the value as a find answers it.
func (f *found) appendValue(dst []byte) []byte {
	if f.object == nil {
		return f.appendTo(dst)
	}
	edits := f.edits
	for _, name := range temporary {
		if f.object.Find(name) >= 0 {
			edits = append(edits[:len(edits):len(edits)], jsvalue.Edit{Name: name})
		}
	}
	return f.object.AppendEdited(dst, edits)
}
