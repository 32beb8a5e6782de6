package object_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/field"
	"github.com/kaizengarden/moray/core/filter"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// A find is evaluated twice: PostgreSQL selects rows by their columns, then memory matches the objects. Memory is there for
// members that are not indexed. Of those that are it must find what PostgreSQL found, or rows would be lost that updateObjects
// and deleteMany change.
//
// These tests put random objects under indexes of all types and ask for them by random filters. Of every leaf they compare what
// PostgreSQL says with what memory says; of every filter, what PostgreSQL selects with the union, intersection and complement
// of what it selects for its leaves. Memory leaves to PostgreSQL what it cannot know: dates, ranges, relations, and a few values
// that JSON has no form for. The one exception is in [excused].

// everyType is a bucket with an index of each type.
const everyType = "typed s=string n=number b=boolean d=date nr=numrange dr=daterange ip=ip sn=subnet m=mac uu=uuid" +
	" sa=[string] na=[number] ba=[boolean] da=[date] ipa=[ip] sna=[subnet] ma=[mac]"

// A pool has the values that objects have under an index, and operands that filters compare with it. Values come from few, so
// that filters find some of them. Each is one that its type takes.
type pool struct {
	index    string
	values   []string // JSON
	operands []string
}

var pools = []pool{
	{
		"s",
		[]string{
			`"a"`, `"b"`, `"ab"`, `"B"`, `""`, `" "`, `"a\nb"`, `"%"`, `"a_b"`, `"\\"`, `"é"`, `"É"`, `"\uffee"`, `"😀"`, `"null"`, `5`, `true`, `{}`,
			`["a","b"]`, `[]`, `"10"`, `"9"`, `"İ"`, `"a\u2028b"`,
		},
		[]string{"a", "b", "A", "ab", "a,b", "", " ", "a\nb", "%", "a_b", "_", `\`, "é", "É", "\uffee", "😀", "null", "5", "true", "10", "0", "\U0010ffff", "i̇", "[object Object]"},
	},
	{
		"n",
		[]string{`0`, `1`, `-1`, `5`, `5.5`, `1e21`, `1e-7`, `9007199254740993`, `"7.5"`, `"abc"`, `"1e400"`, `"-1e400"`, `[1,2]`, `["4"]`, `[]`, `true`, `0.1`, `1e300`},
		[]string{"0", "1", "-1", "5", "5.50", "1e21", "0.0000001", "9007199254740992", "9007199254740993", "7.5", "abc", "Infinity", "-Infinity", "4", "", "0.1", "1e300"},
	},
	{"b", []string{`true`, `false`, `"True"`, `"FALSE"`, `[true]`}, []string{"true", "false", "TRUE"}},
	{
		"d",
		[]string{`"2019-07-04T20:30:55Z"`, `"2019-07-04T20:30:55.123456Z"`, `"2020-02-30T00:00:00Z"`, `"9999-12-31T23:59:59Z"`, `["2019-07-04T20:30:55Z"]`},
		[]string{"2019-07-04T20:30:55Z", "2019-07-04T20:30:55.123Z", "2020-03-01T00:00:00Z", "0001-01-01T00:00:00Z"},
	},
	{"nr", []string{`"[1,5]"`, `"(1,5)"`, `"[,5]"`, `"[,]"`, `"[1,1)"`, `"[1.50,)"`}, []string{"[1,5]", "(1,5)", "[,5]", "[,]", "[1,1)", "[1.5,)"}},
	{
		"dr",
		[]string{`"[2019-07-04T00:00:00Z,)"`, `"[,2019-07-04T00:00:00Z]"`, `"[2019-07-04T00:00:00Z,2019-07-05T00:00:00Z)"`},
		[]string{"[2019-07-04T00:00:00Z,)", "[,2019-07-04T00:00:00Z]", "[2019-07-04T12:00:00Z,2019-07-04T13:00:00Z]"},
	},
	{
		"ip",
		[]string{`"10.0.0.1"`, `"010.0.0.2"`, `16909060`, `"::1"`, `"::ffff:10.0.0.1"`, `"fd00::1"`, `"255.255.255.255"`},
		[]string{"10.0.0.1", "10.0.0.2", "1.2.3.4", "::1", "::ffff:10.0.0.1", "fd00::", "0.0.0.0"},
	},
	{
		"sn",
		[]string{`"10.1.2.3/8"`, `"10.0.0.0/16"`, `"::/0"`, `"fd00::/8"`, `"1.2.3.4/32"`, `"0.0.0.0/0"`},
		[]string{"10.0.0.0/8", "10.0.0.0/16", "::/0", "fd00::/8", "1.2.3.4/32", "0.0.0.0/0"},
	},
	{"m", []string{`"1:2:3:4:5:6"`, `5`, `"AABBCCDDEEFF"`, `"00-00-00-00-00-05"`}, []string{"01:02:03:04:05:06", "0:0:0:0:0:5", "aabbccddeeff"}},
	{
		"uu",
		[]string{`"12345678-1234-1234-1234-123456789abc"`, `"f2345678-1234-1234-1234-123456789abc"`, `"00000000-0000-0000-0000-000000000000"`},
		[]string{"12345678-1234-1234-1234-123456789abc", "f2345678-1234-1234-1234-123456789abc", "00000000-0000-0000-0000-000000000000"},
	},
	{
		"sa",
		[]string{`["a","b"]`, `["a",null]`, `[null]`, `[]`, `[""]`, `"a"`, `5`, `["null"," b ","é","😀","\uffee","a\nb"]`, `[["a"],{}]`, `["10","9"]`},
		[]string{"a", "b", "A", "", " b ", "null", "é", "É", "😀", "0", "5", "10", "\U0010ffff", "a\nb"},
	},
	{"na", []string{`[1,2]`, `[5.5]`, `[]`, `[null]`, `["abc",1]`, `7`, `"8"`, `["1e400"]`, `[[3,4]]`}, []string{"1", "2", "5.5", "8", "abc", "Infinity", "3", "0"}},
	{"ba", []string{`[true]`, `[false]`, `[true,false]`, `[]`, `true`}, []string{"true", "false"}},
	{"da", []string{`["2019-07-04T20:30:55Z"]`, `["2019-07-04T20:30:55Z","2020-01-01T00:00:00Z"]`, `[]`}, []string{"2019-07-04T20:30:55Z", "2019-12-01T00:00:00Z"}},
	{"ipa", []string{`["10.0.0.1","::1"]`, `"10.0.0.2"`, `[]`, `["::ffff:10.0.0.1"]`}, []string{"10.0.0.1", "10.0.0.2", "::1", "::ffff:10.0.0.1"}},
	{"sna", []string{`["10.0.0.0/8","::/0"]`, `"10.0.0.0/16"`, `[]`}, []string{"10.0.0.0/8", "10.0.0.0/16", "::/0", "0.0.0.0/0"}},
	{"ma", []string{`["1:2:3:4:5:6",5]`, `[]`, `"AABBCCDDEEFF"`}, []string{"01:02:03:04:05:06", "0:0:0:0:0:5", "aabbccddeeff"}},
}

// relations are what only PostgreSQL knows about an index: the rule, and operands of it.
var relations = map[string][]string{
	"n": {"within:=[0,5]", `within:=\285,\29`}, "na": {"within:=[0,5]", `within:=\285,\29`},
	"d": {"within:=[2019-07-04T00:00:00Z,]"}, "da": {"within:=[2019-07-04T00:00:00Z,]"},
	"nr": {"overlaps:=[1,5]", `overlaps:=\285,\29`, "contains:=1", "contains:=5"},
	"dr": {"overlaps:=[2019-07-04T00:00:00Z,]", "contains:=2019-07-04T12:00:00Z"},
	"ip": {"within:=10.0.0.0/8", "within:=::/0", "within:=0.0.0.0/0"}, "ipa": {"within:=10.0.0.0/8", "within:=::/0"},
	"sn": {"contains:=10.0.0.1", "contains:=::1"}, "sna": {"contains:=10.0.0.1", "contains:=::1"},
}

// drawObject draws an object with some of the indexes.
func drawObject(t *rapid.T) string {
	var members []string
	for _, p := range pools {
		switch rapid.IntRange(0, 3).Draw(t, "has "+p.index) {
		case 0: // a member that is absent
		case 1:
			members = append(members, fmt.Sprintf("%q:null", p.index))
		default:
			members = append(members, fmt.Sprintf("%q:%s", p.index, rapid.SampledFrom(p.values).Draw(t, p.index)))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// drawFilter draws a filter in its written form.
func drawFilter(t *rapid.T, depth int) string {
	switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
	case depth == 0 || kind < 4:
		return drawLeaf(t)
	case kind < 6:
		return "(!" + drawFilter(t, depth-1) + ")"
	default:
		list := "(" + rapid.SampledFrom([]string{"&", "|"}).Draw(t, "list")
		for range rapid.IntRange(1, 3).Draw(t, "children") {
			list += drawFilter(t, depth-1)
		}
		return list + ")"
	}
}

// drawLeaf draws a leaf that its index can answer.
func drawLeaf(t *rapid.T) string {
	p := rapid.SampledFrom(pools).Draw(t, "pool")
	operand := rapid.SampledFrom(p.operands)
	forms := []string{"present", "equal", "least", "most"}
	if relations[p.index] != nil {
		forms = append(forms, "relation")
	}
	switch p.index {
	case "s":
		forms = append(forms, "pattern", "any case", "pattern, any case")
	case "sa":
		forms = append(forms, "any case")
	}
	switch rapid.SampledFrom(forms).Draw(t, "form") {
	case "present":
		return "(" + p.index + "=*)"
	case "relation":
		return "(" + p.index + ":" + rapid.SampledFrom(relations[p.index]).Draw(t, "relation") + ")"
	case "pattern":
		return "(" + p.index + "=" + drawPattern(t, operand) + ")"
	case "pattern, any case":
		pattern := drawPattern(t, operand)
		if pattern == "*" { // refused
			pattern = "**"
		}
		return "(" + p.index + ":caseIgnoreSubstringsMatch:=" + pattern + ")"
	case "any case":
		return "(" + p.index + ":caseIgnoreMatch:=" + escaped(operand.Draw(t, "operand")) + ")"
	case "least":
		return "(" + p.index + ">=" + escaped(operand.Draw(t, "operand")) + ")"
	case "most":
		return "(" + p.index + "<=" + escaped(operand.Draw(t, "operand")) + ")"
	default:
		return "(" + p.index + "=" + escaped(operand.Draw(t, "operand")) + ")"
	}
}

// drawPattern draws parts with stars between them.
func drawPattern(t *rapid.T, part *rapid.Generator[string]) string {
	parts := rapid.SliceOfN(rapid.OneOf(rapid.Just(""), part), 2, 3).Draw(t, "parts")
	for i := range parts {
		parts[i] = escaped(parts[i])
	}
	return strings.Join(parts, "*")
}

var escapes = strings.NewReplacer(`(`, `\28`, `)`, `\29`, `*`, `\2a`, `\`, `\5c`)

func escaped(operand string) string { return escapes.Replace(operand) }

// comparison evaluates filters over the rows of a bucket, in both ways.
type comparison struct {
	*server
	bucket *bucket.Bucket
	rows   map[string]object.Row // by key
	leaves map[filter.Node]map[string]bool
}

func newComparison(s *server) (*comparison, error) {
	b, err := s.Buckets.Get(ctx, s.store, "typed", false)
	if err != nil {
		return nil, err
	}
	c := &comparison{server: s, bucket: b, rows: map[string]object.Row{}}
	everything, err := filter.Parse("(_id>=0)")
	if err != nil {
		return nil, err
	}
	err = c.run(everything, func(row object.Row) error {
		kept := make(object.Row, len(row))
		for i, column := range row {
			kept[i] = slices.Clone(column)
		}
		c.rows[string(row[query.RowKey])] = kept
		return nil
	})
	return c, err
}

// run passes the rows that PostgreSQL selects to row.
func (c *comparison) run(n filter.Node, row func(object.Row) error) error {
	where, err := query.Compile(c.bucket, n)
	if err != nil {
		return err
	}
	selection, err := query.For(c.bucket).Find(where, query.Page{}, false)
	if err != nil {
		return err
	}
	return c.store.Do(ctx, selection.Statement(), row)
}

// selected returns the keys of the rows that PostgreSQL selects.
func (c *comparison) selected(n filter.Node) (keys map[string]bool, err error) {
	keys = map[string]bool{}
	err = c.run(n, func(row object.Row) error {
		keys[string(row[query.RowKey])] = true
		return nil
	})
	return keys, err
}

// check compares all evaluations of a filter.
func (c *comparison) check(t *rapid.T, text string) {
	tree, err := filter.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	got, err := c.selected(tree)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	c.leaves = map[filter.Node]map[string]bool{}
	excused := map[string]bool{}
	c.checkLeaves(t, tree, excused)
	for key := range c.rows {
		if want := c.combined(tree, key); got[key] != want {
			t.Fatalf("%s: PostgreSQL selects %s: %v; its leaves say %v\n%s", text, key, got[key], want, c.rows[key][query.RowValue])
		}
	}
	want := maps.Clone(got)
	maps.DeleteFunc(want, func(key string, _ bool) bool { return excused[key] })
	answer := map[string]bool{}
	for key := range strings.FieldsSeq(c.find("typed", text)) {
		if !got[key] {
			t.Fatalf("%s: the answer has %s, which PostgreSQL did not select", text, key)
		}
		if !excused[key] {
			answer[key] = true
		}
	}
	if !maps.Equal(answer, want) {
		t.Fatalf("%s: the answer has %v of the rows %v", text, slices.Sorted(maps.Keys(answer)), slices.Sorted(maps.Keys(want)))
	}
}

// checkLeaves compares PostgreSQL and memory about each leaf. It adds the keys of rows where they may differ.
func (c *comparison) checkLeaves(t *rapid.T, n filter.Node, different map[string]bool) {
	for _, child := range children(n) {
		c.checkLeaves(t, child, different)
	}
	if children(n) != nil {
		return
	}
	selected, err := c.selected(n)
	if err != nil {
		t.Fatalf("%s alone: %v", n, err)
	}
	c.leaves[n] = selected
	negation := &filter.Not{Child: n}
	for key, row := range c.rows {
		accepts, err := object.Match(c.bucket, n, row)
		refuses, err2 := object.Match(c.bucket, negation, row)
		switch {
		case err != nil || err2 != nil:
			t.Fatalf("%s: %v, %v", key, err, err2)
		case accepts && refuses, accepts == selected[key] && refuses != selected[key]:
		case c.excused(n, row):
			different[key] = true
		default:
			t.Fatalf("%s: PostgreSQL selects %s: %v; memory accepts it: %v, its negation: %v\n%s", n, key, selected[key], accepts, refuses, row[query.RowValue])
		}
	}
}

// combined tells from the leaves whether PostgreSQL should select a row.
func (c *comparison) combined(n filter.Node, key string) bool {
	selects := func(n filter.Node) bool { return c.combined(n, key) }
	refuses := func(n filter.Node) bool { return !c.combined(n, key) }
	switch n := n.(type) {
	case *filter.And:
		return !slices.ContainsFunc(n.Children, refuses)
	case *filter.Or:
		return slices.ContainsFunc(n.Children, selects)
	case *filter.Not:
		return !selects(n.Child)
	}
	return c.leaves[n][key]
}

func children(n filter.Node) []filter.Node {
	switch n := n.(type) {
	case *filter.And:
		return n.Children
	case *filter.Or:
		return n.Children
	case *filter.Not:
		return []filter.Node{n.Child}
	}
	return nil
}

// excused reports whether memory may differ from PostgreSQL about a leaf. It may where an element passes of an array under an
// index that is none: the column holds the text of the whole array, and either may fit. And it may about numbers that JSON does
// not have: NaN, which is a number to PostgreSQL and the highest, passes no test in memory, nor does an infinite element.
func (c *comparison) excused(n filter.Node, row object.Row) bool {
	name, operand := operandOf(n)
	for i, column := range c.bucket.Columns {
		if column.Name != name {
			continue
		}
		text := string(row[query.RowColumns+i])
		if column.Type.Elem() == field.Number {
			o, err := column.Type.ParseOperand(operand)
			unreal := err == nil && o.Param() == "NaN" || strings.Contains(text, "NaN") || column.Type.Array() && strings.Contains(text, "Infinity")
			if unreal {
				return true
			}
		}
		value, err := jsvalue.ParseObject(row[query.RowValue])
		return err == nil && value.Get(name).Kind() == jsvalue.KindArray && !column.Type.Array()
	}
	return false
}

// operandOf returns what a leaf compares.
func operandOf(n filter.Node) (attribute, operand string) {
	switch n := n.(type) {
	case *filter.Equal:
		return n.Attribute, n.Value
	case *filter.GE:
		return n.Attribute, n.Value
	case *filter.LE:
		return n.Attribute, n.Value
	case *filter.Substring:
		return n.Attribute, ""
	case *filter.Ext:
		return n.Attribute, n.Value
	}
	return "", ""
}

// checkFilters is a property: some objects, and some filters.
func checkFilters(s *server) func(*rapid.T) {
	return func(t *rapid.T) {
		if answer := s.deleteMany("typed", "(_id>=0)"); strings.Contains(answer, ":") {
			t.Fatal(answer)
		}
		for i := range rapid.IntRange(1, 6).Draw(t, "objects") {
			value := drawObject(t)
			if answer := s.put("typed", fmt.Sprint("k", i), value); answer != etag(value) && strings.Contains(answer, ":") {
				t.Fatalf("put %s: %s", value, answer)
			}
		}
		c, err := newComparison(s)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			c.check(t, drawFilter(t, 3))
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newBucket(t, everyType)
	rapid.Check(t, checkFilters(s))
}

func FuzzFilters(f *testing.F) {
	s := newServer(f)
	s.newBucket(f, everyType)
	random := rand.NewChaCha8([32]byte{})
	for range 8 { // the draws come from the bytes, of which mutation alone makes too few
		seed := make([]byte, 32<<10)
		random.Read(seed) //nolint:errcheck // because it never fails
		f.Add(seed)
	}
	f.Fuzz(rapid.MakeFuzz(checkFilters(s)))
}
