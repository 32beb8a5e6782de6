package object_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/kaizengarden/moray/core/object"
)

const (
	maxID  = "9007199254740991"
	overID = "9007199254740992"
)

func outside(bucket, key string) string {
	return fmt.Sprintf(`invalid "_id" value (bucket "%s"; key "%s"): number is outside of the supported range: "%s"`, bucket, key, overID)
}

func null(bucket, key string) string {
	return fmt.Sprintf(`invalid "_id" type (bucket "%s"; key "%s"): 'null'`, bucket, key)
}

// drawn returns how many ids a bucket's sequence has given out.
func (s *server) drawn(t *testing.T, bucket string) string {
	t.Helper()
	return s.rows(t, `SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM `+bucket+`_serial`)
}

// TestIDs checks who consumes ids: an insert exactly one, nothing else any.
func TestIDs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, words := range []string{"plain u=string!", "ordered1 ordered u=string!"} {
		bucket := strings.Fields(words)[0]
		s.newBucket(t, words)
		for i, step := range []struct {
			what string
			call func() string
			want string // how many ids are drawn afterwards
		}{
			{"a get of nothing", func() string { return s.get(bucket, "k") }, "0"},
			{"a del of nothing", func() string { return s.del(bucket, "k", "") }, "0"},
			{"a put that expects something", func() string { return s.put(bucket, "k", `{}`, object.EtagIs("x")) }, "0"},
			{"the first put", func() string { return s.put(bucket, "k", `{"u":"x"}`) }, "1"},
			{"an overwrite", func() string { return s.put(bucket, "k", `{"u":"x"}`) }, "1"},
			{"an overwrite by etag", func() string { return s.put(bucket, "k", `{}`, object.EtagIs(s.put(bucket, "k", `{"u":"x"}`))) }, "1"},
			{"a put that expects nothing, in vain", func() string { return s.put(bucket, "k", `{}`, object.Absent) }, "1"},
			{"a put that expects nothing", func() string { return s.put(bucket, "l", `{"u":"x"}`, object.Absent) }, "2"},
			{"a value that is not of its type", func() string { return s.put(bucket, "m", `{"vnode":"x"}`) }, "2"},
			{"a violation", func() string { return s.put(bucket, "m", `{"u":"x"}`) }, "3"},
			{"an insert after it", func() string { return s.put(bucket, "m", `{"u":"y"}`) }, "4"},
			{"an overwrite that violates", func() string { return s.put(bucket, "m", `{"u":"x"}`) }, "4"},
			{"an update", func() string { return s.update(bucket, `{"u":"z"}`, "(u=y)") }, "4"},
			{"a deletion of many", func() string { return s.deleteMany(bucket, "(u=z)") }, "4"},
			{"an insert after that", func() string { return s.put(bucket, "m", `{}`) }, "5"},
		} {
			answer := step.call()
			if got := s.drawn(t, bucket); got != step.want {
				t.Errorf("%s, step %d: %s (%s): %s ids are drawn, want %s", bucket, i, step.what, answer, got, step.want)
			}
		}
		want(t, "ids", s.rows(t, "SELECT _key || _id FROM "+bucket+" ORDER BY _id"), "k1 l2 m5")
	}
}

// TestIDOutside inserts and deletes rows whose id no client can represent: nothing is stored or deleted.
func TestIDOutside(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, words := range []string{"plain s=string", "ordered1 ordered s=string"} {
		b := strings.Fields(words)[0]
		s.newBucket(t, words)
		s.db.Exec(t, `SELECT setval('`+b+`_serial', 9007199254740990)`)
		want(t, "put with the highest id", s.put(b, "high", `{"s":"x"}`), etag(`{"s":"x"}`))
		want(t, "its id", s.rows(t, "SELECT _id FROM "+b), maxID)
		want(t, "put beyond it", s.put(b, "k", `{"s":"x"}`), "VError: "+outside(b, "k"))
		want(t, "ids drawn", s.drawn(t, b), overID)
		s.db.Exec(t, `SELECT setval('`+b+`_serial', 9007199254740991)`)
		want(t, "put as new", s.put(b, "k", `{"s":"x"}`, object.Absent), "VError: "+outside(b, "k"))
		want(t, "ids drawn", s.drawn(t, b), overID)
		want(t, "keys", s.find(b, "(s=x)"), "high")

		s.db.Exec(t, `UPDATE `+b+` SET _id = `+overID)
		want(t, "get", s.get(b, "high"), "InternalError: failed to convert row: "+outside(b, "high"))
		want(t, "find", s.find(b, "(s=x)"), "VError: "+outside(b, "high"))
		want(t, "del", s.del(b, "high", ""), "VError: "+outside(b, "high"))
		want(t, "del with the etag", s.del(b, "high", etag(`{"s":"x"}`)), "VError: "+outside(b, "high"))
		want(t, "del with another", s.del(b, "high", "x"), `EtagConflictError: `+b+`::high was expected to have etag "x", but was "`+etag(`{"s":"x"}`)+`"`)
		want(t, "del in a batch", s.batch(t, delOp(b, "high")), "VError: "+outside(b, "high"))
		want(t, "rows", s.rows(t, "SELECT _key FROM "+b), "high")
		want(t, "overwrite", s.put(b, "high", `{"s":"y"}`), etag(`{"s":"y"}`))
		want(t, "overwrite as one that exists", s.put(b, "high", `{"s":"y"}`, object.EtagIs(etag(`{"s":"y"}`))), etag(`{"s":"y"}`))
		want(t, "update", s.update(b, `{"s":"z"}`, "(s=y)"), "1")
		want(t, "deleteMany", s.deleteMany(b, "(s=z)"), "1")
	}
}

// TestIDNull does the same with rows that have no id, because the column has no default any more.
func TestIDNull(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, words := range []string{"plain s=string", "ordered1 ordered s=string"} {
		b := strings.Fields(words)[0]
		s.newBucket(t, words)
		s.put(b, "k", `{"s":"x"}`)
		s.db.Exec(t, `ALTER TABLE `+b+` ALTER _id DROP DEFAULT`)
		want(t, "put", s.put(b, "new", `{"s":"x"}`), "VError: "+null(b, "new"))
		want(t, "put as new", s.put(b, "new", `{"s":"x"}`, object.Absent), "VError: "+null(b, "new"))
		want(t, "put in a batch", s.batch(t, putOp(b, "new", `{"s":"x"}`)), "VError: "+null(b, "new"))
		want(t, "keys", s.find(b, "(s=x)"), "k")

		s.db.Exec(t, `UPDATE `+b+` SET _id = NULL`)
		want(t, "get", s.get(b, "k"), "InternalError: failed to convert row: "+null(b, "k"))
		want(t, "find", s.find(b, "(s=x)"), "VError: "+null(b, "k"))
		want(t, "del", s.del(b, "k", ""), "VError: "+null(b, "k"))
		want(t, "del in a batch", s.batch(t, delOp(b, "k")), "VError: "+null(b, "k"))
		want(t, "update", s.update(b, `{"s":"z"}`, "(s=x)"), "0")
		want(t, "deleteMany", s.deleteMany(b, "(s=x)"), "0")
		want(t, "overwrite", s.put(b, "k", `{"s":"y"}`), etag(`{"s":"y"}`))
		want(t, "rows", s.rows(t, "SELECT _key || s FROM "+b), "ky")
	}
}

// extend gives a bucket an extended id, as an operator does.
func (s *server) extend(t *testing.T, bucket string) {
	t.Helper()
	s.db.Exec(t, fmt.Sprintf(`ALTER TABLE %[1]s ADD COLUMN _idx BIGINT; CREATE INDEX %[1]s__idx_idx ON %[1]s (_idx) WHERE _idx IS NOT NULL;
 ALTER TABLE %[1]s ALTER _idx SET DEFAULT nextval('%[1]s_serial'), ALTER _id DROP DEFAULT`, bucket))
}

// TestExtendedIDs uses a bucket while its ids move to another column.
func TestExtendedIDs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, words := range []string{"plain s=string", "ordered1 ordered s=string"} {
		b := strings.Fields(words)[0]
		s.newBucket(t, words)
		s.put(b, "one", `{"s":"x"}`)
		s.extend(t, b)

		// The definition in the cache knows nothing of it; a client can ask for it to be loaded anew.
		want(t, "put by the old definition", s.put(b, "two", `{"s":"x"}`), "VError: "+null(b, "two"))
		if _, err := s.Put(ctx, &object.Put{Bucket: b, Key: "two", Value: parse(`{"s":"x"}`), Fresh: true}); err != nil {
			t.Fatal(err)
		}
		s.put(b, "three", `{"s":"x"}`)
		want(t, "ids", s.rows(t, "SELECT concat_ws(' ', _key, coalesce(_id::text, '-'), coalesce(_idx::text, '-')) FROM "+b+" ORDER BY _id, _idx"), "one 1 - two - 3 three - 4")
		var ids []string
		for _, record := range s.records(t, &object.Find{Bucket: b, Filter: "(s=x)", NoCount: true}) {
			_, id, _ := strings.Cut(record, `"_id":`)
			id, _, _ = strings.Cut(id, ",")
			ids = append(ids, id)
		}
		want(t, "ids of the records", strings.Join(ids, " "), "1 3 4")
		for filter, keys := range map[string]string{
			"(_id=1)": "one", "(_id=3)": "two", "(_id>=3)": "two three", "(_id<=3)": "one two", "(!(_id=3))": "one three", "(&(s=x)(!(_id>=3)))": "one",
		} {
			want(t, "find "+filter, s.find(b, filter), keys)
		}
		want(t, "descending", s.find(b, "(s=x)", sorted("_id", true)), "three two one")
		want(t, "overwrite", s.put(b, "two", `{"s":"y"}`), etag(`{"s":"y"}`))
		want(t, "update", s.update(b, `{"s":"z"}`, "(_id>=1)"), "3")
		want(t, "deleteMany", s.deleteMany(b, "(|(_id=1)(_id=3))"), "2")
		want(t, "del", s.del(b, "three", ""), "")
		want(t, "rows", s.rows(t, "SELECT _key FROM "+b), "")
	}
}

// TestExtendedIDsBroken has rows with both ids, with none, and with one that is too large.
func TestExtendedIDsBroken(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, c := range map[string]struct{ id, idx, find, get string }{
		"both":       {"1", "2", "AssertionError: must not have _idx if _id exists", "must not have _idx if _id exists"},
		"none":       {"NULL", "NULL", "AssertionError: must have _idx if no _id", "must have _idx if no _id"},
		"_id large":  {overID, "NULL", "VError: " + outside("B", "k"), outside("B", "k")},
		"_idx large": {"NULL", overID, "VError: " + outside("B", "k"), outside("B", "k")},
	} {
		b := strings.ReplaceAll("x_"+name, " ", "")
		c.find, c.get = strings.ReplaceAll(c.find, `"B"`, `"`+b+`"`), strings.ReplaceAll(c.get, `"B"`, `"`+b+`"`)
		s.newBucket(t, b+" s=string")
		s.extend(t, b)
		s.put(b, "k", `{"s":"x"}`)
		s.db.Exec(t, fmt.Sprintf("UPDATE %s SET _id = %s, _idx = %s", b, c.id, c.idx))
		want(t, name+": get", s.get(b, "k"), "InternalError: failed to convert row: "+c.get)
		want(t, name+": find", s.find(b, "(s=x)"), c.find)
		want(t, name+": del", s.del(b, "k", ""), c.find)
		want(t, name+": del in a batch", s.batch(t, delOp(b, "k")), c.find)
		want(t, name+": overwrite", s.put(b, "k", `{"s":"y"}`), etag(`{"s":"y"}`))
		changed := "1"
		if name == "none" {
			changed = "0"
		}
		want(t, name+": update", s.update(b, `{"s":"z"}`, "(s=y)"), changed)
		want(t, name+": deleteMany", s.deleteMany(b, "(_key=k)"), changed)

		// An insert into a table that gives such ids.
		s.db.Exec(t, fmt.Sprintf("DELETE FROM %[1]s; ALTER TABLE %[1]s ALTER _id SET DEFAULT %[2]s, ALTER _idx SET DEFAULT %[3]s", b, c.id, c.idx))
		for _, expects := range []object.Precondition{{}, object.Absent} {
			want(t, name+": insert", s.put(b, "k", `{"s":"x"}`, expects), c.find)
		}
		want(t, name+": insert in a batch", s.batch(t, putOp(b, "k", `{}`)), c.find)
		want(t, name+": rows", s.rows(t, "SELECT _key FROM "+b), "")
	}
}

// TestIDsShared lets puts that fail on their id share connections with puts that do not: none takes another one along.
func TestIDsShared(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "good s=string")
	s.newBucket(t, "bad s=string")
	s.db.Exec(t, `SELECT setval('bad_serial', `+maxID+`)`)
	one := serverOver(t, s.db, 1)
	var calls sync.WaitGroup
	for i := range 60 {
		calls.Go(func() {
			key := fmt.Sprint("k", i)
			if i%3 == 0 {
				got := one.put("bad", key, `{"s":"x"}`)
				if !strings.HasPrefix(got, `VError: invalid "_id" value (bucket "bad"; key "`+key+`"): number is outside`) {
					t.Errorf("a put that draws a bad id: %s", got)
				}
			} else if got := one.put("good", key, `{"s":"x"}`); len(got) != 8 {
				t.Errorf("a put beside it: %s", got)
			}
		})
	}
	calls.Wait()
	want(t, "rows", s.rows(t, "SELECT count(*) FROM bad")+" "+s.rows(t, "SELECT count(*) FROM good"), "0 40")
	want(t, "ids drawn: one a put", s.rows(t, "SELECT last_value - "+maxID+" FROM bad_serial"), "20")
}
