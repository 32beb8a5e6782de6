package object_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// findAll finds without a limit.
func findAll(filter string) *object.Find { return &object.Find{Bucket: "b", Filter: filter} }

// TestPostFilter has the objects that were verified on the original: only k is indexed, the rest is matched in memory.
func TestPostFilter(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b k=string")
	s.put("b", "o1", `{"k":"k","x":"five","y":5,"z":true,"w":null,"arr":["p","q"],"arrn":[1,2],"o":{"a":1}}`)
	s.put("b", "o2", `{"k":"k","x":"Five","y":"5","z":"true","arr":[]}`)
	s.put("b", "o3", `{"k":"k","y":10,"z":false}`)
	s.put("b", "o4", `{"k":"k","X":"case"}`)
	for filter, keys := range map[string]string{
		"(x=five)": "o1", "(y=5)": "o2", "(y>=5)": "o1 o2 o3", "(y<=9)": "o1 o2", "(z=true)": "o2", "(z>=1)": "o1 o2",
		"(w=*)": "", "(w>=0)": "o1", "(x=case)": "o4", "(arr=p)": "o1", "(arrn=1)": "", "(arrn>=2)": "o1", "(o=*)": "o1", "(o>=a)": "",
		"(y=5*)": "o1 o2", "(x:caseIgnoreMatch:=FIVE)": "o1 o2", "(x:caseIgnoreSubstringsMatch:=F*E)": "o1 o2",
		"(_count=4)": "", "(_count>=4)": "o1 o2 o3 o4", "(_count>=5)": "", "(!(x=five))": "o2 o3 o4", "(nosuch=*)": "",
		"(_id=2)": "o2", "(_key=o3)": "o3", "(_ID>=3)": "o3 o4", "(_Key=o3)": "o3", "(_mtime=1234567890123)": "o1 o2 o3 o4", "(_txn_snap=*)": "", "(_txn_snap<=0)": "",
		"(_etag=*)": "o1 o2 o3 o4", "(_value=*)": "", "(K=k)": "o1 o2 o3 o4",
	} {
		want(t, "find "+filter, s.find("b", "(&(k=k)"+filter+")"), keys)
	}
	want(t, "an OR without an index", s.find("b", "(&(k=k)(|(x=five)(y=10)))"), "NotIndexedError: b does not have indexes that support (|(x=five)(y=10))")
}

// TestCount checks the number in the records: of all rows that the SQL selects, whatever limit and memory make of them.
func TestCount(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b n=number")
	for i := range 5 {
		s.put("b", fmt.Sprint("k", i), fmt.Sprintf(`{"n":%d,"x":"%d"}`, i, i%2))
	}
	for _, c := range []struct {
		find *object.Find
		want string // of each record, the end
	}{
		{&object.Find{Filter: "(n>=2)"}, `,"_count":3}`},
		{&object.Find{Filter: "(n>=2)", Page: query.Page{Limit: "1"}}, `,"_count":3}`},
		{&object.Find{Filter: "(n>=2)", Page: query.Page{Limit: "1", Offset: "2"}}, `,"_count":3}`},
		{&object.Find{Filter: "(&(n>=2)(x=0))"}, `,"_count":3}`},
		{&object.Find{Filter: "(n>=2)", NoCount: true}, `"_txn_snap":null}`},
	} {
		c.find.Bucket = "b"
		records := s.records(t, c.find)
		if len(records) == 0 {
			t.Errorf("find %+v found nothing", c.find)
		}
		for _, record := range records {
			if !strings.HasSuffix(record, c.want) {
				t.Errorf("find %+v: %s, want %s", c.find, record, c.want)
			}
		}
	}
}

// TestTemporaryMembers: members of the value that are named like the temporary ones are missing in what find answers, and hidden
// while a row is matched, but get shows them.
func TestTemporaryMembers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b k=string")
	value := `{"_id":"a","k":"k","_txn_snap":"b","_etag":"c","_key":"d","_mtime":"e","_count":"f","_other":"g","_ID":"h"}`
	s.put("b", "x", value)
	want(t, "get", s.get("b", "x"), value)
	for _, noCount := range []bool{false, true} {
		records := s.records(t, &object.Find{Bucket: "b", Filter: "(k=k)", NoCount: noCount})
		if len(records) != 1 || !strings.Contains(records[0], `"value":{"k":"k","_other":"g","_ID":"h"},"_id":1`) {
			t.Errorf("find without count %t: %s", noCount, records)
		}
	}
	want(t, "find by its own _key", s.find("b", "(&(k=k)(_key=d))"), "")
	want(t, "find by the row's _key", s.find("b", "(&(k=k)(_key=x))"), "x")
	want(t, "find by another member", s.find("b", "(&(k=k)(_other=g))"), "x")
	want(t, "get afterwards", s.get("b", "x"), value)
}

func (s *server) page(limit, offset string, sort ...query.Sort) string {
	return s.find("b", "(s=*)", func(f *object.Find) { f.Page = query.Page{Limit: limit, Offset: offset, Sort: sort} })
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b s=string n=number a=[number]")
	for i, value := range []string{`{"s":"b","n":2,"a":[1,2]}`, `{"s":"B","n":10}`, `{"s":"é","a":[1]}`, `{"s":"\uffff","n":-1,"a":[2]}`, `{"s":"😀","n":"x"}`} {
		s.put("b", fmt.Sprint("k", i), value)
	}
	asc := func(a string) query.Sort { return query.Sort{Attribute: a} }
	desc := func(a string) query.Sort { return query.Sort{Attribute: a, Descending: true} }
	for _, c := range []struct{ got, want string }{
		{s.page("", ""), "k0 k1 k2 k3 k4"}, // insertion order in practice
		{s.page("2", ""), "k0 k1"},
		{s.page("2", "3"), "k3 k4"},
		{s.page("", "4"), "k4"},
		{s.page("0", ""), ""},
		{s.page("5", "0"), "k0 k1 k2 k3 k4"},
		{s.page("002", "01"), "k1 k2"},
		{s.page("1e+3", ""), "k0 k1 k2 k3 k4"},
		{s.page("9223372036854775807", ""), "k0 k1 k2 k3 k4"},
		{s.page("9223372036854775808", ""), "error: bigint out of range"},
		{s.page("1", "1e+21"), "error: bigint out of range"},
		{s.page("", "", asc("s")), "k1 k0 k2 k3 k4"},
		{s.page("", "", desc("s")), "k4 k3 k2 k0 k1"},              // bytes of UTF-8
		{s.page("", "", asc("n"), asc("_id")), "k3 k0 k1 k4 k2"},   // NaN above all numbers, NULL last
		{s.page("", "", desc("n")), "k2 k4 k1 k0 k3"},              // NULL first
		{s.page("", "", asc("a"), desc("_key")), "k2 k0 k3 k4 k1"}, // arrays element by element
		{s.page("2", "1", desc("_id")), "k3 k2"},
		{s.page("", "", asc("_mtime"), desc("_ID")), "k4 k3 k2 k1 k0"},
		{s.page("", "", asc("_idx")), `Error: sorting on "_idx" is not allowed`},
		{s.page("", "", asc("nosuch")), `error: column "nosuch" does not exist`},
	} {
		want(t, "page", c.got, c.want)
	}
}

// TestBoundaries finds by operators whose SQL or whose matching in memory went wrong in the original.
func TestBoundaries(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b"+allTypes)
	for key, value := range map[string]string{
		"1": `{"s":"helloworld"}`, "2": `{"s":"helloworldx"}`, "3": `{"s":"100%"}`, "4": `{"s":"100x"}`, "5": `{"s":"a_b"}`, "6": `{"s":"axb"}`, "7": `{"s":"back\\slash\\"}`,
		"8": `{"s":"*star*"}`, "9": `{"s":["a","b"]}`, "a": `{"n":["4"]}`, "b": `{"n":"x"}`, "c": `{"sa":["c","d"]}`, "d": `{"sa":["%"]}`,
		"e": `{"ip":"::1"}`, "f": `{"ip":"10.0.0.1"}`, "g": `{"ip":"::ffff:1.2.3.4"}`, "h": `{"sn":"10.0.0.0/8"}`, "i": `{"sn":"10.0.0.0/16"}`, "j": `{"sn":"::/0"}`,
		"k": `{"d":"2018-07-04T00:00:00Z"}`, "l": `{"nr":"[1,10]"}`, "m": `{"nr":"[20,)"}`, "n": `{"dr":"[2019-01-01T00:00:00Z,)"}`, "o": `{"na":[5,50]}`, "p": `{"da":["2018-07-04T00:00:00Z"]}`,
		"q": `{"s":"ÄÖü"}`, "r": `{"s":"a\nb"}`, "s": `{"n":7}`,
	} {
		if got := s.put("b", key, value); len(got) != 8 {
			t.Fatalf("put %s: %s", value, got)
		}
	}
	all := func(but string) string {
		var keys []string
		for _, key := range "123456789abcdefghijklmnopqrs" {
			if !strings.ContainsRune(but, key) {
				keys = append(keys, string(key))
			}
		}
		return strings.Join(keys, " ")
	}
	for filter, keys := range map[string]string{
		`(s=*world)`: "1", `(s=hello*)`: "1 2", `(s=*100%)`: "3", `(s=*a_b)`: "5", `(s=a_*)`: "5", `(s=*\\)`: "7", `(s=*\\s*)`: "7", `(s=\2a*\2a)`: "8",
		`(s=a*b)`: "5 6 9 r", `(s:caseIgnoreSubstringsMatch:=A*B)`: "5 6 9 r",
		`(s:caseIgnoreMatch:=100%)`: "3", `(s:caseIgnoreMatch:=HELLOWORLD)`: "1", `(s:caseIgnoreMatch:=%)`: "", `(s:caseIgnoreMatch:=*star*)`: "8", `(s:caseIgnoreMatch:=ÄÖü)`: "q",
		`(s:caseIgnoreSubstringsMatch:=*WORLD)`: "1", `(s:caseIgnoreSubstringsMatch:=*0%)`: "3", `(s:caseIgnoreSubstringsMatch:=*ELLOW*X)`: "2",
		`(s=a,b)`: "9", `(s>=back)`: "1 2 7 q", `(n=4)`: "a", `(n>=4)`: "a s", `(n=NaN)`: "", `(n>=1000)`: "", `(!(n=4))`: all("a"),
		`(sa=c)`: "c", `(sa:caseIgnoreMatch:=D)`: "c", `(sa:caseIgnoreMatch:=%)`: "d", `(sa>=d)`: "c",
		`(ip>=10.0.0.0)`: "e f g", `(ip<=::1)`: "e f", `(ip>=::2)`: "g", `(ip:within:=10.0.0.0/8)`: "f",
		`(sn>=10.0.0.0/8)`: "h i j", `(sn<=10.0.0.0/16)`: "h i", `(sn=10.0.0.0/8)`: "h", `(sn:contains:=10.0.200.1)`: "h i",
		`(nr:contains:=7)`: "l", `(nr:overlaps:=[9,30])`: "l m", `(na:within:=[40,60])`: "o", `(dr:contains:=2020-01-01T00:00:00Z)`: "n",
		// Negation is negation, and true where the column is NULL.
		`(!(d=2018-07-04T00:00:00Z))`: all("k"), `(!(d=*))`: all("k"), `(!(nr:contains:=7))`: all("l"), `(!(nr:overlaps:=\28,\29))`: all("lm"),
		`(!(sa=c))`: all("c"), `(!(sa=*))`: all("cd"), `(!(na:within:=[1,10]))`: all("o"), `(!(s=*world))`: all("1"), `(!(ip=::1))`: all("e"), `(!(da=*))`: all("p"),
		`(&(n=7)(!(d=*)))`: "s", `(|(d=2018-07-04T00:00:00Z)(n=7))`: "k s", `(&(s=*)(!(s>=a))(!(s=100*)))`: "8",
	} {
		want(t, "find "+filter, s.find("b", filter, sorted("_key", false)), keys)
	}
	// What find answers is what is changed and deleted.
	want(t, "deleteMany", s.deleteMany("b", "(s=*world)"), "1")
	want(t, "update", s.update("b", `{"n":1}`, "(s=*100%)"), "1")
	want(t, "the others", s.find("b", "(s=hello*)"), "2")
}

// TestOnlySQL: nothing is executed, nothing but one record is answered.
func TestOnlySQL(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b s=string n=number")
	s.put("b", "k", `{"s":"x"}`)
	want(t, "find", s.find("b", "(s=x)"), "k") // the definition is cached
	s.db.Exec(t, "ALTER TABLE b RENAME TO c")
	for _, noCount := range []bool{false, true} {
		var got []string
		f := &object.Find{Bucket: "b", Filter: "(&(s=x)(n>=y))", NoCount: noCount, OnlySQL: true, Page: query.Page{Limit: "3", Sort: []query.Sort{{Attribute: "n"}}}}
		if err := s.Find(ctx, f, func(record jsvalue.Value) error {
			got = append(got, string(record))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || strings.Contains(got[0], `"count":"SELECT`) == noCount || !strings.HasSuffix(got[0], `,"args":["x",null,3]}`) {
			t.Errorf("without count %t: %s", noCount, got)
		}
	}
	want(t, "a bad sort", s.find("b", "(s=x)", sorted("_idx", false), func(f *object.Find) { f.OnlySQL = true }), `Error: sorting on "_idx" is not allowed`)
}

// TestFindOrder checks which fault of several is reported, and when the find is accepted.
func TestFindOrder(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b s=string")
	for _, c := range []struct {
		bucket, filter string
		require        bool
		want           string
	}{
		{"nope", "(s=x", true, "InvalidQueryError: (s=x is an invalid filter"},
		{"nope", "(z~=x)", true, "BucketNotFoundError: nope does not exist"},
		{"b", "(z~=x)", true, "NotIndexedError: b does not have indexes that support (z~=x). Reindexing fields: []. Unindexed fields: [ 'z' ]"},
		{"b", "&(s=x)(z=1)", true, "NotIndexedError: b does not have indexes that support &(s=x)(z=1). Reindexing fields: []. Unindexed fields: [ 'z' ]"},
		{"b", "(z~=x)", false, "accepted Error: approx filters not allowed"},
		{"b", "(s~=x)", true, "accepted Error: approx filters not allowed"},
		{"b", "(z=x)", false, "accepted InvalidQueryError: (z=x) is an invalid filter"},
		{"b", "(s=x)", true, "accepted"},
	} {
		accepted := ""
		got := s.find(c.bucket, c.filter, func(f *object.Find) {
			f.RequireIndexes = c.require
			f.Accepted = func() error { accepted += "accepted "; return nil }
		})
		want(t, fmt.Sprintf("find %s in %s, indexes required: %t", c.filter, c.bucket, c.require), strings.TrimSpace(accepted+got), c.want)
	}
	failed := errors.New("client is gone")
	if err := s.Find(ctx, &object.Find{Bucket: "b", Filter: "(s=x)", Accepted: func() error { return failed }}, nil); !errors.Is(err, failed) {
		t.Errorf("Accepted failed: %v, want %v", err, failed)
	}
}

// TestFindReceiverFails: the error of the receiver ends the find, and no connection is lost to it.
func TestFindReceiverFails(t *testing.T) {
	t.Parallel()
	s := serverOver(t, newServer(t).db, 2)
	s.newBucket(t, "b s=string")
	s.db.Exec(t, `INSERT INTO b (_key, _value, _etag, s) SELECT 'k' || i, '{}', 'A3A6BF43', 'x' FROM generate_series(1, 2000) i`)
	failed := errors.New("client is gone")
	for range 20 {
		seen := 0
		err := s.Find(ctx, findAll("(s=x)"), func(jsvalue.Value) error {
			if seen++; seen == 3 {
				return failed
			}
			return nil
		})
		if !errors.Is(err, failed) || seen != 3 {
			t.Fatalf("after %d records: %v, want %v after 3", seen, err, failed)
		}
	}
	if got := len(s.records(t, findAll("(s=x)"))); got != 2000 {
		t.Errorf("%d records afterwards, want 2000", got)
	}
}

// TestFindReceiverBlocks: a receiver that does not take the next record makes PostgreSQL wait. Others go on.
func TestFindReceiverBlocks(t *testing.T) {
	t.Parallel()
	s := serverOver(t, newServer(t).db, 2)
	s.newBucket(t, "b s=string")
	const rows, size = 200, 100_000 // 20 MB: more than all buffers on the way
	s.db.Exec(t, fmt.Sprintf(`INSERT INTO b (_key, _value, _etag, s) SELECT 'k' || i, '{"pad":"' || repeat('x', %d) || '"}', 'A3A6BF43', 'x' FROM generate_series(1, %d) i`, size, rows))
	taken, blocked := make(chan struct{}), make(chan struct{})
	found := make(chan int)
	finding := object.WithCaller(ctx, &object.Caller{Client: 1, Bucket: "b", Find: true})
	go func() {
		n := 0
		if err := s.Find(finding, findAll("(s=x)"), func(jsvalue.Value) error {
			if n++; n == 1 {
				close(taken)
				<-blocked
			}
			return nil
		}); err != nil {
			t.Errorf("find: %v", err)
		}
		found <- n
	}()
	<-taken
	waiting := func() bool {
		return s.rows(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'ClientWrite'`) == "1"
	}
	for deadline := time.Now().Add(20 * time.Second); !waiting(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("PostgreSQL does not wait for the receiver")
		}
	}
	want(t, "get meanwhile", s.get("b", "k7")[:20], `{"pad":"xxxxxxxxxxxx`)
	want(t, "put meanwhile", s.put("b", "new", `{"s":"x"}`), etag(`{"s":"x"}`))
	close(blocked)
	if n := <-found; n != rows {
		t.Errorf("found %d objects, want the %d of the moment when the find began", n, rows)
	}
}

// TestFindSnapshot: the count and the rows are of one moment, while others delete and insert.
func TestFindSnapshot(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b s=string")
	other := serverOver(t, s.db, 1)
	stop, ended := context.WithCancel(ctx)
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		for i := 0; stop.Err() == nil; i++ {
			other.batch(t, putOp("b", fmt.Sprint("k", i%7), `{"s":"x"}`), deleteManyOp("b", fmt.Sprintf("(_key=k%d)", (i+3)%7)))
		}
	}()
	for range 100 {
		records := s.records(t, findAll("(s=x)"))
		for _, record := range records {
			if !strings.HasSuffix(record, fmt.Sprintf(`,"_count":%d}`, len(records))) {
				t.Errorf("%d records, and one says %s", len(records), record[strings.LastIndex(record, ","):])
			}
		}
	}
	ended()
	<-writer
}
