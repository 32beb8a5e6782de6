package object_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/object"
)

// TestPreconditions goes through the table of preconditions, over buckets whose puts are one statement and over one whose puts
// are several.
func TestPreconditions(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const stored, other, next = "561BACAF", "A3A6BF43", "FE2BF5EF" // {"a":1}, {}, {"foo":"bar"}
	for _, words := range []string{"plain", "ordered1 ordered", "indexed s=string u=string!"} {
		bucket := strings.Fields(words)[0]
		s.newBucket(t, words)
		conflict := func(key, expected, actual string) string {
			return fmt.Sprintf(`EtagConflictError: %s::%s was expected to have etag "%s", but was "%s"`, bucket, key, expected, actual)
		}
		for i, c := range []struct {
			expected string // as messages name it
			expects  object.Precondition
			exists   bool
			want     string // the actual etag of a conflict; "" for none
		}{
			{"absent", object.Precondition{}, false, ""},
			{"absent", object.Precondition{}, true, ""},
			{"null", object.Absent, false, ""},
			{"null", object.Absent, true, stored},
			{stored, object.EtagIs(stored), true, ""},
			{other, object.EtagIs(other), true, stored},
			{strings.ToLower(stored), object.EtagIs(strings.ToLower(stored)), true, stored},
			{"", object.EtagIs(""), true, stored},
			{"null", object.EtagIs("null"), true, stored},
			{stored + " ", object.EtagIs(stored + " "), true, stored},
			{other, object.EtagIs(other), false, "null"},
			{"", object.EtagIs(""), false, "null"},
			{"null", object.EtagIs("null"), false, "null"},
			{`"'`, object.EtagIs(`"'`), false, "null"},
		} {
			key := fmt.Sprint("k", i)
			if c.exists {
				want(t, "first put", s.put(bucket, key, `{"a":1}`), stored)
			}
			expected := next
			if c.want != "" {
				expected = conflict(key, c.expected, c.want)
			}
			what := fmt.Sprintf("%s: put with etag %q, object stored: %t", bucket, c.expected, c.exists)
			want(t, what, s.put(bucket, key, `{"foo":"bar"}`, c.expects), expected)
			after := `{"foo":"bar"}`
			switch {
			case c.want == "null":
				after = "ObjectNotFoundError: " + bucket + "::" + key + " does not exist"
			case c.want != "":
				after = `{"a":1}`
			}
			want(t, what+", then get", s.get(bucket, key), after)
		}
	}
}

// TestEtagConflictContext checks the context of the fault, which clients read.
func TestEtagConflictContext(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b")
	s.put("b", `k"`, `{}`)
	for _, c := range []struct {
		call func() error
		want string
	}{
		{func() error {
			_, err := s.Put(ctx, &object.Put{Bucket: "b", Key: `k"`, Value: parse(`{}`), Expects: object.Absent})
			return err
		}, `{"bucket":"b","key":"k\"","expected":"null","actual":"A3A6BF43"}`},
		{func() error {
			_, err := s.Put(ctx, &object.Put{Bucket: "b", Key: "n", Value: parse(`{}`), Expects: object.EtagIs("x")})
			return err
		}, `{"bucket":"b","key":"n","expected":"x","actual":"null"}`},
		{
			func() error { return s.Service.Delete(ctx, &object.Delete{Bucket: "b", Key: `k"`, Etag: "x"}) },
			`{"bucket":"b","key":"k\"","expected":"x","actual":"A3A6BF43"}`,
		},
	} {
		f := fault.From(c.call())
		if f == nil || f.Name != fault.EtagConflict || string(f.Context) != c.want {
			t.Errorf("got %+v, want an EtagConflictError with context %s", f, c.want)
		}
	}
}

// TestPreconditionFirst checks that the precondition is reported before a value that cannot be stored.
func TestPreconditionFirst(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, words := range []string{"plain ip=ip u=string! v=numrange", "ordered1 ordered ip=ip u=string! v=numrange"} {
		bucket := strings.Fields(words)[0]
		s.newBucket(t, words)
		s.put(bucket, "k", `{"u":"taken"}`)
		for value, fails := range map[string]string{
			`{"ip":"nonsense"}`:              "InvalidIndexTypeError: index(ip) is of type ip",
			`{"v":"[2,1]"}`:                  "error: range lower bound must be less than or equal to range upper bound",
			`{"vnode":"abc"}`:                `error: invalid input syntax for type bigint: "abc"`,
			`{"u":"taken"}`:                  `UniqueAttributeError: "u" is a unique attribute; value "taken" already exists`,
			`{"u":"x\u0000","ip":"1.1.1.1"}`: `error: invalid byte sequence for encoding "UTF8": 0x00`,
		} {
			conflict := "EtagConflictError: " + bucket + `::new was expected to have etag "x", but was "null"`
			want(t, bucket+": put "+value+" with a wrong etag", s.put(bucket, "new", value, object.EtagIs("x")), conflict)
			want(t, bucket+": put "+value, s.put(bucket, "new", value), fails)
			want(t, bucket+": put "+value+" as new", s.put(bucket, "new", value, object.Absent), fails)
		}
		want(t, "get", s.get(bucket, "new"), "ObjectNotFoundError: "+bucket+"::new does not exist")
	}
}

// TestColumns puts the values that were verified on the original, and reads the columns.
func TestColumns(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b s=string n=number b=boolean d=date dr=daterange nr=numrange ip=ip sn=subnet m=mac uu=uuid "+
		"sa=[string] na=[number] ba=[boolean] da=[date] ipa=[ip] sna=[subnet] ma=[mac]")
	for i, c := range []struct{ index, value, want string }{
		{"s", `5`, "5"},
		{"s", `true`, "true"},
		{"s", `[]`, ""},
		{"s", `["a","b"]`, "a,b"},
		{"s", `[["a"],"b",null,1]`, "a,b,,1"},
		{"s", `{}`, "[object Object]"},
		{"s", `"a\u0000b"`, `error: invalid byte sequence for encoding "UTF8": 0x00`},
		{"n", `"5abc"`, "5"},
		{"n", `" 7"`, "7"},
		{"n", `"0x10"`, "0"},
		{"n", `"abc"`, "NaN"},
		{"n", `true`, "NaN"},
		{"n", `[]`, "NaN"},
		{"n", `[1,2]`, "1"},
		{"n", `1e21`, "1000000000000000000000"},
		{"n", `"1e400"`, "Infinity"},
		{"b", `"False"`, "f"},
		{"b", `[true]`, "t"},
		{"b", `1`, "InvalidIndexTypeError: index(b) is of type boolean"},
		{"b", `""`, "InvalidIndexTypeError: index(b) is of type boolean"},
		{"d", `"2019-07-04T20:30:55.123456Z"`, "2019-07-04 20:30:55.123+00"},
		{"d", `"2019-02-30T20:30:55Z"`, "2019-03-02 20:30:55+00"},
		{"d", `"2019-07-04T24:00:00Z"`, "2019-07-05 00:00:00+00"},
		{"d", `["2019-07-04T20:30:55Z"]`, "2019-07-04 20:30:55+00"},
		{"d", `5`, "InvalidIndexTypeError: index(d) is of type date"},
		{"d", `"2019-07-04"`, "InvalidIndexTypeError: index(d) is of type date"},
		{"dr", `"[2019-07-04T00:00:00.5Z,)"`, `["2019-07-04 00:00:00.5+00",)`},
		{"dr", `"[2020-01-01T00:00:00Z,2019-01-01T00:00:00Z]"`, "error: range lower bound must be less than or equal to range upper bound"},
		{"nr", `"[1.50,2.250]"`, "[1.50,2.250]"},
		{"nr", `"[,5]"`, "(,5]"},
		{"nr", `"[1,1)"`, "empty"},
		{"nr", `"[2,1]"`, "error: range lower bound must be less than or equal to range upper bound"},
		{"nr", `["[1,2]"]`, `error: malformed range literal: "{"[1,2]"}"`},
		{"ip", `"010.0.0.1"`, "10.0.0.1"},
		{"ip", `16909060`, "1.2.3.4"},
		{"ip", `"10.0.0.1/24"`, "InvalidIndexTypeError: index(ip) is of type ip"},
		{"ip", `["10.0.0.1"]`, "InvalidIndexTypeError: index(ip) is of type ip"},
		{"sn", `"10.1.2.3/8"`, "10.0.0.0/8"},
		{"sn", `"10.0.0.0"`, "InvalidIndexTypeError: index(sn) is of type subnet"},
		{"m", `"9:8:7:6:5:4"`, "09:08:07:06:05:04"},
		{"m", `5`, "00:00:00:00:00:05"},
		{"m", `"1.2.3.4.5.6"`, "InvalidIndexTypeError: index(m) is of type mac"},
		{"uu", `"12345678-1234-1234-1234-123456789abc"`, "12345678-1234-1234-1234-123456789abc"},
		{"uu", `"12345678-1234-1234-1234-123456789ABC"`, "InvalidIndexTypeError: index(uu) is of type uuid"},
		{"uu", `["12345678-1234-1234-1234-123456789abc"]`, `error: invalid input syntax for type uuid: "{"12345678-1234-1234-1234-123456789abc"}"`},
		{"sa", `["a",null]`, "{a,NULL}"},
		{"sa", `["null"]`, `{"null"}`},
		{"sa", `[""]`, `{""}`},
		{"sa", `["a",""]`, `{a,""}`},
		{"sa", `[" a ","b"]`, `{" a ",b}`},
		{"sa", `["a,b","{x}","d\"e","f\\g"]`, `{"a,b","{x}","d\"e","f\\g"}`},
		{"sa", `[1,true,{}]`, `{1,true,"[object Object]"}`},
		{"sa", `"one"`, "{one}"},
		{"sa", `[]`, "{}"},
		{"sa", `null`, ""},
		{"na", `["x",1]`, "{NaN,1}"},
		{"na", `[null]`, "{NaN}"},
		{"na", `[[1,2]]`, "{1}"},
		{"ba", `[true,"FALSE"]`, "{t,f}"},
		{"ba", `[null]`, "InvalidIndexTypeError: index(ba) is of type boolean"},
		{"da", `["2019-07-04T20:30:55Z"]`, `{"2019-07-04 20:30:55+00"}`},
		{"da", `[null]`, "InvalidIndexTypeError: index(da) is of type date"},
		{"ipa", `["::1",1]`, "{::1,0.0.0.1}"},
		{"ipa", `["x"]`, "InvalidIndexTypeError: index(ipa) is of type ip"},
		{"sna", `["1.2.3.4/8"]`, "{1.0.0.0/8}"},
		{"ma", `["1:2:3:4:5:6"]`, "{01:02:03:04:05:06}"},
		{"ma", `[null]`, "InvalidIndexTypeError: index(ma) is of type mac"},
	} {
		key := fmt.Sprint("k", i)
		got := s.put("b", key, `{"`+c.index+`":`+c.value+`}`)
		if len(got) == 8 {
			got = s.rows(t, `SELECT "`+c.index+`" FROM b WHERE _key = $1`, key)
		}
		want(t, "index "+c.index+" of "+c.value, got, c.want)
	}
}

// TestFirstInvalidIndex: of several values that do not fit, the first in the order of the definition is reported.
func TestFirstInvalidIndex(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b one=ip two=[mac]")
	want(t, "put", s.put("b", "k", `{"two":["x"],"one":"x"}`), "InvalidIndexTypeError: index(one) is of type ip")
	want(t, "put", s.put("b", "k", `{"two":["x"]}`), "InvalidIndexTypeError: index(two) is of type mac")
}

// TestStoredRow checks all columns of a row after an insert and after an overwrite that leaves members out.
func TestStoredRow(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b s=string Mixed=number")
	row := func() string {
		return s.rows(t, `SELECT concat_ws('|', _id, coalesce(_txn_snap::text, 'NULL'), _key, _value, _etag, _mtime, coalesce(_vnode::text, 'NULL'), coalesce(s, 'NULL'), coalesce(mixed::text, 'NULL')) FROM b`)
	}
	stored := s.put("b", "k", `{ "s" : "x", "Mixed": 1.50, "vnode": "12", "_id": 99, "é": "\u0041" }`)
	want(t, "row", row(), `1|NULL|k|{"s":"x","Mixed":1.5,"vnode":"12","_id":99,"é":"A"}|`+stored+`|1234567890123|12|x|1.5`)
	stored = s.put("b", "k", `{"mixed":7,"s":null}`)
	want(t, "row", row(), `1|NULL|k|{"mixed":7,"s":null}|`+stored+`|1234567890123|NULL|NULL|NULL`)
}

func TestVnode(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b")
	for value, expected := range map[string]string{
		`12`: "12", `"12"`: "12", `null`: "", `9007199254740993`: "9007199254740992", `" 7 "`: "7",
		`1.5`: `error: invalid input syntax for type bigint: "1.5"`, `"abc"`: `error: invalid input syntax for type bigint: "abc"`,
		`""`: `error: invalid input syntax for type bigint: ""`, `true`: `error: invalid input syntax for type bigint: "true"`,
	} {
		got := s.put("b", "k", `{"vnode":`+value+`}`)
		if len(got) == 8 {
			got = s.rows(t, "SELECT _vnode FROM b")
		}
		want(t, "vnode "+value, got, expected)
	}
}

// TestOddKeys puts, gets, finds and deletes objects with keys that could be mistaken for something else.
func TestOddKeys(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b s=string")
	for _, key := range []string{"'; DROP TABLE b; --", `"`, `\`, "a\nb", "é日本😀", " ", "$1", strings.Repeat("x", 2000), "NULL"} {
		want(t, fmt.Sprintf("put %.20q", key), s.put("b", key, `{"s":"x"}`), etag(`{"s":"x"}`))
		want(t, fmt.Sprintf("get %.20q", key), s.get("b", key), `{"s":"x"}`)
		want(t, fmt.Sprintf("find %.20q", key), s.find("b", "(s=x)"), key)
		want(t, fmt.Sprintf("del %.20q", key), s.del("b", key, ""), "")
	}
	want(t, "a key with U+0000", s.put("b", "a\x00", `{}`), `error: invalid byte sequence for encoding "UTF8": 0x00`)
	want(t, "get of it", s.get("b", "a\x00"), `error: invalid byte sequence for encoding "UTF8": 0x00`)
	want(t, "del of it", s.del("b", "a\x00", ""), `error: invalid byte sequence for encoding "UTF8": 0x00`)
}

func TestDel(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b")
	for _, c := range []struct{ etag, want string }{
		{"", ""},
		{"A3A6BF43", ""},
		{"x", `EtagConflictError: b::k was expected to have etag "x", but was "A3A6BF43"`},
		{"a3a6bf43", `EtagConflictError: b::k was expected to have etag "a3a6bf43", but was "A3A6BF43"`},
		{"A3A6BF43 ", `EtagConflictError: b::k was expected to have etag "A3A6BF43 ", but was "A3A6BF43"`},
	} {
		s.put("b", "k", `{}`)
		want(t, "del with etag "+c.etag, s.del("b", "k", c.etag), c.want)
		left := "ObjectNotFoundError: b::k does not exist"
		if c.want != "" {
			left = `{}`
		}
		want(t, "get after del with etag "+c.etag, s.get("b", "k"), left)
		s.del("b", "k", "")
		want(t, "del of nothing with etag "+c.etag, s.del("b", "k", c.etag), "ObjectNotFoundError: b::k does not exist")
	}
}

// TestShortEtag: the column is a CHAR(8), so an etag that other programs stored is padded with blanks.
func TestShortEtag(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b")
	s.put("b", "k", `{}`)
	s.db.Exec(t, "UPDATE b SET _etag = 'abc'")
	want(t, "put", s.put("b", "k", `{}`, object.EtagIs("abc")), `EtagConflictError: b::k was expected to have etag "abc", but was "abc     "`)
	want(t, "put", s.put("b", "k", `{}`, object.Absent), `EtagConflictError: b::k was expected to have etag "null", but was "abc     "`)
	want(t, "del", s.del("b", "k", "abc"), `EtagConflictError: b::k was expected to have etag "abc", but was "abc     "`)
	want(t, "put", s.put("b", "k", `{}`, object.EtagIs("abc     ")), "A3A6BF43")
	s.db.Exec(t, "UPDATE b SET _etag = 'abc'")
	want(t, "del", s.del("b", "k", "abc     "), "")
}

func TestBucketNotFound(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const missing = "BucketNotFoundError: nope does not exist"
	want(t, "put", s.put("nope", "k", `{}`), missing)
	want(t, "get", s.get("nope", "k"), missing)
	want(t, "del", s.del("nope", "k", ""), missing)
	want(t, "find", s.find("nope", "(a=b)"), missing)
	want(t, "update", s.update("nope", `{"a":1}`, "(a=b)"), missing)
	want(t, "deleteMany", s.deleteMany("nope", "(a=b)"), missing)
	want(t, "reindex", s.reindex("nope", 1), missing)
	want(t, "reindex of 0", s.reindex("nope", 0), missing)
	want(t, "find with a bad filter", s.find("nope", "(a=b"), "InvalidQueryError: (a=b is an invalid filter")
	want(t, "update with a bad filter", s.update("nope", `{"a":1}`, "(a=b"), "InvalidQueryError: (a=b is an invalid filter")
	want(t, "update of nothing", s.update("nope", `{}`, "(a=b"), "FieldUpdateError: {} is not a valid update definition")
	want(t, "deleteMany with a bad filter", s.deleteMany("nope", "(a=b"), "InvalidQueryError: (a=b is an invalid filter")
	if err := s.Service.Delete(ctx, &object.Delete{Bucket: "nope", Key: "k"}); !errors.Is(err, fault.BucketNotFound) {
		t.Errorf("del: %v is not %v", err, fault.BucketNotFound)
	}
}

// TestUniqueAttribute checks the attribute and the value that a violation names.
func TestUniqueAttribute(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b Name=string! na=[number]! n=number!")
	for value, named := range map[string]string{
		`{"Name":"x"}`:           `"name" is a unique attribute; value "x" already exists`,
		`{"Name":"a)=(b"}`:       `"a" is a unique attribute; value "b" already exists`, // as the original cuts it
		`{"Name":"line\nbreak"}`: "\"name\" is a unique attribute; value \"line\nbreak\" already exists",
		`{"na":[1,2]}`:           `"na" is a unique attribute; value "{1,2}" already exists`,
		`{"n":5}`:                `"n" is a unique attribute; value "5" already exists`,
	} {
		s.put("b", "first", value)
		want(t, "put of "+value, s.put("b", "second", value), "UniqueAttributeError: "+named)
		want(t, "put of "+value+" as new", s.put("b", "second", value, object.Absent), "UniqueAttributeError: "+named)
		want(t, "the same key again", s.put("b", "first", value), etag(value))
	}
	s.put("b", "second", `{}`)
	s.put("b", "third", `{}`) // NULL is not a value
	want(t, "get", s.get("b", "third"), `{}`)
}

// TestPutHabit: after many overwrites puts expect one more. Whatever comes instead is done right, and no id is drawn in vain.
func TestPutHabit(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, "b s=string u=string!")
	for i := range 40 {
		want(t, "overwrite", s.put("b", "k", fmt.Sprintf(`{"s":"%d"}`, i)), etag(fmt.Sprintf(`{"s":"%d"}`, i)))
	}
	want(t, "ids drawn", s.drawn(t, "b"), "1")
	want(t, "a new object", s.put("b", "new", `{"s":"x","u":"taken"}`), etag(`{"s":"x","u":"taken"}`))
	want(t, "ids drawn", s.drawn(t, "b"), "2")
	for i := range 40 {
		s.put("b", "k", fmt.Sprintf(`{"s":"%d"}`, i))
	}
	want(t, "unique violation", s.put("b", "k", `{"u":"taken"}`), `UniqueAttributeError: "u" is a unique attribute; value "taken" already exists`)
	s.changeBucket(t, "b version=1 s=string u=string! n=number")
	want(t, "with a definition that is not current", s.put("b", "k", `{"n":5}`), etag(`{"n":5}`))
	want(t, "row", s.rows(t, `SELECT concat_ws('|', _id, _etag, n, _rver) FROM b WHERE _key = 'k'`), "1|"+etag(`{"n":5}`)+"|5|1")
	s.del("b", "k", "")
	want(t, "after it was deleted", s.put("b", "k", `{"s":"again"}`), etag(`{"s":"again"}`))
	want(t, "its id", s.rows(t, `SELECT _id FROM b WHERE _key = 'k'`), "3")
}
