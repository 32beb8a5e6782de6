package field_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/field"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// every lists the types of indexes.
func every(t testing.TB) []field.Type {
	t.Helper()
	var types []field.Type
	for _, name := range field.Names() {
		types = append(types, mustType(t, name))
	}
	return types
}

func mustType(t testing.TB, name string) field.Type {
	t.Helper()
	switch name {
	case "bigint":
		return field.BigInt
	case "integer":
		return field.Integer
	}
	typ, ok := field.ParseType(name)
	if !ok {
		t.Fatalf("no type %q", name)
	}
	return typ
}

// lines returns the lines of a file in testdata but for comments and empty ones: the name of a type, and the parts between
// arrows behind it.
func lines(t testing.TB, file string) (all [][]string) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && line[0] != '#' {
			name, rest, _ := strings.Cut(line, " ")
			all = append(all, append([]string{name}, strings.Split(rest, " => ")...))
		}
	}
	return all
}

func unquote(text string) string {
	return strings.TrimSuffix(strings.TrimPrefix(text, "«"), "»")
}

// printed returns text, any JSON, as it stands in an object.
func printed(t testing.TB, text string) jsvalue.Value {
	t.Helper()
	v, err := jsvalue.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return jsvalue.AppendPrinted(nil, v)
}

func TestTypes(t *testing.T) {
	t.Parallel()
	want := "string [string] number [number] numrange boolean [boolean] date [date] daterange ip [ip] mac [mac] subnet [subnet] uuid"
	if got := strings.Join(field.Names(), " "); got != want {
		t.Errorf("names %s\nwant  %s", got, want)
	}
	for _, name := range []string{"", "bigint", "integer", "[uuid]", "String"} {
		if got, ok := field.ParseType(name); ok {
			t.Errorf("%q is the type %v, want none", name, got)
		}
	}
	// The table of index types: column type, index method, and operand and operator of each relation.
	for name, want := range map[string]string{
		"string":    "TEXT BTREE",
		"[string]":  "TEXT[] GIN",
		"number":    "NUMERIC BTREE within numrange @>",
		"[number]":  "NUMERIC[] GIN within numrange @>",
		"numrange":  "NUMRANGE GIST overlaps numrange && contains number <@ opaque",
		"boolean":   "BOOLEAN BTREE",
		"[boolean]": "BOOLEAN[] GIN",
		"date":      "TIMESTAMPTZ BTREE within daterange @> opaque",
		"[date]":    "TIMESTAMPTZ[] GIN within daterange @> opaque",
		"daterange": "TSTZRANGE GIST overlaps daterange && contains date <@ opaque",
		"ip":        "INET BTREE within subnet >>",
		"[ip]":      "INET[] GIN within subnet >>",
		"mac":       "MACADDR BTREE",
		"[mac]":     "MACADDR[] GIN",
		"subnet":    "CIDR BTREE contains ip <<",
		"[subnet]":  "CIDR[] GIN contains ip <<",
		"uuid":      "UUID BTREE",
		"bigint":    "BIGINT BTREE",
		"integer":   "INTEGER BTREE",
	} {
		typ := mustType(t, name)
		got := typ.Column() + " " + typ.IndexMethod()
		for _, rule := range []string{"overlaps", "contains", "within", "caseIgnoreMatch"} {
			if operand, operator, ok := typ.Relation(rule); ok {
				got += " " + rule + " " + operand.String() + " " + operator
			}
		}
		if typ.Opaque() {
			got += " opaque"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		elem := strings.Trim(name, "[]")
		if typ.String() != name || typ.Elem().String() != elem || typ.Array() != (elem != name) {
			t.Errorf("%s: name %s, elements %s, array %v", name, typ, typ.Elem(), typ.Array())
		}
	}
}

func TestInternal(t *testing.T) {
	t.Parallel()
	var got []string
	for _, column := range []string{"_id", "_mtime", "_txn_snap", "_key", "_etag", "_idx", "_value", "_ID", ""} {
		if typ, ok := field.Internal(column); ok {
			got = append(got, column+" "+typ.String())
		}
	}
	if want := []string{"_id bigint", "_mtime bigint", "_txn_snap integer", "_key string", "_etag string"}; !slices.Equal(got, want) {
		t.Errorf("internal columns %q, want %q", got, want)
	}
}
