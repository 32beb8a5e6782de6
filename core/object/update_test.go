package object_test

import (
	"fmt"
	"testing"

	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// TestUpdateErrors checks the faults of updates and which of several is reported.
func TestUpdateErrors(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b s=string ip=ip u=string! Mixed=string")
	s.newBucket(t, "r version=1 s=string")
	s.put("r", "k", `{"s":"x"}`)
	s.changeBucket(t, "r version=2 s=string new=string other=[ip]")
	s.put("b", "k", `{"s":"x","u":"taken"}`)
	s.put("b", "l", `{"s":"y","u":"free"}`)
	for _, c := range []struct{ bucket, fields, filter, want string }{
		{"b", `{}`, "(s=x", "FieldUpdateError: {} is not a valid update definition"},
		{"b", `{"s":1}`, "(s=x", "InvalidQueryError: (s=x is an invalid filter"},
		{"b", `{"ip":"x"}`, "(z=1)", "NotIndexedError: b does not have indexes that support (z=1). Reindexing fields: []. Unindexed fields: [ 'z' ]"},
		{"b", `{"ip":"x"}`, "&(s=1)(z=1)", "NotIndexedError: b does not have indexes that support &(s=1)(z=1). Reindexing fields: []. Unindexed fields: [ 'z' ]"},
		{"b", `{"ip":"x"}`, "(s~=1)", "Error: approx filters not allowed"},
		{"b", `{"ip":"x"}`, "(ip=1)", "InvalidQueryError: (ip=1) is an invalid filter"},
		{"b", `{"ip":"x"}`, "(_key=*)", "InvalidQueryError: (_key=*) is an invalid filter"},
		{"b", `{"z":1,"ip":"x"}`, "(s=x)", "InvalidIndexTypeError: index(ip) is of type ip"}, // all values first
		{"b", `{"s":null,"z":1}`, "(s=x)", `NotNullableError: index "s" (of type "string") cannot store null values`},
		{"b", `{"z":1,"s":null}`, "(s=x)", `NotIndexedError: b does not have indexes that support {"z":1,"s":null}`},
		{"b", `{"mixed":1}`, "(s=x)", `NotIndexedError: b does not have indexes that support {"mixed":1}`},
		{"b", `{"_key":"x"}`, "(s=x)", `NotIndexedError: b does not have indexes that support {"_key":"x"}`},
		{"b", `{"u":"taken"}`, "(s=y)", `UniqueAttributeError: "u" is a unique attribute; value "taken" already exists`},
		{"b", `{"s":"a\u0000"}`, "(s=x)", `error: invalid byte sequence for encoding "UTF8": 0x00`},
		{"b", `{"s":"z"}`, "(s=nothing)", "0"},
		{"r", `{"new":"x"}`, "(s=x)", `NotIndexedError: r does not have indexes that support {"new":"x"}. Reindexing fields: [ 'new', 'other' ]. Unindexed fields: []`},
		{"r", `{"s":"x"}`, "(new=x)", `NotIndexedError: r does not have indexes that support (new=x). Reindexing fields: [ 'new' ]. Unindexed fields: []`},
	} {
		want(t, "update "+c.fields+" where "+c.filter, s.update(c.bucket, c.fields, c.filter), c.want)
	}
	want(t, "update by a bad sort", s.update("b", `{"s":1}`, "(s=x)", query.Page{Sort: []query.Sort{{Attribute: "_idx"}}}), `Error: sorting on "_idx" is not allowed`)
	want(t, "deleteMany by a bad sort", s.deleteMany("b", "(s=x)", query.Page{Sort: []query.Sort{{Attribute: "nosuch"}}}), `error: column "nosuch" does not exist`)
	want(t, "deleteMany", s.deleteMany("b", "(z=1)"), "NotIndexedError: b does not have indexes that support (z=1). Reindexing fields: []. Unindexed fields: [ 'z' ]")
	want(t, "deleteMany", s.deleteMany("b", "(ip=x)"), "InvalidQueryError: (ip=x) is an invalid filter")
	want(t, "what is left", s.find("b", "(_id>=0)"), "k l")
	want(t, "values", s.get("b", "k")+s.get("b", "l"), `{"s":"x","u":"taken"}{"s":"y","u":"free"}`)
}

// TestUpdateRows checks what an update writes and what it leaves alone.
func TestUpdateRows(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b ordered s=string n=number")
	for i, value := range []string{`{"s":"x","n":1,"vnode":7}`, `{"s":"x","n":2}`, `{"s":"y","n":3}`} {
		s.put("b", fmt.Sprint("k", i), value)
	}
	s.db.Exec(t, "UPDATE b SET _mtime = 1")
	count, stored, err := s.Update(ctx, &object.Update{Bucket: "b", Fields: parse(`{"n":"9"}`), Filter: "(s=x)"})
	if err != nil || count != 2 || !updateEtag.MatchString(stored) {
		t.Fatalf("update: %d, %q, %v", count, stored, err)
	}
	want(t, "rows", s.rows(t, `SELECT concat_ws('|', _key, _value, _etag, _mtime, coalesce(_vnode, 0), _txn_snap, s, n) FROM b ORDER BY _key`),
		`k0|{"s":"x","n":1,"vnode":7}|`+stored+`|1234567890123|7|2|x|9 k1|{"s":"x","n":2}|`+stored+`|1234567890123|0|3|x|9 k2|{"s":"y","n":3}|`+etag(`{"s":"y","n":3}`)+`|1|0|4|y|3`)
	want(t, "get", s.get("b", "k0"), `{"s":"x","n":9,"vnode":7}`)
	want(t, "put by the new etag", s.put("b", "k0", `{}`, object.EtagIs(stored)), etag(`{}`))
	_, again, err := s.Update(ctx, &object.Update{Bucket: "b", Fields: parse(`{"n":9}`), Filter: "(s=nothing)"})
	if err != nil || again == stored || !updateEtag.MatchString(again) {
		t.Errorf("an update of nothing: %q, %v; the one before: %q", again, err, stored)
	}
}

// TestManyPages: limit, offset and order work on updates and deletions; 1000 is the limit that callers pass by default.
func TestManyPages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b n=number s=string")
	s.db.Exec(t, `INSERT INTO b (_key, _value, _etag, n) SELECT 'k' || i, '{}', 'A3A6BF43', i FROM generate_series(1, 1205) i`)
	descending := []query.Sort{{Attribute: "n", Descending: true}}
	want(t, "update", s.update("b", `{"s":"default"}`, "(n>=1)"), "1000")
	want(t, "update", s.update("b", `{"s":"page"}`, "(n>=1)", query.Page{Limit: "3", Offset: "2", Sort: descending}), "3")
	want(t, "updated", s.rows(t, "SELECT n FROM b WHERE s = 'page' ORDER BY n"), "1201 1202 1203")
	want(t, "update", s.update("b", `{"s":"none"}`, "(n>=1)", query.Page{Limit: "0"}), "0")
	want(t, "update", s.update("b", `{"s":"all"}`, "(n>=1)", query.Page{}), "1205")
	want(t, "deleteMany", s.deleteMany("b", "(n>=1)", query.Page{Limit: "3", Offset: "1", Sort: descending}), "3")
	want(t, "left", s.rows(t, "SELECT n FROM b WHERE n > 1200 ORDER BY n"), "1201 1205")
	want(t, "deleteMany", s.deleteMany("b", "(s=all)"), "1000")
	want(t, "deleteMany", s.deleteMany("b", "(s=all)", query.Page{}), "202")
	want(t, "deleteMany", s.deleteMany("b", "(s=all)", query.Page{Limit: "9223372036854775808"}), "error: bigint out of range")
}
