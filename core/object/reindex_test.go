package object_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/query"
)

// stale counts the rows of b that have not the given version.
func (s *server) stale(t *testing.T, version int) string {
	t.Helper()
	return s.rows(t, fmt.Sprintf("SELECT count(*) FROM b WHERE _rver IS NULL OR _rver < %d", version))
}

// TestReindex is the example that was verified on the original, and what is different while a reindexing goes on.
func TestReindex(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b version=1 s=string")
	want(t, "reindex when nothing is pending", s.reindex("b", 5), "0, -1 remain")
	want(t, "reindex of 0", s.reindex("b", 0), "InvalidArgumentError: count 0 < 1")
	for i := range 4 {
		s.put("b", fmt.Sprint("k", i), fmt.Sprintf(`{"s":"x","new":"%d"}`, i))
	}
	s.changeBucket(t, "b version=2 s=string new=number")

	want(t, "get", s.get("b", "k1"), `{"s":"x","new":"1"}`) // from the value, untyped
	want(t, "find", s.find("b", "(&(s=x)(new=1))"), "k1")   // in memory
	want(t, "find by it alone", s.find("b", "(new=1)"), "InvalidQueryError: (new=1) is an invalid filter")
	want(t, "sort by it", s.find("b", "(s=x)", sorted("new", false), sorted("_id", true)), "k3 k2 k1 k0")
	want(t, "update", s.update("b", `{"new":1}`, "(s=x)"), `NotIndexedError: b does not have indexes that support {"new":1}. Reindexing fields: [ 'new' ]. Unindexed fields: []`)
	s.put("b", "k4", `{"s":"x","new":4}`) // of the new version already
	want(t, "column", s.rows(t, "SELECT new FROM b WHERE _rver = 2"), "4")
	want(t, "find in memory", s.find("b", "(&(s=x)(new=4))"), "") // a number, and the operand is text

	want(t, "reindex", s.reindex("b", 2), "2, 2 remain")
	want(t, "reindex of 0", s.reindex("b", 0), "InvalidArgumentError: count 0 < 1")
	done, err := s.Reindex(ctx, &object.Reindex{Bucket: "b", Count: 3, NoCount: true})
	if err != nil || *done != (object.Reindexed{Processed: 2, Remaining: -1}) {
		t.Errorf("reindex without count: %+v, %v", done, err)
	}
	want(t, "find before the end", s.find("b", "(new=1)"), "InvalidQueryError: (new=1) is an invalid filter")
	want(t, "reindex", s.reindex("b", 3), "0, 0 remain")
	want(t, "reindex", s.reindex("b", 3), "0, -1 remain")
	want(t, "reindex_active", s.rows(t, "SELECT reindex_active FROM buckets_config"), "{}")

	want(t, "find", s.find("b", "(new>=1)", sorted("new", false)), "k1 k2 k3 k4")
	want(t, "get", s.get("b", "k1"), `{"s":"x","new":1}`)
	want(t, "columns", s.rows(t, "SELECT concat_ws('|', _key, new, _rver) FROM b ORDER BY _key"), "k0|0|2 k1|1|2 k2|2|2 k3|3|2 k4|4|2")
	s.put("b", "k5", `{"s":"x"}`)
	want(t, "row version of a put afterwards", s.rows(t, "SELECT _rver FROM b WHERE _key = 'k5'"), "2")
}

// TestReindexRow checks what reindexing writes: the value as reads show it, all columns; and what it does not touch.
func TestReindexRow(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b version=1"+allTypes)
	for i, value := range []string{
		`{"d":"2019-07-04T20:30:55.5Z","da":["2019-07-04T20:30:55Z"],"dr":"[2019-07-04T00:00:00Z,)","more":"x","vnode":7}`,
		`{"s":5,"n":"5","ip":16909060,"sn":"10.1.2.3/8","m":5,"nr":"[1,1)","sa":"one","more":["a","b"]}`,
		`{"n":"abc","na":["x",1],"more":null}`,
		`{"s":["a","b"],"sa":[null,"",",\"\\"]}`,
		`{"uu":"12345678-1234-1234-1234-123456789abc","b":"TRUE","ba":[true],"ipa":["::1"],"sna":["::/0"],"ma":["a:b:c:d:e:f"]}`,
	} {
		if got := s.put("b", fmt.Sprint("k", i), value); got != etag(value) {
			t.Fatalf("put %s: %s", value, got)
		}
	}
	s.db.Exec(t, "INSERT INTO b (_key, _value, _etag) VALUES ('raw', '[1, 2]', 'rawvalue')")
	s.update("b", `{"s":"updated"}`, "(s=a,b)")
	s.changeBucket(t, "b version=2 more=string"+allTypes)
	columns := `SELECT concat_ws('|', _key, _id, _etag, _mtime, _vnode, s, n, b, d, dr, nr, ip, sn, m, uu, sa, na, ba, da, ipa, sna, ma) FROM b ORDER BY _key`
	before := s.rows(t, columns)
	var values []string
	for i := range 5 {
		values = append(values, s.get("b", fmt.Sprint("k", i)))
	}
	want(t, "reindex", s.reindex("b", 1000), "6, 0 remain")
	want(t, "columns", s.rows(t, columns), before)
	want(t, "reindex", s.reindex("b", 1000), "0, 0 remain")
	for i, value := range values {
		stored := s.rows(t, "SELECT _value FROM b WHERE _key = $1", fmt.Sprint("k", i))
		want(t, "stored value", stored, value)
	}
	want(t, "get", s.get("b", "k1"), `{"s":"5","n":5,"ip":"1.2.3.4","sn":"10.0.0.0/8","m":"00:00:00:00:00:05","nr":"empty","sa":["one"],"more":["a","b"]}`)
	want(t, "the new column", s.rows(t, "SELECT coalesce(more, '-') FROM b ORDER BY _key"), "x a,b - - - -")
	want(t, "the row without members", s.get("b", "raw"), "[1,2]")
}

// TestReindexPages reindexes more rows than are held in memory at a time.
func TestReindexPages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b version=1")
	s.changeBucket(t, "b version=2 n=number")
	s.db.Exec(t, `INSERT INTO b (_key, _value, _etag) SELECT 'k' || i, '{"n":' || i || '}', 'A3A6BF43' FROM generate_series(1, 950) i`)
	for _, want := range []string{"1, 949 remain", "199, 750 remain", "200, 550 remain", "201, 349 remain"} {
		var count float64
		fmt.Sscan(want, &count)
		if got := s.reindex("b", count); got != want {
			t.Errorf("reindex of %v: %s, want %s", count, got, want)
		}
	}
	want(t, "reindex of 1e21", s.reindex("b", 1e21), "349, 0 remain")
	want(t, "reindex", s.reindex("b", 1), "0, 0 remain")
	want(t, "sum", s.rows(t, "SELECT sum(n) FROM b"), fmt.Sprint(950*951/2))
}

// TestReindexFails: what cannot be stored is the answer, nothing is counted, and nothing of the call is done. Once it is put
// right the reindexing goes on.
func TestReindexFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ bad, next, want string }{
		"type":      {`{"new":"nonsense"}`, "b version=2 new=ip", "InvalidIndexTypeError: index(new) is of type ip"},
		"duplicate": {`{"new":"0.0.0.3"}`, "b version=2 new=ip!", `UniqueAttributeError: "new" is a unique attribute; value "0.0.0.3" already exists`},
		"range":     {`{"new":"1.2.3.4","r":"[2,1]"}`, "b version=2 new=ip r=numrange", "error: range lower bound must be less than or equal to range upper bound"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.newBucket(t, "b version=1")
			for i := range 5 {
				s.put("b", fmt.Sprint("k", i), fmt.Sprintf(`{"new":%d}`, i))
			}
			s.put("b", "zbad", c.bad)
			s.changeBucket(t, c.next)
			want(t, "reindex", s.reindex("b", 5), "5, 1 remain")
			s.db.Exec(t, "UPDATE b SET _rver = NULL, new = NULL")
			for range 2 {
				want(t, "reindex", s.reindex("b", 100), c.want)
				want(t, "stale rows", s.stale(t, 2), "6")
			}
			done, err := s.Reindex(ctx, &object.Reindex{Bucket: "b", Count: 100, NoCount: true})
			want(t, fmt.Sprintf("reindex without count: %+v", done), text(err), c.want)
			want(t, "put right", s.put("b", "zbad", `{}`), etag(`{}`))
			want(t, "reindex", s.reindex("b", 100), "5, 0 remain")
			want(t, "reindex", s.reindex("b", 100), "0, 0 remain")
		})
	}
	t.Run("value", func(t *testing.T) {
		t.Parallel()
		s := newServer(t)
		s.newBucket(t, "b version=1")
		s.put("b", "k", `{}`)
		s.db.Exec(t, "UPDATE b SET _value = 'null'")
		s.changeBucket(t, "b version=2 new=ip")
		want(t, "reindex", s.reindex("b", 5), "InternalError: failed to convert row: the value is null")
		s.db.Exec(t, "UPDATE b SET _value = '{}', _id = "+overID)
		want(t, "reindex", s.reindex("b", 5), "InternalError: failed to convert row: "+outside("b", "k"))
		s.db.Exec(t, "UPDATE b SET _id = NULL")
		want(t, "reindex", s.reindex("b", 5), "InternalError: failed to convert row: "+null("b", "k"))
	})
}

// TestReindexOddVersion reindexes by a version that the column of row versions cannot hold.
func TestReindexOddVersion(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b")
	s.put("b", "k", `{}`)
	s.changeBucket(t, "b version=1e21 new=ip")
	const refused = `error: value "1000000000000000000000" is out of range for type integer`
	want(t, "reindex", s.reindex("b", 5), "error: integer out of range")
	want(t, "put", s.put("b", "k", `{}`), refused)
	want(t, "put as new", s.put("b", "l", `{}`, object.Absent), refused)
	want(t, "get", s.get("b", "k"), `{}`)
}

// TestReindexersAtOnce: several at once share the work. None says that nothing is left before nothing is left.
func TestReindexersAtOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b version=1")
	s.changeBucket(t, "b version=2 n=number")
	const rows = 600
	s.db.Exec(t, fmt.Sprintf(`INSERT INTO b (_key, _value, _etag) SELECT 'k' || i, '{"n":' || i || '}', 'A3A6BF43' FROM generate_series(1, %d) i`, rows))
	servers := []*server{s, serverOver(t, s.db, 3)}
	var calls sync.WaitGroup
	var processed atomic.Int64
	for i := range 6 {
		calls.Go(func() {
			for {
				done, err := servers[i%2].Reindex(ctx, &object.Reindex{Bucket: "b", Count: 25})
				if err != nil {
					t.Errorf("reindex: %v", err)
					return
				}
				processed.Add(done.Processed)
				if done.Processed == 0 {
					want(t, "stale rows when one says that none are left", s.stale(t, 2), "0")
					return
				}
			}
		})
	}
	calls.Wait()
	if got := processed.Load(); got != rows {
		t.Errorf("%d rows were processed, want each of %d once", got, rows)
	}
	want(t, "sum", s.rows(t, "SELECT sum(n) FROM b"), fmt.Sprint(rows*(rows+1)/2))
}

// TestReindexRedefined changes the definition at the moment when a reindexing is about to say that all is done: it goes on with
// what the change asks for.
func TestReindexRedefined(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b version=1")
	for i := range 3 {
		s.put("b", fmt.Sprint("k", i), fmt.Sprintf(`{"one":"%d"}`, i))
	}
	s.changeBucket(t, "b version=2 one=string")
	proxy := pgtest.NewProxy(t, s.db)
	bent := serverAt(t, s.db, proxy.URL(), 1)
	var changed atomic.Bool
	proxy.SetRule(func(_ context.Context, m pgtest.Message) pgtest.Action {
		if m.FromClient && m.Type == 'P' && bytes.Contains(m.Body, []byte(`SET reindex_active = '{}'`)) && changed.CompareAndSwap(false, true) {
			s.changeBucket(t, "b version=3 one=string")
		}
		return pgtest.Pass
	})
	want(t, "reindex", bent.reindex("b", 10), "3, 0 remain")
	want(t, "reindex that meets the change", bent.reindex("b", 10), "3, 0 remain")
	if !changed.Load() {
		t.Fatal("the definition was not changed")
	}
	want(t, "reindex_active", s.rows(t, "SELECT reindex_active FROM buckets_config"), `{"2":["one"],"3":[]}`)
	want(t, "row versions", s.rows(t, "SELECT DISTINCT _rver FROM b"), "3")
	want(t, "reindex", bent.reindex("b", 10), "0, 0 remain")
	want(t, "find", s.find("b", "(one=1)"), "k1")
}

// TestReindexMeetsWriters: puts go on, by servers that know of the reindexing and by one that does not yet.
func TestReindexMeetsWriters(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b version=1 s=string")
	for i := range 300 {
		s.put("b", fmt.Sprint("k", i), fmt.Sprintf(`{"s":"x","new":"%d"}`, i))
	}
	other := serverOver(t, s.db, 2)
	want(t, "get", other.get("b", "k1"), `{"s":"x","new":"1"}`) // its cache has the first version
	s.changeBucket(t, "b version=2 s=string new=number")
	var writers sync.WaitGroup
	for w, p := range []*server{s, other} {
		writers.Go(func() {
			for i := w; i < 300; i += 7 {
				value := fmt.Sprintf(`{"s":"y","new":"%d"}`, i)
				want(t, "put meanwhile", p.put("b", fmt.Sprint("k", i), value), etag(value))
			}
		})
	}
	for s.reindex("b", 20) != "0, 0 remain" {
		if t.Failed() {
			break
		}
	}
	writers.Wait()
	want(t, "find", fmt.Sprint(len(strings.Fields(s.find("b", "(new>=0)", func(f *object.Find) { f.Page = query.Page{} })))), "300")
	want(t, "rows whose column is not their member", s.rows(t, "SELECT count(*) FROM b WHERE new IS DISTINCT FROM (_value::json->>'new')::numeric"), "0")
}
