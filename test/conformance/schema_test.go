package conformance

import (
	"bufio"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
	"github.com/kaizengarden/moray/plugins/js/jstest"
)

// The files of testdata/schema were recorded from the original Moray (server 2.6.1 on PostgreSQL 15) after the conversation of
// transcript.jsonl: what psql shows of its database, and the rows of buckets_config as JSON.

// configRow is a row of buckets_config.
type configRow struct {
	Name, Index, Pre, Post, Options, Mtime string
	Reindexing                             *string `json:"reindex_active"`
}

// After the steps of the conversation that make and change buckets, our database has the same schema and the same definitions.
func TestSchema(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	replayBuckets(t, db)

	// The difference that was decided: a column whose type changed is another one, behind the others.
	moved := map[string]bool{"golden_ver": true}

	tables, names := readDescriptions(t, "testdata/schema/describe.txt")
	for _, table := range names {
		got, want := describe(t, db, table), tables[table]
		if moved[table] {
			slices.Sort(got)
			slices.Sort(want)
		}
		compareLines(t, "descriptions of "+table, got, want)
	}
	compareLines(t, "relations", relations(t, db), readTable(t, "testdata/schema/tables.txt", 4))

	for _, line := range readSequences(t, "testdata/schema/sequences.txt") {
		name, _, _ := strings.Cut(line, "|")
		got := db.Strings(t, `SELECT sequencename, sequenceowner, data_type, start_value, min_value, max_value, increment_by, cycle, cache_size
			FROM pg_sequences WHERE sequencename = $1`, name)
		compareLines(t, "sequences", got, []string{line})
	}

	var want []string
	for _, row := range load[configRow](t, "testdata/schema/buckets_config_rows.jsonl") {
		want = append(want, rowText(t, row))
	}
	var got []string
	for _, text := range db.Strings(t, `SELECT to_jsonb(c) FROM buckets_config c`) {
		var row configRow
		if err := json.Unmarshal([]byte(text), &row); err != nil {
			t.Fatal(err)
		}
		got = append(got, rowText(t, row))
	}
	slices.Sort(got)
	slices.Sort(want)
	compareLines(t, "rows of buckets_config", got, want)
}

// replayBuckets sends the requests about buckets that the original carried out, in their order.
func replayBuckets(t *testing.T, db *pgtest.DB) {
	t.Helper()
	client := servertest.Start(t, db.URL(), servertest.Options{Hooks: jstest.Hooks}).Dial(t, 2)
	n := 0
	for _, s := range load[step](t, "testdata/transcript.jsonl") {
		about := s.RPC == "createBucket" || s.RPC == "updateBucket" || s.RPC == "delBucket" || s.RPC == "reindexObjects"
		if !about || len(s.Responses) == 0 || s.Responses[len(s.Responses)-1].Status != "END" {
			continue
		}
		if frames := call(t, client, s.RPC, s.Args); frames[len(frames)-1] != "END" {
			t.Errorf("step %d %s %.200s\n got %q, want END", s.N, s.RPC, s.Args, frames)
		}
		n++
	}
	if n < 20 {
		t.Errorf("%d steps, want at least 20", n)
	}
	// The bucket that step 59 makes is not in the list of step 71: it was deleted between them without being written down.
	expect(t, client, "delBucket", arguments(t, "golden_x", struct{}{}), "END")
}

// rowText is what a row says, without the time.
func rowText(t *testing.T, row configRow) string {
	t.Helper()
	row.Mtime = ""
	text, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// describe returns what psql's \d prints of a table: a line for each column and index, without the blanks that align them.
func describe(t *testing.T, db *pgtest.DB, table string) []string {
	t.Helper()
	columns := db.Strings(t, `SELECT attname, format_type(atttypid, atttypmod), '', CASE WHEN attnotnull THEN 'not null' ELSE '' END,
			pg_get_expr(adbin, adrelid, true)
		FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
		WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, table)
	indexes := db.Strings(t, `SELECT '"' || relname || '" ' ||
			CASE WHEN indisprimary THEN 'PRIMARY KEY, ' WHEN contype = 'u' THEN 'UNIQUE CONSTRAINT, ' WHEN indisunique THEN 'UNIQUE, ' ELSE '' END ||
			regexp_replace(pg_get_indexdef(indexrelid, 0, true), '^.* USING ', '') || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END
		FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid LEFT JOIN pg_constraint ON conindid = indexrelid
		WHERE indrelid = $1::regclass ORDER BY indisprimary DESC, relname`, table)
	return append(columns, indexes...)
}

var blanks = regexp.MustCompile(` *\| *`)

// readDescriptions reads what \d printed of several tables, in the form of [describe].
func readDescriptions(t *testing.T, path string) (tables map[string][]string, names []string) {
	t.Helper()
	tables = map[string][]string{}
	table := ""
	for _, line := range readLines(t, path) {
		switch {
		case strings.HasPrefix(line, "### "):
			table = strings.Trim(line[4:], `"`)
			names = append(names, table)
		case strings.HasPrefix(line, "  Column") || strings.HasPrefix(line, " Column") || strings.HasPrefix(line, "     Column"):
		case strings.Count(line, "|") == 4:
			tables[table] = append(tables[table], blanks.ReplaceAllString(strings.TrimSpace(line), "|"))
		case strings.HasPrefix(line, `    "`):
			tables[table] = append(tables[table], strings.TrimSpace(line))
		}
	}
	return tables, names
}

// relations lists the tables and sequences as \d does, with their owners.
func relations(t *testing.T, db *pgtest.DB) []string {
	t.Helper()
	return db.Strings(t, `SELECT nspname, relname, CASE relkind WHEN 'r' THEN 'table' ELSE 'sequence' END, pg_get_userbyid(relowner)
		FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'public' AND relkind IN ('r', 'S') ORDER BY relname`)
}

// readTable reads the lines of a table that psql printed, without its head.
func readTable(t *testing.T, path string, columns int) []string {
	t.Helper()
	var rows []string
	for _, line := range readLines(t, path) {
		if strings.Count(line, "|") == columns-1 {
			rows = append(rows, blanks.ReplaceAllString(strings.TrimSpace(line), "|"))
		}
	}
	return rows[1:]
}

// readSequences reads the rows of pg_sequences that psql printed in its extended form, without the schema and the last value.
func readSequences(t *testing.T, path string) []string {
	t.Helper()
	var rows []string
	for _, line := range readLines(t, path) {
		name, value, isField := strings.Cut(line, "|")
		value = strings.TrimSpace(value)
		switch name = strings.TrimSpace(name); {
		case !isField || strings.Count(line, "|") > 1:
		case name == "sequencename":
			rows = append(rows, value)
		case name != "schemaname" && name != "last_value":
			rows[len(rows)-1] += "|" + value
		}
	}
	return rows
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		all = append(all, lines.Text())
	}
	return all
}
