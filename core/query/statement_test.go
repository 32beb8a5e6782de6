package query_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/filter"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/query"
)

// TestStatements shows the texts of all statements about objects. PostgreSQL prepares every one of them.
func TestStatements(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var b *table
	for _, file := range []string{"find.txt", "objects.txt"} {
		golden(t, file, func(command, input string) string {
			switch command {
			case "bucket":
				b = newTable(t, db, input)
				return ""
			case "find":
				return b.findWith(input)
			case "update", "delete":
				return b.many(t, command, input)
			case "objects":
				return b.objects(t)
			case "reindex":
				return b.reindex(t, db)
			}
			t.Fatalf("unknown command %s", command)
			return ""
		})
	}
}

// page reads the words of a command after its filter: limit, offset, sort (with - before an attribute for descending), and
// count.
func page(words []string) (p query.Page, counted bool) {
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "limit":
			p.Limit = value
		case "offset":
			p.Offset = value
		case "sort":
			for attribute := range strings.SplitSeq(value, ",") {
				ascending := strings.TrimPrefix(attribute, "-")
				p.Sort = append(p.Sort, query.Sort{Attribute: ascending, Descending: ascending != attribute})
			}
		case "count":
			counted = true
		default:
			panic("unknown word " + word)
		}
	}
	return p, counted
}

// findWith shows a find: the statement, and what sql_only answers.
func (b *table) findWith(input string) string {
	words := strings.Fields(input)
	p, counted := page(words[1:])
	selection, err := b.find(words[0], p, counted)
	if err != nil {
		return failure(err)
	}
	return show(selection.Statement()) + string(selection.AppendJSON(nil))
}

// many shows an update or a deletion of what a filter selects. An update sets all columns to the name of their type.
func (b *table) many(t *testing.T, command, input string) string {
	words := strings.Fields(input)
	p, _ := page(words[1:])
	tree, err := filter.Parse(words[0])
	if err != nil {
		t.Fatal(err)
	}
	where, err := query.Compile(b.Bucket, tree)
	if err != nil {
		t.Fatal(err)
	}
	var st *query.Statement
	if command == "delete" {
		st, err = query.For(b.Bucket).DeleteMany(where, p)
	} else {
		fields := query.Fields{}
		for i := range b.Columns {
			c := &b.Columns[i]
			fields.Columns, fields.Texts = append(fields.Columns, c), append(fields.Texts, []byte(c.Type.String()))
		}
		st, err = query.For(b.Bucket).UpdateMany(where, p, fields, "u1234567", 42)
	}
	if err != nil {
		return err.Error()
	}
	if err := b.prepare(st.SQL); err != nil {
		t.Errorf("%s %s: %v\n%s", command, input, err, st.SQL)
	}
	return show(st)
}

// objects shows the statements about single objects.
func (b *table) objects(t *testing.T) string {
	o := query.For(b.Bucket)
	put := &query.Put{Key: "k", Value: []byte(`{}`), Etag: "A3A6BF43", Mtime: 42, Vnode: []byte("7"), Columns: make([][]byte, len(b.Columns))}
	if len(b.Columns) > 0 {
		put.Columns[0] = []byte("first")
	}
	if b.Ordered {
		put.Serial = []byte("2")
	}
	statements := []struct {
		name string
		*query.Statement
	}{
		{"Get", o.Get("k")},
		{"PutAny", o.PutAny(put)},
		{"Overwrite", o.Overwrite(put)},
		{"PutNew", o.PutNew(put)},
		{"PutIf", o.PutIf(put, "12345678")},
		{"Delete", o.Delete("k", []byte("12345678"))},
		{"Lock", o.Lock("k")},
		{"Insert", o.Insert(put)},
		{"Update", o.Update(put)},
	}
	if b.Ordered {
		statements = append(statements, struct {
			name string
			*query.Statement
		}{"Serial", o.Serial()})
	}
	var out strings.Builder
	for _, s := range statements {
		if err := b.prepare(s.SQL); err != nil {
			t.Errorf("%s of %s: %v\n%s", s.name, b.Name, err, s.SQL)
		}
		fmt.Fprintf(&out, "%s, %s, order %q\n%s", s.name, sharing(s.Sharing), s.Table+s.Key, show(s.Statement))
	}
	return out.String()
}

func sharing(s query.Sharing) string { return [...]string{"alone", "read", "write"}[s] }

// reindex shows the statements of a reindexing.
func (b *table) reindex(t *testing.T, db *pgtest.DB) string {
	db.Exec(t, `ALTER TABLE buckets_config ADD COLUMN IF NOT EXISTS reindex_active TEXT`)
	o := query.For(b.Bucket)
	var out strings.Builder
	null := make([][]byte, len(b.Columns))
	refill := []query.Refill{{Key: []byte(`k"\`), Mark: []byte("815"), Value: []byte(`{"a":"\\"}`), Columns: null}, {Key: []byte("l"), Mark: []byte("816"), Columns: null}}
	for _, s := range []*query.Statement{
		o.Stale(10), o.Reindex("k", []byte(`{}`), null), o.CountStale(), o.Reindexed(),
		o.StaleAfter("j", 10), o.Refill(refill), o.AnyStale(),
	} {
		if err := b.prepare(s.SQL); err != nil {
			t.Errorf("reindex of %s: %v\n%s", b.Name, err, s.SQL)
		}
		out.WriteString(show(s))
	}
	return out.String()
}

// TestForOnce tells that the statements are made once a definition: whoever keeps texts prepared relies on it.
func TestForOnce(t *testing.T) {
	t.Parallel()
	b := load(t, definition(t, "b s=string"))
	if one, two := query.For(b), query.For(b); one != two {
		t.Errorf("For made the statements of one definition twice: %p and %p", one, two)
	}
	if same := query.For(load(t, definition(t, "b s=string"))); same == query.For(b) {
		t.Error("two definitions share their statements")
	}
}

func TestStatementSize(t *testing.T) {
	t.Parallel()
	small := &query.Statement{SQL: "SELECT $1", Args: [][]byte{[]byte("x"), nil}}
	large := &query.Statement{SQL: "SELECT $1", Args: [][]byte{make([]byte, 1000), nil}}
	if got, want := large.Size()-small.Size(), 999; got != want {
		t.Errorf("999 bytes more make a statement %d larger", got)
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{`a`: `"a"`, `a"; DROP TABLE b; --`: `"a""; DROP TABLE b; --"`, ``: `""`, `Ä`: `"Ä"`} {
		if got := query.Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}

// TestRequireIndexes checks which attributes a filter can rely on, and the lists of those that it cannot.
func TestRequireIndexes(t *testing.T) {
	t.Parallel()
	b := load(t, definition(t, "t2 version=2 k=string arr=[string] old=string* more=number* gone=string-"))
	for filterText, want := range map[string]string{
		"(k=k)": "",
		"(&(k=*)(arr=x)(|(_etag=a)(_key=b))(!(_id>=1))(_mtime<=3)(_txn_snap=1))": "",
		"(&(k=k)(x=5)(y=1)(x=6))":        "Reindexing fields: []. Unindexed fields: [ 'x', 'y' ]",
		"(|(old=1)(k=2)(more=3)(old=4))": "Reindexing fields: [ 'old', 'more' ]. Unindexed fields: []",
		"(!(&(old=1)(zz=*)))":            "Reindexing fields: [ 'old' ]. Unindexed fields: [ 'zz' ]",
		"(gone=1)":                       "Reindexing fields: []. Unindexed fields: [ 'gone' ]",
		"(K=1)":                          "Reindexing fields: []. Unindexed fields: [ 'K' ]",
		"(|(_value=1)(_count=2)(_idx=3)(_rver=4))":         "Reindexing fields: []. Unindexed fields: [ '_value', '_count', '_idx', '_rver' ]",
		"(|(_vnode>=1)(zz~=1)(zz=a*b)(yy:overlaps:=[1,]))": "Reindexing fields: []. Unindexed fields: [ '_vnode', 'zz', 'yy' ]",
	} {
		tree, err := filter.Parse(filterText)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := query.RequireIndexes(b, tree, filterText); err != nil {
			got = err.Error()
		}
		if want != "" {
			want = string(fault.NotIndexed) + ": t2 does not have indexes that support " + filterText + ". " + want
		}
		if got != want {
			t.Errorf("RequireIndexes(%s)\n%s, want\n%s", filterText, got, want)
		}
	}
}

// TestNotIndexedLists checks the lists as Node.js prints arrays of strings: over several lines when they are long.
func TestNotIndexedLists(t *testing.T) {
	t.Parallel()
	b := load(t, definition(t, "b"))
	ten := "abcdefghij" // with quotes and comma 13
	for _, c := range []struct {
		names []string
		want  string
	}{
		{nil, `[]`},
		{[]string{"a"}, `[ 'a' ]`},
		{[]string{`it's`, `back\slash`, `"`}, `[ 'it\'s', 'back\\slash', '"' ]`},
		{[]string{ten, ten, ten, ten, "abcde"}, `[ 'abcdefghij', 'abcdefghij', 'abcdefghij', 'abcdefghij', 'abcde' ]`},               // 60
		{[]string{ten, ten, ten, ten, "abcdef"}, "[ 'abcdefghij',\n  'abcdefghij',\n  'abcdefghij',\n  'abcdefghij',\n  'abcdef' ]"}, // 61
		{[]string{strings.Repeat("x", 70)}, `[ '` + strings.Repeat("x", 70) + `' ]`},
	} {
		want := "NotIndexedError: b does not have indexes that support (f). Reindexing fields: " + c.want + ". Unindexed fields: []"
		if got := query.NotIndexed(b, "(f)", c.names, nil).Error(); got != want {
			t.Errorf("names %q\n got %s\nwant %s", c.names, got, want)
		}
	}
}
