package object_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

func putOp(bucket, key, value string, expects ...object.Precondition) object.Operation {
	p := &object.Put{Bucket: bucket, Key: key, Value: parse(value)}
	for _, e := range expects {
		p.Expects = e
	}
	return object.Operation{Put: p}
}

func delOp(bucket, key string, etag ...string) object.Operation {
	return object.Operation{Delete: &object.Delete{Bucket: bucket, Key: key, Etag: strings.Join(etag, "")}}
}

func updateOp(bucket, fields, filter string) object.Operation {
	return object.Operation{Update: &object.Update{Bucket: bucket, Fields: parse(fields), Filter: filter, Page: query.Page{Limit: query.DefaultLimit}}}
}

func deleteManyOp(bucket, filter string) object.Operation {
	return object.Operation{DeleteMany: &object.DeleteMany{Bucket: bucket, Filter: filter, Page: query.Page{Limit: query.DefaultLimit}}}
}

// batch returns the etags and counts of the operations, or the fault. Etags of updates are random: only u is shown.
func (s *server) batch(t testing.TB, operations ...object.Operation) string {
	t.Helper()
	outcomes, err := s.Batch(ctx, operations)
	if err != nil {
		return text(err)
	}
	var all []string
	for i, o := range outcomes {
		word := o.Etag
		if updateEtag.MatchString(word) {
			word = "u"
		}
		if operations[i].Update != nil || operations[i].DeleteMany != nil {
			word += fmt.Sprint(o.Count)
		}
		all = append(all, word)
	}
	return strings.Join(all, " ")
}

func TestBatch(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "t3 n=number u=string!")
	s.newBucket(t, "t4 ordered n=number")
	want(t, "an empty batch", s.batch(t), "")
	want(t, "the verified example", s.batch(t,
		putOp("t3", "a", `{"n":1}`), putOp("t4", "b", `{"n":2}`), updateOp("t3", `{"n":3}`, "(n=1)"), deleteManyOp("t3", "(n=2)"), delOp("t4", "b")),
		etag(`{"n":1}`)+" "+etag(`{"n":2}`)+" u1 0 ")
	want(t, "rows", s.find("t3", "(n=3)")+s.find("t4", "(_id>=0)"), "a")
	want(t, "in order", s.batch(t,
		putOp("t3", "a", `{"n":5}`), putOp("t3", "a", `{"n":6}`, object.EtagIs(etag(`{"n":5}`))), delOp("t3", "a", etag(`{"n":6}`)),
		putOp("t3", "a", `{"n":7}`, object.Absent), updateOp("t3", `{}`, "(n=7)"), deleteManyOp("t3", "(n>=0)"), putOp("t3", "a", `{"n":8}`, object.Absent)),
		strings.Join([]string{etag(`{"n":5}`), etag(`{"n":6}`), "", etag(`{"n":7}`), "u1", "1", etag(`{"n":8}`)}, " "))
	want(t, "get", s.get("t3", "a"), `{"n":8}`)
	want(t, "an update of no fields", s.batch(t, updateOp("t3", `{}`, "(n=8)")), "u1")
	if got := s.rows(t, "SELECT _etag FROM t3"); !updateEtag.MatchString(got) {
		t.Errorf("the etag after an update of no fields is %q", got)
	}
	want(t, "get", s.get("t3", "a"), `{"n":8}`)
}

// TestBatchFails: whatever fails, at whatever place, its fault is the answer and nothing is done.
func TestBatchFails(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b n=number ip=ip u=string!")
	s.newBucket(t, "o ordered n=number")
	s.put("b", "old", `{"n":1,"u":"taken"}`)
	s.put("b", "victim", `{"u":"victim"}`)
	s.put("o", "old", `{"n":1}`)
	state := func() string {
		return s.rows(t, "SELECT concat_ws('|', _key, _value, _etag, n) FROM b UNION ALL SELECT concat_ws('|', _key, _value, _etag, n, _txn_snap, id) FROM o, o_locking_serial ORDER BY 1")
	}
	before := state()
	for _, c := range []struct {
		op   object.Operation
		want string
	}{
		{putOp("nope", "k", `{}`), "BucketNotFoundError: nope does not exist"},
		{putOp("b", "old", `{}`, object.Absent), `EtagConflictError: b::old was expected to have etag "null", but was "` + etag(`{"n":1,"u":"taken"}`) + `"`},
		{putOp("b", "x", `{}`, object.EtagIs("e")), `EtagConflictError: b::x was expected to have etag "e", but was "null"`},
		{putOp("b", "x", `{"ip":"x"}`), "InvalidIndexTypeError: index(ip) is of type ip"},
		{putOp("b", "x", `{"u":"taken"}`), `UniqueAttributeError: "u" is a unique attribute; value "taken" already exists`},
		{putOp("b", "x", `{"vnode":"abc"}`), `error: invalid input syntax for type bigint: "abc"`},
		{putOp("o", "x", `{"vnode":"abc"}`), `error: invalid input syntax for type bigint: "abc"`},
		{delOp("b", "x"), "ObjectNotFoundError: b::x does not exist"},
		{delOp("b", "old", "e"), `EtagConflictError: b::old was expected to have etag "e", but was "` + etag(`{"n":1,"u":"taken"}`) + `"`},
		{delOp("nope", "x"), "BucketNotFoundError: nope does not exist"},
		{updateOp("b", `{"n":1}`, ""), "InvalidQueryError:  is an invalid filter"},
		{updateOp("b", `{"n":1}`, "(z=1)"), "NotIndexedError: b does not have indexes that support (z=1). Reindexing fields: []. Unindexed fields: [ 'z' ]"},
		{updateOp("b", `{"n":null}`, "(n=1)"), `NotNullableError: index "n" (of type "number") cannot store null values`},
		{updateOp("b", `{"u":"taken"}`, "(u=victim)"), `UniqueAttributeError: "u" is a unique attribute; value "taken" already exists`},
		{deleteManyOp("nope", "(n=1)"), "BucketNotFoundError: nope does not exist"},
		{deleteManyOp("b", "(n=1"), "InvalidQueryError: (n=1 is an invalid filter"},
	} {
		others := []object.Operation{
			putOp("b", "new", `{"n":5}`), putOp("b", "new", `{"n":6}`), updateOp("o", `{"n":7}`, "(n=1)"), putOp("o", "new", `{}`), delOp("b", "new"),
		}
		for _, at := range []int{0, 2, len(others)} {
			want(t, fmt.Sprintf("a batch with what fails at %d", at), s.batch(t, slices.Insert(slices.Clone(others), at, c.op)...), c.want)
			if after := state(); after != before {
				t.Fatalf("a batch that failed left\n%s\nwhere there was\n%s", after, before)
			}
		}
	}
}

// TestBatchDeadlock lets batches write the same objects in opposite orders. Each is done as a whole or not at all; a victim is
// told so.
func TestBatchDeadlock(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b s=string")
	const keys = 4
	var calls sync.WaitGroup
	results := make(chan string, 64)
	for writer := range 2 {
		calls.Go(func() {
			for i := range 4 {
				var all []object.Operation
				for k := range keys {
					if writer%2 == 1 {
						k = keys - 1 - k
					}
					all = append(all, putOp("b", fmt.Sprint("k", k), fmt.Sprintf(`{"s":"%d-%d"}`, writer, i)))
				}
				got := s.batch(t, all...)
				if !strings.HasPrefix(got, "error:") {
					got = "done"
				}
				results <- got
			}
		})
	}
	calls.Wait()
	close(results)
	count := map[string]int{}
	for r := range results {
		count[r]++
	}
	if count["done"]+count["error: deadlock detected"] != 8 || count["done"] == 0 {
		t.Errorf("batches: %v", count)
	}
	if got := s.db.Strings(t, "SELECT count(*), count(DISTINCT s) FROM b"); got[0] != fmt.Sprint(keys, "|1") {
		t.Errorf("rows and writers: %s, want %d|1: every batch writes all of them", got[0], keys)
	}
}
