package bucket_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// stored returns the columns of buckets_config that an update changes, and the version.
func stored(t *testing.T, db *pgtest.DB, name string) string {
	t.Helper()
	return strings.Join(db.Strings(t, `SELECT index, options, to_jsonb(c)->>'reindex_active' FROM buckets_config c WHERE name = $1`, name), "\n")
}

// reindexing returns the stored reindex_active, "" for NULL.
func reindexing(t *testing.T, db *pgtest.DB, name string) string {
	t.Helper()
	return db.Strings(t, `SELECT to_jsonb(c)->>'reindex_active' FROM buckets_config c WHERE name = $1`, name)[0]
}

// TestUpdateSequence is the sequence that was verified on the original, over an empty table and over one with a row. It differs
// where uniqueness and type of an index changed: the original changed nothing but the definition.
func TestUpdateSequence(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{0, 1} {
		t.Run(fmt.Sprint(rows, " rows"), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			p := newParts(t, db.URL())
			want(t, "create", p.create("up", `{"index":{"a":{"type":"string"},"b":{"type":"string"},"c":{"type":"string","unique":true},"dd":{"type":"string"}},"options":{"version":1}}`), "")
			for range rows {
				want(t, "put", p.putInto("up", "k", `{"a":"x","b":"y","c":"z","dd":"7","e":["p"],"g":"1.2.3.4"}`), "")
			}
			next := `{"index":{"a":{"type":"string","unique":true},"b":{"type":"string"},"dd":{"type":"number"},"e":{"type":"[string]"},"f":{"type":"numrange"},"g":{"type":"ip","unique":true}},"options":{"version":2}}`
			want(t, "update", p.update("up", next), "")
			want(t, "reindex_active", reindexing(t, db, "up"), `{"2":["e","f","g"]}`)
			table := db.Strings(t, describeSQL, "up")
			columns := slices.DeleteFunc(slices.Clone(table), func(line string) bool { return line[0] == '_' || line[0] == '"' })
			slices.Sort(columns) // a column that changed its type may stand elsewhere
			want(t, "columns", strings.Join(columns, "\n"), "a | text | | |\nb | text | | |\ndd | numeric | | |\ne | text[] | | |\nf | numrange | | |\ng | inet | | |")
			indexes := slices.DeleteFunc(table, func(line string) bool { return line[0] != '"' || strings.HasPrefix(line, `"up__`) })
			want(t, "indexes", strings.Join(indexes, "\n"), `"up_pkey" PRIMARY KEY, btree (_key)
"up_a_idx" UNIQUE, btree (a) WHERE a IS NOT NULL
"up_b_idx" btree (b) WHERE b IS NOT NULL
"up_dd_idx" btree (dd) WHERE dd IS NOT NULL
"up_e_idx" gin (e) WHERE e IS NOT NULL
"up_f_idx" gist (f) WHERE f IS NOT NULL
"up_g_idx" UNIQUE, btree (g) WHERE g IS NOT NULL`)
			if rver := db.Strings(t, describeSQL+" OFFSET 0", "up"); !slices.Contains(rver, `"up__rver_idx" btree (_rver) WHERE _rver IS NOT NULL`) {
				t.Errorf("no index of the row version in %s", rver)
			}
			if rows > 0 { // c is gone from the table, not from the value; what is being reindexed is read from the value
				want(t, "get", p.get("up", "k"), `{"a":"x","b":"y","c":"z","dd":7,"e":["p"],"g":"1.2.3.4"}`)
			}
		})
	}
}

func TestUpdateVersions(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	want(t, "update", p.update("nope", `{}`), "BucketNotFoundError: nope does not exist")
	want(t, "an invalid definition of no bucket", p.update("nope", `{"index":5}`), "InvalidBucketConfigError: bucket.index should be object")
	want(t, "create", p.create("b", `{}`), "")
	for _, step := range []struct{ version, want string }{
		{"0", ""},
		{"null", ""},
		{"1", ""},
		{"1", "b has a newer version than 1 (1)"},
		{"0", "b has a newer version than 0 (1)"},
		{"null", "b has a newer version than 0 (1)"},
		{"3", ""},
		{"2", "b has a newer version than 2 (3)"},
		{"4", ""},
		{"1e21", ""},
		{"5", "b has a newer version than 5 (1e+21)"},
		{"1e21", "b has a newer version than 1e+21 (1e+21)"},
	} {
		if step.want != "" {
			step.want = "BucketVersionError: " + step.want
		}
		want(t, "update to version "+step.version, p.updateNoReindex("b", `{"options":{"version":`+step.version+`}}`), step.want)
	}
}

// TestUpdateFailsFirst checks that a call that fails does not even add the column reindex_active to buckets_config.
func TestUpdateFailsFirst(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	want(t, "create", p.create("b", `{"options":{"version":1}}`), "")
	columns := func() string {
		return db.Strings(t, `SELECT count(*) FROM pg_attribute WHERE attrelid = 'buckets_config'::regclass AND attnum > 0`)[0]
	}
	want(t, "update", p.update("b", `{"options":{"version":1}}`), "BucketVersionError: b has a newer version than 1 (1)")
	want(t, "columns of buckets_config", columns(), "6")
	want(t, "update", p.updateNoReindex("b", `{"options":{"version":2}}`), "")
	want(t, "columns of buckets_config", columns(), "7")
}

// TestReindexActive follows the bookkeeping through chains of updates.
func TestReindexActive(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	type step struct {
		indexes   string // words: a name, or name:type
		version   int
		noReindex bool
		want      string
	}
	for name, steps := range map[string][]step{
		"unversioned":       {{"a b", 0, false, ""}, {"a b c", 0, false, ""}},
		"no_reindex":        {{"a b", 1, true, ""}, {"a b c", 2, false, `{"2":["c"]}`}, {"a b c d", 3, true, `{"2":["c"]}`}},
		"nothing added":     {{"a", 2, false, `{"2":[]}`}, {"a", 3, false, `{"2":[],"3":[]}`}},
		"order of versions": {{"a b", 2, false, `{"2":["b"]}`}, {"a b c", 10, false, `{"2":["b"],"10":["c"]}`}, {"a b c d", 11, false, `{"2":["b"],"10":["c"],"11":["d"]}`}},
		"dropped":           {{"a b c", 2, false, `{"2":["b","c"]}`}, {"a c d", 3, false, `{"2":["c"],"3":["d"]}`}, {"a", 4, false, `{"2":[],"3":[],"4":[]}`}},
		"dropped, quietly":  {{"a b", 2, false, `{"2":["b"]}`}, {"a", 3, true, `{"2":[]}`}},
		"dropped and added": {{"a b", 2, false, `{"2":["b"]}`}, {"a", 3, false, `{"2":[],"3":[]}`}, {"a b", 4, false, `{"2":[],"3":[],"4":["b"]}`}},
		"changed type":      {{"a b", 2, false, `{"2":["b"]}`}, {"a:number b:number", 3, false, `{"2":[],"3":[]}`}},
		"big":               {{"a b", 2147483647, false, `{"2147483647":["b"]}`}},
	} {
		bucket := strings.NewReplacer(" ", "_", ",", "").Replace(name)
		want(t, "create "+bucket, p.create(bucket, indexed("a")), "")
		for _, s := range steps {
			var members []string
			for word := range strings.FieldsSeq(s.indexes) {
				index, kind, ok := strings.Cut(word, ":")
				if !ok {
					kind = "string"
				}
				members = append(members, fmt.Sprintf(`%q:{"type":%q}`, index, kind))
			}
			config := fmt.Sprintf(`{"index":{%s},"options":{"version":%d}}`, strings.Join(members, ","), s.version)
			update := p.update
			if s.noReindex {
				update = p.updateNoReindex
			}
			want(t, bucket+" update to "+config, update(bucket, config), "")
			want(t, bucket+" reindex_active after "+config, reindexing(t, db, bucket), s.want)
		}
	}
}

// TestReindexActiveKept checks that what else the column holds stays, and that a list of the same version is added to.
func TestReindexActiveKept(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	want(t, "create", p.create("b", indexed("a")), "")
	want(t, "update", p.update("b", indexed("a")), "")
	for _, c := range []struct{ before, after string }{
		{`{"5":["x","b"],"4":["a"]}`, `{"4":["a"],"5":["x","b"]}`},
		{`{"5":["x"]}`, `{"5":["x","b"]}`},
		{`{"3":["x",null,5],"2":"odd"}`, `{"2":[],"3":["x"],"5":["b"]}`},
		{`{}`, `{"5":["b"]}`},
	} {
		db.Exec(t, `UPDATE buckets_config SET index = '{"a":{"type":"string"}}', options = '{"version":4}', reindex_active = '`+c.before+`'`)
		db.Exec(t, `ALTER TABLE b DROP COLUMN IF EXISTS b`)
		want(t, "update", p.update("b", `{"index":{"a":{"type":"string"},"b":{"type":"string"}},"options":{"version":5}}`), "")
		want(t, "reindex_active after "+c.before, reindexing(t, db, "b"), c.after)
	}
}

// TestUniqueness switches uniqueness on and off, over rows and over none: made by createBucket it is a constraint, made by
// updateBucket an index.
func TestUniqueness(t *testing.T) {
	t.Parallel()
	const violation = `UniqueAttributeError: "u" is a unique attribute; value "x" already exists`
	for _, rows := range []bool{false, true} {
		t.Run(fmt.Sprint("rows ", rows), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			p := newParts(t, db.URL())
			config := func(unique bool, version int) string {
				return fmt.Sprintf(`{"index":{"u":{"type":"string","unique":%t}},"options":{"version":%d}}`, unique, version)
			}
			indexes := func() string {
				return strings.Join(db.Strings(t, `SELECT relname || CASE WHEN indisunique THEN ' unique' ELSE '' END
 FROM pg_index JOIN pg_class r ON r.oid = indexrelid JOIN pg_attribute a ON a.attrelid = indrelid AND attnum = indkey[0]
 WHERE indrelid = 'b'::regclass AND attname = 'u' AND indisvalid`), ", ")
			}
			put := func(unique bool) {
				t.Helper()
				expected := ""
				if unique {
					expected = violation
				}
				if rows {
					want(t, "put", p.putInto("b", "second", `{"u":"x"}`), expected)
					db.Exec(t, "DELETE FROM b WHERE _key = 'second'")
				}
			}
			want(t, "create", p.create("b", config(true, 1)), "")
			if rows {
				want(t, "put", p.putInto("b", "first", `{"u":"x"}`), "")
			}
			for version, unique := range []bool{true, true, false, false, true, true, false} {
				if version > 0 {
					want(t, "update", p.update("b", config(unique, version+1)), "")
				}
				want(t, "indexes", indexes(), [...]string{"b_u_key unique", "b_u_key unique", "b_u_idx", "b_u_idx", "b_u_idx unique", "b_u_idx unique", "b_u_idx"}[version])
				put(unique)
			}
			// Without the member it is the same as false: nothing is built.
			before := db.Strings(t, `SELECT oid FROM pg_class WHERE relname = 'b_u_idx'`)[0]
			want(t, "update", p.update("b", `{"index":{"u":{"type":"string"}},"options":{"version":10}}`), "")
			want(t, "the index", db.Strings(t, `SELECT oid FROM pg_class WHERE relname = 'b_u_idx'`)[0], before)
		})
	}
}

// TestUniqueArrays: an array may be unique from the start, because that is a constraint, but not later.
func TestUniqueArrays(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	want(t, "create", p.create("b", `{"index":{"ua":{"type":"[number]","unique":true},"r":{"type":"numrange","unique":true}}}`), "")
	want(t, "put", p.putInto("b", "a", `{"ua":[1,2],"r":"[1,2)"}`), "")
	want(t, "put", p.putInto("b", "b", `{"ua":[1,2]}`), `UniqueAttributeError: "ua" is a unique attribute; value "{1,2}" already exists`)
	want(t, "put", p.putInto("b", "b", `{"r":"[1,2)"}`), `UniqueAttributeError: "r" is a unique attribute; value "[1,2)" already exists`)
	before, definition := relations(t, db), stored(t, db, "b")
	want(t, "add a unique array", p.update("b", `{"index":{"new":{"type":"[string]","unique":true}}}`), `error: access method "gin" does not support unique indexes`)
	want(t, "add a unique range", p.update("b", `{"index":{"new":{"type":"daterange","unique":true}}}`), `error: access method "gist" does not support unique indexes`)
	want(t, "relations", relations(t, db), before)
	want(t, "definition", stored(t, db, "b"), definition)
}

// TestRetype changes the type of an index over rows: the column is filled before the call answers.
func TestRetype(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	for i, c := range []struct{ from, value, to, column, shown string }{
		{"string", `"5"`, "number", "5", `{"x":5}`},
		{"string", `"abc"`, "number", "NaN", `{"x":null}`},
		{"number", `5`, "string", "5", `{"x":"5"}`},
		{"number", `1.50`, "[number]", "{1.5}", `{"x":[1.5]}`},
		{"string", `"a,b"`, "[string]", `{"a,b"}`, `{"x":["a,b"]}`},
		{"[string]", `["a"]`, "string", "a", `{"x":["a"]}`}, // an array stays one under an index that is none
		{"string", `"10.0.0.1"`, "ip", "10.0.0.1", `{"x":"10.0.0.1"}`},
		{"ip", `16909060`, "string", "1.2.3.4", `{"x":"1.2.3.4"}`},
		{"date", `"2020-01-01T00:00:00Z"`, "string", "2020-01-01T00:00:00.000Z", `{"x":"2020-01-01T00:00:00.000Z"}`},
		{"boolean", `"TRUE"`, "string", "true", `{"x":"true"}`},
		{"string", `null`, "number", "", `{"x":null}`},
		{"[number]", `[1,2]`, "number", "1", `{"x":[1,2]}`},
	} {
		name := fmt.Sprint("b", i)
		call := c.from + " " + c.value + " to " + c.to
		want(t, call, p.create(name, `{"index":{"x":{"type":"`+c.from+`"}},"options":{"version":1}}`), "")
		want(t, call, p.putInto(name, "k", `{"x":`+c.value+`}`), "")
		want(t, call, p.putInto(name, "other", `{}`), "")
		next := `{"index":{"x":{"type":"` + c.to + `"}},"options":{"version":%d}}`
		want(t, call+" without a version", p.update(name, `{"index":{"x":{"type":"`+c.to+`"}},"options":{"version":0}}`), "BucketVersionError: "+name+" has a newer version than 0 (1)")
		want(t, call, p.update(name, fmt.Sprintf(next, 2)), "")
		want(t, call+": column", db.Strings(t, `SELECT x FROM `+name+` WHERE _key = 'k'`)[0], c.column)
		want(t, call+": get", p.get(name, "k"), c.shown)
		want(t, call+": reindex_active", reindexing(t, db, name), `{"2":[]}`)
		want(t, call+": index", db.Strings(t, `SELECT count(*) FROM pg_class WHERE relname = $1`, name+"_x_idx")[0], "1")
		want(t, call+": traces", db.Strings(t, `SELECT count(*) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname ~ 'moray' AND NOT attisdropped`, name)[0], "0")
	}
}

// TestRetypeRefused checks that a change of type that cannot be made leaves all as it was.
func TestRetypeRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	want(t, "create", p.create("b", `{"index":{"x":{"type":"string"},"n":{"type":"number"}}}`), "")
	want(t, "put", p.putInto("b", "good", `{"x":"1.2.3.4"}`), "")
	state := func() string {
		return strings.Join(db.Strings(t, describeSQL, "b"), "\n") + stored(t, db, "b") + strings.Join(db.Strings(t, "SELECT _key, x, n, _value FROM b ORDER BY _key"), "\n")
	}
	before := state()
	want(t, "a change without a version", p.update("b", `{"index":{"x":{"type":"ip"},"n":{"type":"number"}}}`),
		`InvalidBucketConfigError: index "x" can change its type from string to ip only with a higher version`)
	want(t, "state", state(), before)

	want(t, "put", p.putInto("b", "bad", `{"x":"nonsense","n":3}`), "")
	before = state()
	next := `{"index":{"x":{"type":"ip"},"n":{"type":"number"},"more":{"type":"string"}},"options":{"version":2}}`
	want(t, "a value that does not fit", p.update("b", next), "InvalidIndexTypeError: index(x) is of type ip")
	after := strings.Replace(strings.Replace(state(), "_rver | integer | | |\n", "", 1), "\n\"b__rver_idx\" btree (_rver) WHERE _rver IS NOT NULL", "", 1)
	want(t, "state but for the row version, which belongs to no definition", after, before)
	if left := db.Strings(t, "SELECT name FROM _moray.unfinished"); len(left) > 0 {
		t.Errorf("recorded as unfinished: %s", left)
	}
	want(t, "put", p.putInto("b", "bad", `{"x":"5.6.7.8","n":3}`), "")
	want(t, "the same update", p.update("b", next), "")
	want(t, "get", p.get("b", "bad"), `{"x":"5.6.7.8","n":3}`)
}

// TestFirstOfErrors checks the error that stands for several.
func TestFirstOfErrors(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	for _, rows := range []bool{false, true} {
		name := fmt.Sprint("b", rows)
		want(t, "create", p.create(name, indexed("z")), "")
		if rows {
			want(t, "put", p.putInto(name, "k", `{}`), "")
		}
		before := strings.Join(db.Strings(t, describeSQL, name), "\n") + stored(t, db, name)
		for _, c := range []struct {
			config, want string
			codes        []string
		}{
			{indexed("z", "order", "when"), `first of 2 errors: syntax error at or near "order"`, []string{"42601", "42601"}},
			{indexed("z", "Z"), `first of 1 error: column "z" of relation "` + name + `" already exists`, []string{"42701"}},
			{indexed("z", "Z", "y", "select"), `first of 3 errors: column "z" of relation "` + name + `" already exists`, []string{"42701", "25P02", "42601"}},
			{indexed("z", "y", "y1", "Y"), `first of 1 error: column "y" of relation "` + name + `" already exists`, []string{"42701"}},
		} {
			err := p.buckets.Update(context.Background(), name, jsvalue.Value(c.config), false)
			want(t, "update to "+c.config, text(err), "VError: "+c.want)
			var f *fault.Error
			if !errors.As(err, &f) {
				continue
			}
			var codes []string
			for _, m := range f.Members {
				codes = append(codes, m.Member("code").Text())
				if m.Member("name").Text() != "error" {
					t.Errorf("%s: a member without a name: %s", c.config, m)
				}
			}
			if !slices.Equal(codes, c.codes) {
				t.Errorf("update to %s: codes %q, want %q", c.config, codes, c.codes)
			}
		}
		want(t, "state", strings.Join(db.Strings(t, describeSQL, name), "\n")+stored(t, db, name), before)
	}
}

// TestUpdateOrdered turns the order of puts on and off.
func TestUpdateOrdered(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	want(t, "create", p.create("b", `{}`), "")
	want(t, "put", p.putInto("b", "a", `{}`), "")
	serials := func() string { return strings.Join(db.Strings(t, "SELECT _key, _txn_snap FROM b ORDER BY 1"), " ") }
	for _, step := range []struct{ options, want string }{
		{`{"guaranteeOrder":true}`, "a|2"}, {`{}`, "a|2"}, {`{"guaranteeOrder":true}`, "a|3"},
	} {
		want(t, "update", p.update("b", `{"options":`+step.options+`}`), "")
		want(t, "put", p.putInto("b", "a", `{}`), "")
		want(t, "numbers with "+step.options, serials(), step.want)
	}
}

// TestUpdateMixedCase updates a bucket with upper-case letters more than once: the original could only once.
func TestUpdateMixedCase(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	want(t, "create", p.create("FooBar", `{"index":{"camelCase":{"type":"string"}},"options":{"version":1}}`), "")
	want(t, "put", p.putInto("FooBar", "k", `{"camelCase":"x","newOne":"y"}`), "")
	for version := 2; version <= 4; version++ {
		config := fmt.Sprintf(`{"index":{"camelCase":{"type":"string"},"newOne":{"type":"string","unique":%t}},"options":{"version":%d}}`, version == 3, version)
		want(t, "update", p.update("FooBar", config), "")
		want(t, "get", p.get("FooBar", "k"), `{"camelCase":"x","newOne":"y"}`)
	}
	want(t, "reindex_active", reindexing(t, db, "FooBar"), `{"2":["newOne"],"3":[],"4":[]}`)
	want(t, "delete", p.delete("FooBar"), "")
	want(t, "what is left", relations(t, db), "")
}

// TestUpdatesAtOnce lets two servers update one bucket many times at once, over rows and over none.
func TestUpdatesAtOnce(t *testing.T) {
	t.Parallel()
	for _, rows := range []bool{false, true} {
		t.Run(fmt.Sprint("rows ", rows), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			servers := []*parts{newParts(t, db.URL()), newParts(t, db.URL())}
			want(t, "create", servers[0].create("b", indexed("a")), "")
			if rows {
				want(t, "put", servers[0].putInto("b", "k", `{"a":"x"}`), "")
			}
			var calls sync.WaitGroup
			var mu sync.Mutex
			highest := 0
			for version := 1; version <= 6; version++ {
				calls.Go(func() {
					config := fmt.Sprintf(`{"index":{"a":{"type":"string"},"v%d":{"type":"number"}},"options":{"version":%d}}`, version, version)
					err := servers[version%2].buckets.Update(context.Background(), "b", jsvalue.Value(config), false)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						highest = max(highest, version)
					case !errors.Is(err, fault.BucketVersion):
						t.Errorf("update to version %d: %v", version, err)
					}
				})
			}
			calls.Wait()
			if highest == 0 {
				t.Fatal("no update succeeded")
			}
			want(t, "definition", db.Strings(t, "SELECT index, options FROM buckets_config")[0],
				fmt.Sprintf(`{"a":{"type":"string"},"v%d":{"type":"number"}}|{"version":%d}`, highest, highest))
			columns := db.Strings(t, `SELECT attname FROM pg_attribute WHERE attrelid = 'b'::regclass AND NOT attisdropped AND attnum > 7 ORDER BY 1`)
			want(t, "columns", strings.Join(columns, " "), fmt.Sprintf("_rver a v%d", highest))
			for _, p := range servers {
				want(t, "put", p.putInto("b", "k", fmt.Sprintf(`{"v%d":7}`, highest)), "")
			}
			want(t, "column", db.Strings(t, fmt.Sprintf(`SELECT v%d FROM b WHERE _key = 'k'`, highest))[0], "7")
		})
	}
}

// TestUpdateAndDelete lets updates meet the deletion of their bucket.
func TestUpdateAndDelete(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	servers := []*parts{newParts(t, db.URL()), newParts(t, db.URL())}
	for round := range 4 {
		want(t, "create", servers[0].create("b", indexed("a")), "")
		for range round % 2 {
			want(t, "put", servers[0].putInto("b", "k", `{"a":"x"}`), "")
		}
		var calls sync.WaitGroup
		for i := range 3 {
			calls.Go(func() {
				err := servers[i%2].buckets.Update(context.Background(), "b", jsvalue.Value(indexed("a", fmt.Sprint("n", i))), false)
				if err != nil && !errors.Is(err, fault.BucketNotFound) {
					t.Errorf("update: %v", err)
				}
			})
		}
		calls.Go(func() { want(t, "delete", servers[1].delete("b"), "") })
		calls.Wait()
		want(t, "what is left", relations(t, db), "")
		if left := db.Strings(t, `SELECT count(*) FROM pg_class WHERE relname = 'unfinished'`); left[0] != "0" {
			if noted := db.Strings(t, "SELECT name FROM _moray.unfinished"); len(noted) > 0 {
				t.Errorf("recorded as unfinished: %s", noted)
			}
		}
	}
}
