package query_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/filter"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/query"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata; review the diff")

func TestMain(m *testing.M) { pgtest.Main(m) }

// golden runs the cases of a file in testdata. A case is a command with its input, a line of dashes, and the output; an empty
// line ends it. Lines before the first case, and those between cases, that begin with # are comments.
func golden(t *testing.T, file string, run func(command, input string) string) {
	t.Helper()
	path := "testdata/" + file
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rewritten strings.Builder
	cases := 0
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		if strings.HasPrefix(block, "#") {
			rewritten.WriteString(block + "\n\n")
			continue
		}
		cases++
		input, want, _ := strings.Cut(block, "\n----")
		want = strings.TrimPrefix(want, "\n")
		command, rest, _ := strings.Cut(input, " ")
		got := strings.TrimSuffix(run(command, rest), "\n")
		if got != want && !*update {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", input, got, want)
		}
		rewritten.WriteString(input + "\n----\n")
		if got != "" {
			rewritten.WriteString(got + "\n")
		}
		rewritten.WriteString("\n")
	}
	if cases == 0 {
		t.Errorf("%s has no cases", path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.TrimSuffix(rewritten.String(), "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// table is a bucket with a table of its own in a real database.
type table struct {
	*bucket.Bucket
	conn *pgx.Conn
}

// definition describes a bucket as testdata does: its name, words that change it, and the types of its indexes, such as
//
//	q1 version=2 extended s=string n=number! old=string*
//
// where ! marks a unique index, * one that is being reindexed, and - one whose column the table lacks.
func definition(t testing.TB, words string) *bucket.Record {
	t.Helper()
	fields := strings.Fields(words)
	r := &bucket.Record{
		Name: fields[0], Pre: []byte("[]"), Post: []byte("[]"), Generation: 4711,
		Attributes: []string{"_id", "_txn_snap", "_key", "_value", "_etag", "_mtime", "_vnode"},
	}
	version, ordered := "0", "false"
	var index, reindexing []string
	for _, word := range fields[1:] {
		name, value, _ := strings.Cut(word, "=")
		switch {
		case word == "extended":
			r.ExtendedIndex = true
			r.Attributes = append(r.Attributes, "_idx")
			continue
		case word == "ordered":
			ordered = "true"
			continue
		case word == "reindexed":
			r.Reindexing = []byte("{}")
			r.Attributes = append(r.Attributes, "_rver")
			continue
		case name == "version":
			version = value
			continue
		}
		kind := strings.TrimRight(value, "!*-")
		index = append(index, fmt.Sprintf(`%q:{"type":%q,"unique":%t}`, name, kind, strings.Contains(value, "!")))
		if strings.Contains(value, "*") {
			reindexing = append(reindexing, fmt.Sprintf("%q", name))
		}
		if !strings.Contains(value, "-") {
			r.Attributes = append(r.Attributes, strings.ToLower(name))
		}
	}
	if reindexing != nil {
		r.Reindexing = []byte(`{"` + version + `":[` + strings.Join(reindexing, ",") + `]}`)
		r.Attributes = append(r.Attributes, "_rver")
	}
	r.Index = []byte(`{` + strings.Join(index, ",") + `}`)
	r.Options = []byte(`{"version":` + version + `,"guaranteeOrder":` + ordered + `}`)
	return r
}

func load(t testing.TB, r *bucket.Record) *bucket.Bucket {
	t.Helper()
	b, err := bucket.Load(r)
	if err != nil {
		t.Fatalf("load the definition of %s: %v", r.Name, err)
	}
	return b
}

// newTable makes a bucket, and a table in db for it.
func newTable(t testing.TB, db *pgtest.DB, words string) *table {
	t.Helper()
	r := definition(t, words)
	b := load(t, r)
	columns := `_id BIGINT, _txn_snap INTEGER, _key TEXT PRIMARY KEY, _value TEXT NOT NULL, _etag CHAR(8) NOT NULL, _mtime BIGINT, _vnode BIGINT`
	for _, c := range b.Columns {
		if !c.Missing {
			columns += ", " + query.Quote(c.Ident) + " " + c.Type.Column()
		}
	}
	if b.ExtendedID {
		columns += ", _idx BIGINT"
	}
	if b.RowVersion {
		columns += ", _rver INTEGER"
	}
	db.Exec(t, `CREATE TABLE `+query.Quote(b.Table)+` (`+columns+`)`)
	if b.Ordered {
		db.Exec(t, `CREATE TABLE `+query.Quote(bucket.LockTable(b.Name))+` (id INTEGER)`)
	}
	return &table{b, db.Connect(t)}
}

// prepare lets PostgreSQL read the text of a statement.
func (b *table) prepare(sql string) error {
	_, err := b.conn.PgConn().Prepare(context.Background(), "", sql, nil)
	return err
}

// find compiles a filter and a page to a statement, which it also prepares.
func (b *table) find(text string, page query.Page, counted bool) (*query.Selection, error) {
	tree, err := filter.Parse(text)
	if err != nil {
		return nil, err
	}
	where, err := query.Compile(b.Bucket, tree)
	if err != nil {
		return nil, err
	}
	selection, err := query.For(b.Bucket).Find(where, page, counted)
	if err != nil {
		return nil, err
	}
	return selection, b.prepare(selection.Statement().SQL)
}

// show prints a statement for testdata: its text, and a line with each of its arguments in quotes.
func show(s *query.Statement) string {
	args := make([]string, len(s.Args))
	for i, a := range s.Args {
		if args[i] = "NULL"; a != nil {
			args[i] = fmt.Sprintf("%q", a)
		}
	}
	return s.SQL + "\n[" + strings.Join(args, " ") + "]\n"
}
