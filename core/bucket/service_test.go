package bucket_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// The calls, by what they say went wrong: "" for nothing.

func (p *parts) create(name, config string) string {
	return text(p.buckets.Create(context.Background(), name, jsvalue.Value(config)))
}

func (p *parts) update(name, config string) string {
	return text(p.buckets.Update(context.Background(), name, jsvalue.Value(config), false))
}

func (p *parts) updateNoReindex(name, config string) string {
	return text(p.buckets.Update(context.Background(), name, jsvalue.Value(config), true))
}

func (p *parts) delete(name string) string {
	return text(p.buckets.Delete(context.Background(), name))
}

func (p *parts) putInto(name, key, value string) string {
	o, err := jsvalue.ParseObject([]byte(value))
	if err == nil {
		_, err = p.objects.Put(context.Background(), &object.Put{Bucket: name, Key: key, Value: o})
	}
	return text(err)
}

func (p *parts) get(name, key string) string {
	record, err := p.objects.Get(context.Background(), &object.Get{Bucket: name, Key: key})
	if err != nil {
		return text(err)
	}
	return string(record.Member("value"))
}

// text is what a client sees of an error, "" for none.
func text(err error) string {
	if err == nil {
		return ""
	}
	if f := fault.From(err); f != nil {
		return f.Error()
	}
	return err.Error()
}

// want compares what a call says with what is expected of it.
func want(t *testing.T, call, got, expected string) {
	t.Helper()
	if got != expected {
		t.Errorf("%s: %q, want %q", call, got, expected)
	}
}

// relations lists all that is in the database beside buckets_config and the bookkeeping.
func relations(t *testing.T, db *pgtest.DB) string {
	t.Helper()
	return strings.Join(db.Strings(t, `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
 AND relname !~ '^buckets_config' ORDER BY relname COLLATE "C"`), " ")
}

func indexed(names ...string) string {
	var members []string
	for _, name := range names {
		members = append(members, fmt.Sprintf(`%q:{"type":"string"}`, name))
	}
	return `{"index":{` + strings.Join(members, ",") + `}}`
}

// TestCreateErrors checks what PostgreSQL and the catalogue refuse, and that nothing is left of it.
func TestCreateErrors(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	want(t, "create Foo", p.create("Foo", indexed("a")), "")
	db.Exec(t, `CREATE TABLE zd (); CREATE SEQUENCE zseq_serial; CREATE TABLE "zi_a_idx" ()`)
	before := relations(t, db)
	for _, c := range []struct{ name, config, want string }{
		{"Foo", indexed("a"), "BucketConflictError: Foo was likely being concurrently updated"},
		{"Foo", indexed("order"), "BucketConflictError: Foo was likely being concurrently updated"},
		{"foo", indexed("a"), `error: relation "foo_serial" already exists`},
		{"user", `{}`, `InternalError: Invalid SQL: syntax error at or near "user"`},
		{"b", indexed("a", "order"), `InternalError: Invalid SQL: syntax error at or near "order"`},
		{"b", indexed("when", "select"), `InternalError: Invalid SQL: syntax error at or near "when"`},
		{"b", indexed("a", "A"), `InternalError: Invalid SQL: column "a" specified more than once`},
		{"zd", `{}`, `error: relation "zd" already exists`},
		{"zseq", `{}`, `error: relation "zseq_serial" already exists`},
		{"zi", indexed("a"), `error: relation "zi_a_idx" already exists`},
		{"moray", `{}`, "InvalidBucketNameError: moray is not a valid bucket name"},
		{"b", `{"index":{"a":{"type":"frog"}}}`, `InvalidBucketConfigError: bucket.index['a'].type ` + allowed},
	} {
		want(t, "create "+c.name+" "+c.config, p.create(c.name, c.config), c.want)
		if after := relations(t, db); after != before {
			t.Fatalf("create %s %s failed, and left\n%s\nwhere there was\n%s", c.name, c.config, after, before)
		}
	}
	if rows := db.Strings(t, "SELECT name FROM buckets_config"); !slices.Equal(rows, []string{"Foo"}) {
		t.Errorf("definitions %q, want Foo alone", rows)
	}
}

func TestCreateOrdered(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	want(t, "create", p.create("o", `{"options":{"guaranteeOrder":true}}`), "")
	if got := db.Strings(t, "SELECT id FROM o_locking_serial"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the lock table holds %q, want one row, 1", got)
	}
	want(t, "put", p.putInto("o", "k", `{}`), "")
	if got := db.Strings(t, "SELECT _txn_snap FROM o"); !slices.Equal(got, []string{"2"}) {
		t.Errorf("the first number is %q, want 2", got)
	}
	want(t, "delete", p.delete("o"), "")
	want(t, "what is left", relations(t, db), "")
}

var mtime = regexp.MustCompile(`"mtime":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`)

func records(t *testing.T, p *parts, name string) map[string]string {
	t.Helper()
	all := map[string]string{}
	row := func(record jsvalue.Value) error {
		if !mtime.Match(record) {
			t.Errorf("no time in %s", record)
		}
		all[record.Member("name").Text()] = mtime.ReplaceAllString(string(record), `"mtime":T`)
		return nil
	}
	err := p.buckets.List(context.Background(), row)
	if name != "" {
		clear(all)
		err = p.buckets.Get(context.Background(), name, row)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRecords checks the records of getBucket and listBuckets, before and after buckets_config got its last column, and of rows
// that other programs wrote.
func TestRecords(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	if all := records(t, p, ""); len(all) != 0 {
		t.Errorf("records without buckets: %v", all)
	}
	want(t, "create", p.create("Foo", `{"index":{"a":{"type":"string"}},"options":{"x":"é"}}`), "")
	foo := `{"name":"Foo","index":"{\"a\":{\"type\":\"string\"}}","pre":"[]","post":"[]","options":"{\"x\":\"é\",\"version\":0}","mtime":T`
	for _, name := range []string{"", "Foo"} {
		if got := records(t, p, name); !maps.Equal(got, map[string]string{"Foo": foo + "}"}) {
			t.Errorf("records of %q: %v, want %s}", name, got, foo)
		}
	}
	want(t, "create", p.create("b", `{}`), "")
	want(t, "update", p.update("b", `{"options":{"version":2}}`), "")
	db.Exec(t, "INSERT INTO buckets_config (name, index, pre, post) VALUES ('old', '{}', '[]', '[]')")
	b := `{"name":"b","index":"{}","pre":"[]","post":"[]","options":"{\"version\":2}","mtime":T,"reindex_active":"{\"2\":[]}"}`
	old := `{"name":"old","index":"{}","pre":"[]","post":"[]","options":"{\"version\":0}","mtime":T,"reindex_active":null}`
	if got, want := records(t, p, ""), map[string]string{"Foo": foo + `,"reindex_active":null}`, "b": b, "old": old}; !maps.Equal(got, want) {
		t.Errorf("records\n%v, want\n%v", got, want)
	}
	for _, name := range []string{"foo", "FOO", "nosuch", "'; --", `"`, "moray", "ä", strings.Repeat("x", 1000)} {
		err := p.buckets.Get(context.Background(), name, func(jsvalue.Value) error { return nil })
		want(t, "get "+name, text(err), "BucketNotFoundError: "+name+" does not exist")
	}
	stop := errors.New("stop")
	if err := p.buckets.List(context.Background(), func(jsvalue.Value) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("List with a receiver that fails: %v, want its error", err)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	for _, name := range []string{"moray", "search", "buckets_config"} {
		want(t, "delete "+name, p.delete(name), "InvalidBucketNameError: "+name+" is not a valid bucket name")
	}
	for _, name := range []string{"nosuch", "1", "a b", "'; DROP TABLE buckets_config; --", "Moray"} {
		want(t, "delete "+name, p.delete(name), "BucketNotFoundError: "+name+" does not exist")
	}
	want(t, "create", p.create("Foo", indexed("a")), "")
	want(t, "put", p.putInto("Foo", "k", `{"a":"x"}`), "")
	want(t, "delete foo", p.delete("foo"), "BucketNotFoundError: foo does not exist")
	want(t, "delete Foo", p.delete("Foo"), "")
	want(t, "what is left", relations(t, db), "")
	want(t, "put into a deleted bucket", p.putInto("Foo", "k", `{}`), "BucketNotFoundError: Foo does not exist")

	// The same name again is a new bucket, also for a server whose cache has the old one.
	other := newParts(t, db.URL())
	want(t, "create", p.create("Foo", indexed("b")), "")
	want(t, "put", other.putInto("Foo", "k", `{"b":"1"}`), "")
	want(t, "delete", p.delete("Foo"), "")
	want(t, "create", p.create("Foo", indexed("c")), "")
	want(t, "put by another server", other.putInto("Foo", "k", `{"c":"2"}`), "")
	if got := db.Strings(t, "SELECT _id, c FROM foo"); !slices.Equal(got, []string{"1|2"}) {
		t.Errorf("rows %q, want the first id and the new column", got)
	}
}

// TestDeleteWithoutTable deletes a bucket whose table is gone: the definition stays.
func TestDeleteWithoutTable(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	want(t, "create", p.create("b", `{}`), "")
	db.Exec(t, "DROP TABLE b")
	want(t, "delete", p.delete("b"), `error: table "b" does not exist`)
	if rows := db.Strings(t, "SELECT name FROM buckets_config"); !slices.Equal(rows, []string{"b"}) {
		t.Errorf("definitions %q, want b", rows)
	}
	want(t, "get", p.get("b", "k"), `VError: check bucket "b" for _idx column: relation "b" does not exist`)
}

// TestCreateAtOnce lets two servers create, and then delete, one bucket many times at once.
func TestCreateAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	servers := []*parts{newParts(t, db.URL()), newParts(t, db.URL())}
	atOnce := func(call func(*parts) string) map[string]int {
		results := make(chan string, 8)
		var calls sync.WaitGroup
		for i := range cap(results) {
			calls.Go(func() { results <- call(servers[i%2]) })
		}
		calls.Wait()
		close(results)
		count := map[string]int{}
		for r := range results {
			count[r]++
		}
		return count
	}
	for _, name := range []string{"b", "c", "D"} {
		created := atOnce(func(p *parts) string { return p.create(name, indexed("a")) })
		if want := map[string]int{"": 1, "BucketConflictError: " + name + " was likely being concurrently updated": 7}; !maps.Equal(created, want) {
			t.Errorf("creates at once: %v, want %v", created, want)
		}
		deleted := atOnce(func(p *parts) string { return p.delete(name) })
		if want := map[string]int{"": 1, "BucketNotFoundError: " + name + " does not exist": 7}; !maps.Equal(deleted, want) {
			t.Errorf("deletes at once: %v, want %v", deleted, want)
		}
		want(t, "what is left", relations(t, db), "")
	}
}

// TestLongNames takes buckets with the longest names through all operations, side by side.
func TestLongNames(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	column := strings.Repeat("c", 63)
	first := fmt.Sprintf(`{"index":{"a":{"type":"string"},"ab":{"type":"number","unique":true},%q:{"type":"string"},%q:{"type":"string"}},"options":{"version":1,"guaranteeOrder":true}}`,
		column[:62]+"d", column[:62]+"e")
	next := fmt.Sprintf(`{"index":{"a":{"type":"string","unique":true},"ab":{"type":"number"},%q:{"type":"number"},"more":{"type":"[ip]"},"also":{"type":"string","unique":true}},"options":{"version":2,"guaranteeOrder":true}}`,
		column[:62]+"d")
	var names []string
	for _, length := range []int{60, 61, 62, 63} {
		names = append(names, strings.Repeat("b", length-1)+"X")
	}
	for _, name := range names {
		want(t, "create", p.create(name, first), "")
	}
	for _, name := range names {
		want(t, "put", p.putInto(name, "k", `{"a":"x","ab":1,"`+column[:62]+`d":"5"}`), "")
		want(t, "update "+name, p.update(name, next), "")
		want(t, "put", p.putInto(name, "l", `{"a":"x"}`), `UniqueAttributeError: "a" is a unique attribute; value "x" already exists`)
		want(t, "put", p.putInto(name, "l", `{"a":"y","ab":1,"more":"1.2.3.4"}`), "")
		want(t, "get", p.get(name, "k"), `{"a":"x","ab":1,"`+column[:62]+`d":5}`)
		if got := db.Strings(t, `SELECT _txn_snap FROM `+strings.ToLower(name)+` ORDER BY 1`); len(got) != 2 || got[0] != "2" {
			t.Errorf("%s: numbers %q, want 2 and more", name, got)
		}
	}
	for _, name := range names {
		indexes := db.Strings(t, `SELECT count(*) FROM pg_index WHERE indrelid = $1::text::regclass AND indisvalid`, strings.ToLower(name))
		want(t, "indexes of "+name, indexes[0], "11") // key, id, etag, mtime, vnode, rver and five of the definition
		want(t, "delete "+name, p.delete(name), "")
	}
	want(t, "what is left", relations(t, db), "")
}

// TestExtendedID makes a bucket in mixed case ready for extended ids as an operator does; the next load sees it.
func TestExtendedID(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	want(t, "create", p.create("Foo", `{}`), "")
	load := func() bool {
		b, err := p.buckets.Cache.Get(context.Background(), p.store, "Foo", true)
		if err != nil {
			t.Fatal(err)
		}
		return b.ExtendedID
	}
	if load() {
		t.Error("a new bucket has extended ids")
	}
	db.Exec(t, "ALTER TABLE foo ADD COLUMN _idx BIGINT")
	if load() {
		t.Error("a column makes extended ids without an index")
	}
	db.Exec(t, "CREATE INDEX foo__idx_idx ON foo (_idx) WHERE _idx IS NOT NULL")
	if !load() {
		t.Error("column and index do not make extended ids")
	}
	db.Exec(t, "ALTER TABLE foo DROP COLUMN _idx")
	if load() {
		t.Error("extended ids without a column")
	}
}

// TestReceiverFails checks that an error of the receiver is the error of the call.
func TestReceiverFails(t *testing.T) {
	t.Parallel()
	p := newParts(t, pgtest.New(t).URL())
	want(t, "create", p.create("b", `{}`), "")
	stop := errors.New("stop")
	if err := p.buckets.Get(context.Background(), "b", func(jsvalue.Value) error { return stop }); !errors.Is(err, stop) || fault.From(err) != nil {
		t.Errorf("got %v, want %v", err, stop)
	}
	want(t, "the next call", p.create("b", `{}`), "BucketConflictError: b was likely being concurrently updated")
}
