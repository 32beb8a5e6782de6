package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
	"github.com/kaizengarden/moray/plugins/js/jstest"
)

// written is a recorded put, and how the original wrote its row.
type written struct {
	N       int               // step of the transcript: the put, with its etag
	Get     int               // step of the transcript: what getObject answered for it; 0 if Read tells, or it is the value as put
	Vnode   *string           // the column _vnode
	Columns map[string]string // the texts that the original sent; the others are NULL
	Read    json.RawMessage
}

// put is one row of [written] with what the transcript knows of it.
type put struct {
	written
	bucket, key string
	value       json.RawMessage
	etag        string
	read        string // the value that getObject answers
}

// recordedPuts reads testdata/sidebyside/rows.jsonl. Keys get the number of their step, so that none is there twice.
func recordedPuts(t *testing.T) []put {
	t.Helper()
	steps := map[int]step{}
	for _, s := range load[step](t, "testdata/transcript.jsonl") {
		steps[s.N] = s
	}
	var puts []put
	for _, w := range load[written](t, "testdata/sidebyside/rows.jsonl") {
		var args []json.RawMessage
		var answer [1]struct{ Etag string }
		s := steps[w.N]
		if err := json.Unmarshal(s.Args, &args); err != nil || s.RPC != "putObject" {
			t.Fatalf("step %d is no put: %s %v", w.N, s.RPC, err)
		}
		if err := json.Unmarshal(s.Responses[0].D, &answer); err != nil {
			t.Fatal(err)
		}
		p := put{written: w, value: args[2], etag: answer[0].Etag}
		_ = json.Unmarshal(args[0], &p.bucket)
		_ = json.Unmarshal(args[1], &p.key)
		p.key += fmt.Sprintf(" %d", w.N)
		var got [1]struct{ Value json.RawMessage }
		switch {
		case w.Get != 0:
			if err := json.Unmarshal(steps[w.Get].Responses[0].D, &got); err != nil {
				t.Fatal(err)
			}
			p.read = string(printed(got[0].Value))
		case w.Read != nil:
			p.read = string(printed(w.Read))
		default:
			p.read = string(printed(p.value))
		}
		puts = append(puts, p)
	}
	return puts
}

// originalDatabase makes the tables of the original's dump, and their definitions.
func originalDatabase(t *testing.T) *pgtest.DB {
	t.Helper()
	db := pgtest.New(t)
	dump, err := os.ReadFile("testdata/sidebyside/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	db.Exec(t, "DROP TABLE buckets_config; "+string(dump))
	for _, row := range load[configRow](t, "testdata/schema/buckets_config_rows.jsonl") {
		db.Exec(t, `INSERT INTO buckets_config (name, index, pre, post, options, mtime, reindex_active) VALUES ($1, $2, $3, $4, $5, $6::timestamp, $7)`,
			row.Name, row.Index, row.Pre, row.Post, row.Options, row.Mtime, row.Reindexing)
	}
	return db
}

// insertAsOriginal writes the row of a put.
func insertAsOriginal(t *testing.T, db *pgtest.DB, p put) {
	t.Helper()
	names := []string{"_key", "_value", "_etag", "_mtime", "_vnode"}
	args := []any{p.key, string(printed(p.value)), p.etag, "1560000000000", p.Vnode}
	for name, text := range p.Columns {
		names = append(names, name)
		args = append(args, text)
	}
	parameters := make([]string, len(names))
	for i := range names { // the columns take the texts, as they do from the original's driver
		parameters[i] = fmt.Sprintf("$%d", i+1)
	}
	db.Exec(t, "INSERT INTO "+p.bucket+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(parameters, ", ")+")", args...)
}

// Rows that the original wrote read as the original read them, and what we put is what the original would have written, column
// by column.
func TestSideBySideRows(t *testing.T) {
	t.Parallel()
	theirs, ours := originalDatabase(t), originalDatabase(t)
	overTheirs := servertest.Start(t, theirs.URL(), servertest.Options{}).Dial(t, 2)
	overOurs := servertest.Start(t, ours.URL(), servertest.Options{}).Dial(t, 2)
	puts := recordedPuts(t)
	tables := map[string]bool{}
	for _, p := range puts {
		insertAsOriginal(t, theirs, p)
		expect(t, overOurs, "putObject", arguments(t, p.bucket, p.key, p.value, struct{}{}), `DATA {"etag":"`+p.etag+`"}`, "END")
		for _, client := range []*fast.Client{overTheirs, overOurs} {
			expect(t, client, "getObject", arguments(t, p.bucket, p.key, struct{}{}),
				fmt.Sprintf(`DATA {"bucket":%q,"key":%q,"value":%s,"_id":*`, p.bucket, p.key, p.read), "END")
		}
		tables[p.bucket] = true
	}
	compare := func() {
		t.Helper()
		for table := range tables {
			rows := `SELECT to_jsonb(t) - '_mtime' FROM ` + table + ` t ORDER BY _key`
			got, want := ours.Strings(t, rows), theirs.Strings(t, rows)
			if len(want) == 0 {
				t.Errorf("%s has no rows", table)
			}
			compareLines(t, "rows of "+table, got, want)
		}
	}
	compare()

	// Overwriting such rows gives the same rows again.
	for _, p := range puts {
		expect(t, overTheirs, "putObject", arguments(t, p.bucket, p.key, p.value, map[string]string{"etag": p.etag}), `DATA {"etag":"`+p.etag+`"}`, "END")
	}
	compare()
}

// The texts and etags of the specification, as they arrive in the table.
func TestSideBySideTexts(t *testing.T) {
	t.Parallel()
	db := originalDatabase(t)
	client := servertest.Start(t, db.URL(), servertest.Options{}).Dial(t, 2)
	tests := []struct{ sent, text, etag string }{
		{`{ }`, `{}`, "A3A6BF43"},
		{`{"a" : 1.0}`, `{"a":1}`, "561BACAF"},
		{`{"foo":"bar"}`, `{"foo":"bar"}`, "FE2BF5EF"},
		{`{"a":[1, null,"x",{ }]}`, `{"a":[1,null,"x",{}]}`, "5E6101A5"},
		{`{"n":1000000000000000000000}`, `{"n":1e+21}`, "F80C4D70"},
		{`{"n":0.0000001}`, `{"n":1e-7}`, "6719ECCA"},
		{`{"n":12345678901234567890}`, `{"n":12345678901234567000}`, "0E41DC81"},
		{`{"b":2,"a":1,"10":1,"2":2}`, `{"2":2,"10":1,"b":2,"a":1}`, "0C9C3BE6"},
		{`{"s":"\u00e9"}`, `{"s":"é"}`, "76D7251A"},
		{`{"s":"ā"}`, `{"s":"ā"}`, "D126A402"},
		{`{"s":"\ud83d\ude00"}`, `{"s":"😀"}`, "AE7E3188"},
		{`{"s":"\u0000\u0008\t\n\f\r\u001F\"\\"}`, `{"s":"\u0000\b\t\n\f\r\u001f\"\\"}`, "1B03734D"},
		{`{"b":1,"10":1,"2":1,"a":1,"FooBar":"x","__proto__":{"z":1},"a":2}`, `{"2":1,"10":1,"b":1,"a":2,"FooBar":"x","__proto__":{"z":1}}`, "B038137E"},
	}
	for i, test := range tests {
		key := fmt.Sprint("text ", i)
		expect(t, client, "putObject", json.RawMessage(fmt.Sprintf(`["golden_basic",%q,%s,{}]`, key, test.sent)), `DATA {"etag":"`+test.etag+`"}`, "END")
		got := db.Strings(t, `SELECT _etag, _value FROM golden_basic WHERE _key = $1`, key)
		if want := []string{test.etag + "|" + test.text}; !slices.Equal(got, want) {
			t.Errorf("put of %s\n etag and text %q\n want          %q", test.sent, got, want)
		}
	}
}

// Everything that clients do works on the original's tables, with columns, ids and definitions of every age.
func TestSideBySideServed(t *testing.T) {
	t.Parallel()
	db := originalDatabase(t)
	more, err := os.ReadFile("testdata/sidebyside/more.sql")
	if err != nil {
		t.Fatal(err)
	}
	db.Exec(t, string(more))
	for _, p := range recordedPuts(t) {
		insertAsOriginal(t, db, p)
	}
	play(t, servertest.Start(t, db.URL(), servertest.Options{}).Dial(t, 2), "testdata/sidebyside/served.txt")
}

// A database where no definition was ever updated lacks the column reindex_active.
func TestSideBySideNoReindexActive(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, `CREATE SEQUENCE b_serial;
		CREATE TABLE b (_id INTEGER DEFAULT nextval('b_serial'), _txn_snap INTEGER, _key TEXT PRIMARY KEY, _value TEXT NOT NULL,
			_etag CHAR(8) NOT NULL, _mtime BIGINT, _vnode BIGINT, a TEXT);
		INSERT INTO buckets_config (name, index, pre, post, options) VALUES ('b', '{"a":{"type":"string"}}', '[]', '[]', '{"version":1}');
		INSERT INTO b (_key, _value, _etag, _mtime, a) VALUES ('k', '{"a":"x"}', '00000001', 1560000000000, 'x')`)
	client := servertest.Start(t, db.URL(), servertest.Options{}).Dial(t, 2)
	reindexing := func() []string {
		return db.Strings(t, `SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'buckets_config'::regclass AND attname = 'reindex_active'`)
	}
	expect(t, client, "getBucket", arguments(t, struct{}{}, "b"),
		`DATA {"name":"b","index":"{\"a\":{\"type\":\"string\"}}","pre":"[]","post":"[]","options":"{\"version\":1}","mtime":0}`, "END")
	expect(t, client, "putObject", arguments(t, "b", "k2", map[string]string{"a": "y"}, struct{}{}), `DATA {"etag":"*`, "END")
	expect(t, client, "findObjects", arguments(t, "b", "(a=x)", struct{}{}), `DATA {"bucket":"b","key":"k",*`, "END")
	expect(t, client, "reindexObjects", arguments(t, "b", 10, struct{}{}), `DATA {"processed":0}`, "END")
	expect(t, client, "updateBucket", json.RawMessage(`["b",{"index":{},"options":{"version":1}},{}]`), "ERROR BucketVersionError: b has a newer version than 1 (1)")
	if got := reindexing(); len(got) != 0 {
		t.Errorf("an update that failed left the column %q", got)
	}
	expect(t, client, "updateBucket", json.RawMessage(`["b",{"index":{"a":{"type":"string"},"n":{"type":"number"}},"options":{"version":2}},{}]`), "END")
	if got, want := reindexing(), []string{"reindex_active|text"}; !slices.Equal(got, want) {
		t.Errorf("column %q, want %q", got, want)
	}
	expect(t, client, "getBucket", arguments(t, struct{}{}, "b"), `DATA {"name":"b",*`, "END")
	expect(t, client, "reindexObjects", arguments(t, "b", 10, struct{}{}), `DATA {"processed":2,"remaining":0}`, "END")
}

// Triggers that the original stored run as they are.
func TestSideBySideTriggers(t *testing.T) {
	t.Parallel()
	db := originalDatabase(t)
	client := servertest.Start(t, db.URL(), servertest.Options{Hooks: jstest.Hooks}).Dial(t, 2)
	none := struct{}{}
	expect(t, client, "putObject", arguments(t, "golden_badtrig", "k", none, none), "ERROR Error: pre says no")
	expect(t, client, "updateBucket", arguments(t, "golden_badtrig", map[string][]string{"pre": {
		"(function foo(req, cb) { req.value.said = 'yes'; cb(); })",
	}}, none), "END")
	expect(t, client, "putObject", arguments(t, "golden_badtrig", "k", none, none), `DATA {"etag":"*`, "END")
	compareLines(t, "values", db.Strings(t, "SELECT _value FROM golden_badtrig"), []string{`{"said":"yes"}`})
	compareLines(t, "triggers", db.Strings(t, "SELECT pre FROM buckets_config WHERE name = 'golden_badtrig'"),
		[]string{`["function foo(req, cb) { req.value.said = 'yes'; cb(); }"]`})
}
