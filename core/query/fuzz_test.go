package query_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/filter"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/query"
)

const allTypes = " s=string n=number b=boolean d=date nr=numrange dr=daterange ip=ip sn=subnet m=mac uu=uuid" +
	" sa=[string] na=[number] ba=[boolean] da=[date] ipa=[ip] sna=[subnet] ma=[mac] old=number* gone=string-"

// fuzzTables are buckets with all types: a plain one, and one with extended ids.
func fuzzTables(t testing.TB) []*table {
	db := pgtest.New(t)
	return []*table{newTable(t, db, "plain version=2"+allTypes), newTable(t, db, "long version=2 extended"+allTypes)}
}

// check compiles a filter, whatever it is. What is refused must be refused with a fault; what is not must be a statement that
// PostgreSQL prepares, with as many parameters as there are arguments, and runs unless the operands are to blame.
func (b *table) check(t *testing.T, text string, page query.Page) {
	tree, err := filter.Parse(text)
	if err != nil {
		return
	}
	printed := tree.String()
	if err := query.RequireIndexes(b.Bucket, tree, text); err != nil && !errors.Is(err, fault.NotIndexed) {
		t.Errorf("RequireIndexes(%q): %v is no NotIndexed", text, err)
	}
	where, err := query.Compile(b.Bucket, tree)
	if after := tree.String(); after != printed {
		t.Errorf("compiling %q changed its printed form from %q to %q", text, printed, after)
	}
	var selection *query.Selection
	if err == nil {
		selection, err = query.For(b.Bucket).Find(where, page, true)
	}
	if err != nil {
		if fault.From(err) == nil {
			t.Errorf("%q, %+v: %v is no fault", text, page, err)
		}
		return
	}
	st := selection.Statement()
	prepared, err := b.conn.PgConn().Prepare(context.Background(), "", st.SQL, nil)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42883" && strings.Contains(pg.Message, " ~~") {
		return // a pattern for a column that is no text
	}
	if err != nil {
		t.Fatalf("%q, %+v: %v\n%s", text, page, err, st.SQL)
	}
	if got, want := len(st.Args), len(prepared.ParamOIDs); got != want {
		t.Fatalf("%q, %+v: %d arguments for %d parameters\n%s", text, page, got, want, st.SQL)
	}
	err = b.conn.PgConn().ExecParams(context.Background(), st.SQL, st.Args, nil, nil, nil).Read().Err
	if errors.As(err, &pg) && strings.HasPrefix(pg.Code, "22") {
		return // data that PostgreSQL refuses, such as a range whose bounds are the wrong way round
	}
	if err != nil {
		t.Errorf("%q, %+v: %v\n%s\n%q", text, page, err, st.SQL, st.Args)
	}
}

func FuzzCompile(f *testing.F) {
	for _, file := range []string{"compile.txt", "operators.txt"} {
		text, err := os.ReadFile("testdata/" + file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if seed, ok := strings.CutPrefix(strings.TrimSpace(line), "where "); ok {
				f.Add(seed, false, "s", "10")
			}
		}
	}
	f.Add("(s=a)", true, "_id", "99999999999999999999")
	f.Add(`(s=a)`, true, `s"; DROP TABLE plain; --`, "0")
	f.Add("(s=\x00)", false, "FOOBAR", "1")
	f.Add("(s=\xff)", false, "\xff", "1")
	tables := fuzzTables(f)
	f.Fuzz(func(t *testing.T, text string, extended bool, sort, limit string) {
		page := query.Page{Sort: []query.Sort{{Attribute: sort, Descending: extended}}}
		if strings.Trim(limit, "0123456789") == "" { // others do not pass the check of the options
			page.Limit, page.Offset = limit, limit
		}
		b := tables[0]
		if extended {
			b = tables[1]
		}
		b.check(t, text, page)
	})
}

// TestCompileRandom compiles filters that are put together at random of all operators, all types and likely operands.
func TestCompileRandom(t *testing.T) {
	t.Parallel()
	tables := fuzzTables(t)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 1500 {
		tables[i%2].check(t, randomFilter(r, 3), query.Page{Limit: "10"})
		if t.Failed() {
			return
		}
	}
}

func pick(r *rand.Rand, all ...string) string { return all[r.IntN(len(all))] }

func randomFilter(r *rand.Rand, depth int) string {
	switch n := r.IntN(10); {
	case depth == 0 || n < 4:
		return "(" + randomLeaf(r) + ")"
	case n < 6:
		return "(!" + randomFilter(r, depth-1) + ")"
	}
	list := "(" + pick(r, "&", "|")
	for range 1 + r.IntN(3) {
		list += randomFilter(r, depth-1)
	}
	return list + ")"
}

func randomLeaf(r *rand.Rand) string {
	attribute := pick(r, "s", "n", "b", "d", "nr", "dr", "ip", "sn", "m", "uu", "sa", "na", "ba", "da", "ipa", "sna", "ma",
		"_id", "_key", "_etag", "_mtime", "_txn_snap", "_idx", "old", "gone", "zz", "S")
	operator := pick(r, "=", ">=", "<=", ":caseIgnoreMatch:=", ":caseIgnoreSubstringsMatch:=", ":overlaps:=", ":contains:=", ":within:=")
	operand := pick(r, "", "a", "5", "-1.5", "NaN", "true", "FALSE", "2019-07-04T00:00:00Z", "[2019-07-04T00:00:00Z,]", "[1,2]", "[2,1]",
		`(,\)`, "1.2.3.4", "::1", "10.0.0.0/8", "::/0", "1:2:3:4:5:6", "12345678-1234-1234-1234-123456789abc", "*", "a*", "*b", "a*b*c",
		`%_\\`, `\c3\a9`, `'"`, "9007199254740993")
	return attribute + operator + strings.ReplaceAll(operand, "(", `\28`)
}
