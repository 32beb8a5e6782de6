package bucket_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// describeSQL describes a table as psql's \d does: a line for each column and each index.
const describeSQL = `SELECT line FROM (
 SELECT attnum AS place, rtrim(concat_ws(' ', attname, '|', format_type(atttypid, atttypmod), '| |', CASE WHEN attnotnull THEN 'not null' END,
  '|', pg_get_expr(adbin, adrelid, true))) AS line
 FROM pg_attribute a LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
 WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
 UNION ALL
 SELECT 10000 + row_number() OVER (ORDER BY NOT indisprimary, relname COLLATE "C"), '"' || relname || '" ' ||
  CASE WHEN indisprimary THEN 'PRIMARY KEY, ' WHEN c.oid IS NOT NULL THEN 'UNIQUE CONSTRAINT, ' WHEN indisunique THEN 'UNIQUE, ' ELSE '' END ||
  regexp_replace(regexp_replace(pg_get_indexdef(indexrelid), '^.* USING ', ''), ' WHERE \((.*)\)$', ' WHERE \1')
 FROM pg_index JOIN pg_class r ON r.oid = indexrelid LEFT JOIN pg_constraint c ON conindid = indexrelid AND contype = 'u'
 WHERE indrelid = $1::text::regclass) lines ORDER BY place`

// TestSchema makes the recorded calls, and compares the tables with those that the original made.
func TestSchema(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/schema.txt")
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	blocks := strings.Split(strings.TrimSpace(string(text)), "\n\n")
	for call := range strings.SplitSeq(blocks[1], "\n") {
		words := strings.Fields(call)
		config, ctx := jsvalue.Value(words[2]), context.Background()
		switch words[0] {
		case "createBucket":
			err = p.buckets.Create(ctx, words[1], config)
		case "updateBucket":
			err = p.buckets.Update(ctx, words[1], config, len(words) > 3)
		default:
			t.Fatalf("unknown call %s", words[0])
		}
		if err != nil {
			t.Fatalf("%s: %v", call, err)
		}
	}
	for _, block := range blocks[2:] {
		lines := strings.Split(block, "\n")
		name := strings.TrimPrefix(lines[0], "### ")
		if diff := cmp.Diff(lines[1:], db.Strings(t, describeSQL, name)); diff != "" {
			t.Errorf("table %s (- original, + ours)\n%s", name, diff)
		}
		sequence := db.Strings(t, `SELECT data_type, start_value, min_value, max_value, increment_by, cycle, cache_size
 FROM pg_sequences WHERE sequencename = $1`, name+"_serial")
		if want := "bigint|1|1|9223372036854775807|1|f|1"; len(sequence) != 1 || sequence[0] != want {
			t.Errorf("sequence of %s: %q, want %s", name, sequence, want)
		}
	}
}
