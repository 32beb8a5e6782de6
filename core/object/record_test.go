package object_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
)

// allTypes are the indexes of the bucket that the examples were verified with.
const allTypes = " s=string n=number b=boolean d=date dr=daterange nr=numrange ip=ip sn=subnet m=mac uu=uuid" +
	" sa=[string] na=[number] ba=[boolean] da=[date] ipa=[ip] sna=[subnet] ma=[mac]"

// getRecord returns a whole record.
func (s *server) getRecord(t *testing.T, bucket, key string) string {
	t.Helper()
	record, err := s.Get(ctx, &object.Get{Bucket: bucket, Key: key})
	if err != nil {
		return text(err)
	}
	if _, err := jsvalue.Parse(record); err != nil {
		t.Errorf("the record of %s is no JSON: %v\n%s", key, err, record)
	}
	return string(record)
}

func TestRecord(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "Plain")
	s.newBucket(t, "o ordered")
	s.put("Plain", `k"`, `{"a":1,"_id":"mine","_key":null,"_count":3}`)
	want(t, "get", s.getRecord(t, "Plain", `k"`),
		`{"bucket":"Plain","key":"k\"","value":{"a":1,"_id":"mine","_key":null,"_count":3},"_id":1,"_etag":"`+etag(`{"a":1,"_id":"mine","_key":null,"_count":3}`)+`","_mtime":1234567890123,"_txn_snap":null,"_count":null}`)
	s.put("o", "k", `{}`)
	want(t, "get", s.getRecord(t, "o", "k"), `{"bucket":"o","key":"k","value":{},"_id":1,"_etag":"A3A6BF43","_mtime":1234567890123,"_txn_snap":2,"_count":null}`)
	want(t, "get of nothing", s.get("o", "x"), "ObjectNotFoundError: o::x does not exist")
}

// TestLoaded checks when a get says that the bucket exists: before it looks for the object, and once.
func TestLoaded(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b")
	for bucket, expected := range map[string]int{"b": 1, "nope": 0} {
		calls := 0
		_, err := s.Get(ctx, &object.Get{Bucket: bucket, Key: "k", Loaded: func() error { calls++; return nil }})
		if err == nil || calls != expected {
			t.Errorf("get of nothing in %s: Loaded was called %d times, want %d; error %v", bucket, calls, expected, err)
		}
	}
	failed := fmt.Errorf("client is gone")
	if _, err := s.Get(ctx, &object.Get{Bucket: "b", Key: "k", Loaded: func() error { return failed }}); err != failed {
		t.Errorf("Loaded failed: %v, want %v", err, failed)
	}
}

// TestMerge stores values, changes columns, and reads: what was verified on the original, and where ours differs by decision.
func TestMerge(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b email=string uid=number tags=[string] dt=date net=subnet extra=string FooBar=string"+allTypes)
	for i, c := range []struct{ put, update, want string }{
		{
			`{"email":"m@x","uid":"54408","tags":"one","dt":"2012-07-31T08:50:04Z","net":"10.88.88.200/24","extra":null}`, "",
			`{"email":"m@x","uid":54408,"tags":["one"],"dt":"2012-07-31T08:50:04.000Z","net":"10.88.88.0/24","extra":null}`,
		},
		{`{"s":5}`, "", `{"s":"5"}`},
		{`{"n":"abc"}`, "", `{"n":null}`},
		{`{"n":"1e400"}`, "", `{"n":null}`},
		{`{"s":["a","b"]}`, `{"s":"zzz"}`, `{"s":["a","b"]}`},
		{
			`{"k":"k","s":null,"n":null}`, `{"sa":["x","y,z"],"na":5,"d":"2020-01-01T00:00:00Z","b":"false"}`,
			`{"k":"k","s":null,"n":null,"b":false,"d":"2020-01-01T00:00:00.000Z","sa":["x","y,z"],"na":[5]}`,
		},
		{`{"ip":"1::2:3:4:5:6:7"}`, "", `{"ip":"1:0:2:3:4:5:6:7"}`},
		{`{"dr":"[2019-07-04T00:00:00Z,)"}`, "", `{"dr":"[2019-07-04T00:00:00.000Z,)"}`},
		{`{"nr":"[,]"}`, "", `{"nr":"(,)"}`},
		{`{"nr":"[1,1)"}`, "", `{"nr":"empty"}`},
		{`{"dr":"(2019-07-04T00:00:00Z,2019-07-04T00:00:00Z)"}`, "", `{"dr":"empty"}`},
		{`{"FooBar":"x"}`, `{"FooBar":"y"}`, `{"FooBar":"y"}`},
		{`{"foobar":"x"}`, `{"FooBar":"y"}`, `{"foobar":"x","FooBar":"y"}`},
		{`{"s":true,"n":true,"b":"TRUE"}`, "", `{"s":"true","n":null,"b":true}`},
		{`{"s":{"x":[1]},"o":{"x":[1]}}`, "", `{"s":"[object Object]","o":{"x":[1]}}`},
		{`{"sa":[["a"],null,"",1]}`, "", `{"sa":["a",null,"","1"]}`},
		{`{"na":["x",null,"5"]}`, "", `{"na":[null,null,5]}`},
		{`{"n":0.1,"na":[1e21,-0,1.50]}`, "", `{"n":0.1,"na":[1e+21,0,1.5]}`},
		{`{"n":12345678901234567890}`, "", `{"n":12345678901234567000}`},
		{`{"n":[4]}`, "", `{"n":[4]}`},
		{`{"d":["2019-07-04T20:30:55Z"]}`, "", `{"d":["2019-07-04T20:30:55Z"]}`},
		{`{"ip":16909060,"ipa":[16909060,"::1"]}`, "", `{"ip":"1.2.3.4","ipa":["1.2.3.4","::1"]}`},
		{`{"m":5,"ma":"9-8-7-6-5-4"}`, "", `{"m":"00:00:00:00:00:05","ma":["09:08:07:06:05:04"]}`},
		{`{"ba":["TRUE",false]}`, "", `{"ba":[true,false]}`},
		{`{"da":["2019-07-04T20:30:55Z","+002019-07-04T20:30:55.1239Z"]}`, "", `{"da":["2019-07-04T20:30:55.000Z","2019-07-04T20:30:55.123Z"]}`},
		{`{"sna":"1.2.3.4/0","sn":"1::ffff/16"}`, "", `{"sna":["0.0.0.0/0"],"sn":"1::/16"}`},
		{`{"uu":"12345678-1234-1234-1234-123456789abc"}`, "", `{"uu":"12345678-1234-1234-1234-123456789abc"}`},
		{`{"s":"a\u2028\"\\\n\u001f"}`, "", "{\"s\":\"a\u2028\\\"\\\\\\n\\u001f\"}"},
		{`{"sa":[],"na":[]}`, "", `{"sa":[],"na":[]}`},
		{`{"x":{"s":5,"n":"5"}}`, "", `{"x":{"s":5,"n":"5"}}`},
		{`{"10":1,"2":2,"z":3}`, `{"s":"new"}`, `{"2":2,"10":1,"z":3,"s":"new"}`},
	} {
		key := fmt.Sprint("k", i)
		if got := s.put("b", key, c.put); len(got) != 8 {
			t.Errorf("put %s: %s", c.put, got)
			continue
		}
		if c.update != "" {
			want(t, "update "+c.update, s.update("b", c.update, "(_key="+key+")"), "1")
		}
		want(t, "get after put "+c.put+", update "+c.update, s.get("b", key), c.want)
		found := s.records(t, &object.Find{Bucket: "b", Filter: "(_key=" + key + ")", NoCount: true})
		if len(found) != 1 || !strings.Contains(found[0], `"value":`+c.want+`,"_id"`) {
			t.Errorf("find after put %s, update %s\n got %s\nwant a record with %s", c.put, c.update, found, c.want)
		}
	}
}

// TestOddIndexNames: the original selected columns of these names of its own, which hid those of the indexes.
func TestOddIndexNames(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b req_id=string _count=number")
	s.put("b", "k", `{"req_id":"x","_count":5}`)
	want(t, "get", s.getRecord(t, "b", "k"), `{"bucket":"b","key":"k","value":{"req_id":"x","_count":5},"_id":1,"_etag":"`+etag(`{"req_id":"x","_count":5}`)+`","_mtime":1234567890123,"_txn_snap":null,"_count":null}`)
	want(t, "find", strings.Join(s.records(t, &object.Find{Bucket: "b", Filter: "(req_id=x)"}), "\n"),
		`{"bucket":"b","key":"k","value":{"req_id":"x"},"_id":1,"_etag":"`+etag(`{"req_id":"x","_count":5}`)+`","_mtime":1234567890123,"_txn_snap":null,"_count":1}`)
	want(t, "update", s.update("b", `{"_count":6}`, "(_count>=5)"), "1")
	want(t, "get", s.get("b", "k"), `{"req_id":"x","_count":6}`)
}

// TestNullColumn: a NULL column hides no member that is not null: such a row is one that is not indexed yet.
func TestNullColumn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b s=string")
	s.put("b", "k", `{"s":"x","more":"y","none":null}`)
	s.changeBucket(t, "b s=string more=string none=string absent=string") // without a version: usable at once
	want(t, "get", s.get("b", "k"), `{"s":"x","more":"y","none":null}`)
	want(t, "find", s.find("b", "(more=y)"), "")
	want(t, "update of the others", s.update("b", `{"absent":"z"}`, "(s=x)"), "1")
	want(t, "get", s.get("b", "k"), `{"s":"x","more":"y","none":null,"absent":"z"}`)
	s.db.Exec(t, "UPDATE b SET s = NULL")
	want(t, "get with a NULL column", s.get("b", "k"), `{"s":"x","more":"y","none":null,"absent":"z"}`)
}

// TestColumnGone: a column that was dropped behind the server's back.
func TestColumnGone(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b s=string n=number")
	s.put("b", "k", `{"s":"w","n":"5"}`)
	s.db.Exec(t, "ALTER TABLE b DROP COLUMN s")
	want(t, "get", s.get("b", "k"), `{"s":"w","n":5}`)
	want(t, "find", s.find("b", "(n=5)"), "k")
	want(t, "find by the column", s.find("b", "(s=w)"), "InvalidQueryError: (s=w) is an invalid filter")
	want(t, "put", s.put("b", "k", `{"s":"w"}`), `error: column "s" of relation "b" does not exist`)
	want(t, "get", s.get("b", "k"), `{"s":"w","n":5}`)
}

// TestRawRows reads rows that other programs wrote.
func TestRawRows(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b s=string sa=[string] d=date dr=daterange")
	const failed = "InternalError: failed to convert row: the value is "
	for i, c := range []struct {
		row  string // what is set
		want string // the value, or how the fault begins
	}{
		{`_value = '{ "s" : "x" , "n": 1.0, "2": 1, "1": 2 }', s = 'x'`, `{"1":2,"2":1,"s":"x","n":1}`},
		{`_value = '{"a":1', s = 'x'`, failed + "not JSON"},
		{`_value = '', s = 'x'`, failed + "not JSON"},
		{`_value = 'null', s = 'x'`, failed + "null"},
		{`_value = ' 5 ', s = 'x'`, `5`},
		{`_value = '"x"', s = 'x'`, `"x"`},
		{`_value = '[1, {"b":1,"1":2}]', s = 'x'`, `[1,{"1":2,"b":1}]`},
		{`_value = 'true', s = 'x'`, `true`},
		{`_value = '{"a":1,"a":2}', s = 'x'`, `{"a":2,"s":"x"}`},
		{`_value = '{}', s = 'x', sa = '{{a,b},{c,NULL}}'`, `{"s":"x","sa":[["a","b"],["c",null]]}`},
		{`_value = '{}', s = 'x', d = 'infinity'`, `{"s":"x","d":null}`},
		{`_value = '{}', s = 'x', d = '12345-01-01'`, `{"s":"x","d":"+012345-01-01T00:00:00.000Z"}`},
		{`_value = '{}', s = 'x', dr = 'empty'`, `{"s":"x","dr":"empty"}`},
		{`_value = '{}', s = 'x', dr = '[-infinity,infinity]'`, `{"s":"x","dr":"[,]"}`},
		{`_value = '{}', s = 'x', dr = '["0044-03-15 BC",)'`, `{"s":"x","dr":"[-000043-03-15T00:00:00.000Z,)"}`},
	} {
		key := fmt.Sprint("k", i)
		s.put("b", key, `{}`)
		s.db.Exec(t, "UPDATE b SET "+c.row+" WHERE _key = '"+key+"'")
		got := s.get("b", key)
		filter := "(_key=" + key + ")"
		switch {
		case strings.HasPrefix(c.want, failed):
			if found := s.find("b", filter); !strings.HasPrefix(got, c.want) || found != got {
				t.Errorf("%s\n get: %s\nfind: %s\nwant %s", c.row, got, found, c.want)
			}
		case c.want[0] != '{': // it has no members to match
			want(t, "get of "+c.row, got, c.want)
			want(t, "find of "+c.row, s.find("b", filter), "")
		default:
			want(t, "get of "+c.row, got, c.want)
			found := s.records(t, &object.Find{Bucket: "b", Filter: filter})
			if len(found) != 1 || !strings.Contains(found[0], `"value":`+c.want+`,"_id"`) {
				t.Errorf("find of %s: %s, want the value %s", c.row, found, c.want)
			}
		}
		want(t, "overwrite of "+c.row, s.put("b", key, `{}`), etag(`{}`))
		want(t, "get of "+key, s.get("b", key), `{}`)
	}
	s.put("b", "k", `{}`)
	s.db.Exec(t, `UPDATE b SET _mtime = 9007199254740993, _txn_snap = -7, _vnode = NULL WHERE _key = 'k'`)
	if got := s.getRecord(t, "b", "k"); !strings.HasSuffix(got, `"_mtime":9007199254740992,"_txn_snap":-7,"_count":null}`) {
		t.Errorf("get with a large _mtime: %s", got)
	}
	s.db.Exec(t, `UPDATE b SET _mtime = NULL WHERE _key = 'k'`)
	if got := s.getRecord(t, "b", "k"); !strings.HasSuffix(got, `"_mtime":null,"_txn_snap":-7,"_count":null}`) {
		t.Errorf("get without _mtime: %s", got)
	}
}
