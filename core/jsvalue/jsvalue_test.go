package jsvalue_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// lines decodes a file of one JSON document a line.
func lines[T any](t testing.TB, path string) []T {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
		var one T
		if err := d.Decode(&one); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, one)
	}
	return all
}

// stringified is one text and what JSON.stringify(JSON.parse(text)) printed in Node.js.
type stringified struct{ In, Out string }

func TestPrinted(t *testing.T) {
	t.Parallel()
	for _, c := range lines[stringified](t, "testdata/stringify.jsonl") {
		v, printed, err := jsvalue.ParsePrinted([]byte(c.In))
		if err != nil {
			t.Errorf("%s: %v", c.In, err)
			continue
		}
		if printed != (c.In == c.Out) {
			t.Errorf("%s: printed = %v, but Node.js prints %s", c.In, printed, c.Out)
		}
		if got := string(jsvalue.AppendPrinted(nil, v)); got != c.Out {
			t.Errorf("%s: printed as %s, want %s", c.In, got, c.Out)
		}
	}
}

// Recordings of the original's checksum routine, and the texts and etags of its documentation.
func TestEtag(t *testing.T) {
	t.Parallel()
	check := func(text, want string) {
		if got := jsvalue.Etag([]byte(text)); got != want {
			t.Errorf("etag of %s = %s, want %s", text, got, want)
		}
	}
	for _, c := range lines[json.RawMessage](t, "testdata/etags.jsonl") {
		v, err := jsvalue.Parse(c) // not encoding/json, which loses lone surrogates
		if err != nil {
			t.Fatal(err)
		}
		check(v.Member("text").Text(), v.Member("etag").Text())
	}
	check(`{"a":[1,null,"x",{}]}`, "5E6101A5")
	check(`{"n":1e+21}`, "F80C4D70")
	check(`{"a":"1"}`, "050CCC75")
	check(`{"foo":"1"}`, "A101662A")
	check(`{"a":"x","b":1}`, "1FFE9FD7")
	check(`{"name":"a","num":1}`, "21EAB06E")
	check(`{"name":"alice","num":5,"uniq":"u1","tags":["a","b"],"flag":true,"other":{"x":1}}`, "7438FB57")
	check(`{"a":"日本😀","n":1}`, "61294FAC")
	check(`{"email":"m@x","uid":"54408","tags":"one","dt":"2012-07-31T08:50:04Z","net":"10.88.88.200/24","extra":null}`, "B64FDD1D")
	check(`{"s":"ā"}`, "D126A402")
	check(`{"s":"😀"}`, "AE7E3188")
	check(`{"s":"\u0000\b\t\n\f\r\u001f\"\\"}`, "1B03734D")
	check(`{"2":1,"10":1,"b":1,"a":2,"FooBar":"x","__proto__":{"z":1}}`, "B038137E")
	check(`{"1":"y","2":"x","b":1,"a":1,"c":1e+21,"d":0,"e":1e-7,"f":"`+"\u2028"+`\u0001/<"}`, "24BCD542")
}

// A lone surrogate counts as its unit in the etag, as in Node.js 6, and is U+FFFD where UTF-8 is needed.
func TestLoneSurrogate(t *testing.T) {
	t.Parallel()
	o, err := jsvalue.ParseObject([]byte(`{"str":"x\ud800y"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := jsvalue.Etag(o.Text()); got != "06D4B2FB" {
		t.Errorf("etag = %s, want 06D4B2FB", got)
	}
	if got, want := string(jsvalue.Sanitize(o.Text())), "{\"str\":\"x\ufffdy\"}"; got != want {
		t.Errorf("sanitized = %q, want %q", got, want)
	}
	if got, want := jsvalue.Sanitize([]byte("plain")), "plain"; string(got) != want {
		t.Errorf("sanitized = %q, want %q", got, want)
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                       "unexpected end at byte 0",
		"  ":                     "unexpected end at byte 2",
		"{":                      "unexpected end at byte 1",
		`{"a"`:                   "unexpected end at byte 4",
		`{"a":1`:                 "unexpected end at byte 6",
		`{"a":1,`:                "unexpected end at byte 7",
		`{"a":1 "b":2}`:          "expected , or } in an object at byte 7",
		`{a:1}`:                  "expected a member name at byte 1",
		`{"a" 1}`:                "expected : after a member name at byte 5",
		`{"a":}`:                 "unexpected character at byte 5",
		`[1 2]`:                  "expected , or ] in an array at byte 3",
		`[1,]`:                   "unexpected character at byte 3",
		`[`:                      "unexpected end at byte 1",
		`"`:                      "unexpected end at byte 1",
		`"\`:                     "unexpected end at byte 2",
		`"\x"`:                   "bad escape in a string at byte 1",
		`"\u12g4"`:               "bad escape in a string at byte 1",
		`"\u12`:                  "bad escape in a string at byte 1",
		"\"a\nb\"":               "control character in a string at byte 2",
		"\"\xff\"":               "invalid UTF-8 at byte 1",
		"\"\xed\xa0\x80\"":       "invalid UTF-8 at byte 1",
		"tru":                    "unexpected word at byte 0",
		"nul1":                   "unexpected word at byte 0",
		"-":                      "unexpected end at byte 1",
		"-x":                     "bad number at byte 1",
		"01":                     "leading zero in a number at byte 0",
		"1.":                     "unexpected end at byte 2",
		"1.x":                    "bad number at byte 2",
		"1e":                     "unexpected end at byte 2",
		"1e+x":                   "bad number at byte 3",
		"1 2":                    "text behind the value at byte 2",
		"\ufeff1":                "unexpected character at byte 0",
		strings.Repeat("[", 1e5): "nesting is too deep at byte 1000",
		strings.Repeat(`{"":`, jsvalue.MaxDepth+1): "nesting is too deep at byte 4000",
	} {
		if v, err := jsvalue.Parse([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("Parse(%.20q) = %q, %v, want error %q", in, v, err, want)
		}
	}
	deep := strings.Repeat("[", jsvalue.MaxDepth) + strings.Repeat("]", jsvalue.MaxDepth)
	if v, err := jsvalue.Parse([]byte(deep)); err != nil || string(jsvalue.AppendPrinted(nil, v)) != deep {
		t.Errorf("nesting of %d is not kept: %v", jsvalue.MaxDepth, err)
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct {
		kind   jsvalue.Kind
		truthy bool
	}{
		"":      {jsvalue.KindUndefined, false},
		"null":  {jsvalue.KindNull, false},
		"true":  {jsvalue.KindBool, true},
		"false": {jsvalue.KindBool, false},
		"0":     {jsvalue.KindNumber, false},
		"-2.5":  {jsvalue.KindNumber, true},
		`""`:    {jsvalue.KindString, false},
		`"0"`:   {jsvalue.KindString, true},
		"[]":    {jsvalue.KindArray, true},
		"{}":    {jsvalue.KindObject, true},
	} {
		v := jsvalue.Value(in)
		if v.Kind() != want.kind || v.Truthy() != want.truthy {
			t.Errorf("%q: kind %d, truthy %v; want %v", in, v.Kind(), v.Truthy(), want)
		}
	}
	v, err := jsvalue.Parse([]byte("\t{ \"a\" : [ 1 , \"x\\u00e9\" , { } ] , \"b\" : null, \"a\" : [ 2 ] } "))
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for name, m := range v.Members() {
		seen = append(seen, name+"="+string(m))
		if m.Kind() == jsvalue.KindArray {
			for e := range m.Elements() {
				seen = append(seen, string(e))
			}
		}
	}
	want := `a=[ 1 , "x\u00e9" , { } ]|1|"x\u00e9"|{ }|b=null|a=[ 2 ]|2`
	if got := strings.Join(seen, "|"); got != want {
		t.Errorf("walked %s\nwant   %s", got, want)
	}
	for range v.Members() {
		break
	}
	for range v.Member("a").Elements() {
		break
	}
	if got := v.Member("a"); string(got) != "[ 2 ]" {
		t.Errorf("of two members a the last counts, got %s", got)
	}
	if !v.Member("b").IsNull() || v.Member("c") != nil {
		t.Error("b is null and c is absent")
	}
	text := jsvalue.Value(`"a\"\\\/\b\f\n\r\t\u0041\ud83d\ude00"`)
	if got, want := text.Text(), "a\"\\/\b\f\n\r\tA😀"; got != want || string(text.AppendText([]byte("x"))) != "x"+want {
		t.Errorf("text = %q, want %q", got, want)
	}
	if got := string(jsvalue.Value(`"ab"`).AppendText([]byte("x"))); got != "xab" {
		t.Errorf("text = %q", got)
	}
}

func TestAppendNumber(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		f    float64
		want string
	}{
		{math.NaN(), "null"},
		{math.Inf(-1), "null"},
		{math.Copysign(0, -1), "0"},
		{1e21, "1e+21"},
		{1.5e300, "1.5e+300"},
		{123e-9, "1.23e-7"},
		{0.00001, "0.00001"},
		{-12345678901234567890, "-12345678901234567000"},
	} {
		if got := string(jsvalue.AppendNumber(nil, c.f)); got != c.want {
			t.Errorf("%v printed as %s, want %s", c.f, got, c.want)
		}
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	text := []byte(`{"1":"one","a":{"x":[1,2]},"b":"t\"","c":null}`)
	o, err := jsvalue.ParseObject(text)
	if err != nil {
		t.Fatal(err)
	}
	if &o.Text()[0] != &text[0] {
		t.Error("text in printed form was copied")
	}
	if got := string(o.Get("a")); got != `{"x":[1,2]}` {
		t.Errorf("a = %s", got)
	}
	if o.Get("x") != nil || o.Find("x") != -1 || o.Find("c") != 3 || o.Len() != 4 {
		t.Error("wrong members")
	}
	if name, v := o.At(2); name != "b" || v.Text() != `t"` {
		t.Errorf("third member is %s: %s", name, v)
	}

	for in, want := range map[string]string{
		` {"a":1}`:                       `{"a":1}`,
		`{"a":1,"b":2,"a":3}`:            `{"a":3,"b":2}`,
		`{"\u0061":1, "x\ny":2}`:         `{"a":1,"x\ny":2}`,
		`{"b":[{"y":1,"0":[ ]}],"7":{}}`: `{"7":{},"b":[{"0":[],"y":1}]}`,
		"{ }":                            "{}",
	} {
		o, err := jsvalue.ParseObject([]byte(strings.ReplaceAll(in, `\n`, `\u000a`)))
		if err != nil || string(o.Text()) != want {
			t.Errorf("%s parsed as %s (%v), want %s", in, o.Text(), err, want)
			continue
		}
		for i := range o.Len() {
			name, v := o.At(i)
			if string(o.Get(name)) != string(v) {
				t.Errorf("%s: Get(%q) = %s, want %s", want, name, o.Get(name), v)
			}
		}
	}

	for _, in := range []string{"[]", "5", `"x"`, "null"} {
		if _, err := jsvalue.ParseObject([]byte(in)); err != jsvalue.ErrNotObject {
			t.Errorf("ParseObject(%s): %v, want ErrNotObject", in, err)
		}
	}
	if _, err := jsvalue.ParseObject([]byte("{")); err == nil {
		t.Error("ParseObject accepts {")
	}
}

func TestAppendEdited(t *testing.T) {
	t.Parallel()
	o, err := jsvalue.ParseObject([]byte(`{"a":1,"b":2,"c":3}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		edits []jsvalue.Edit
		want  string
	}{
		{nil, `{"a":1,"b":2,"c":3}`},
		{[]jsvalue.Edit{{"b", jsvalue.Value(`"x"`)}}, `{"a":1,"b":"x","c":3}`},
		{[]jsvalue.Edit{{"a", nil}, {"d", jsvalue.Value("4")}, {"e", nil}}, `{"b":2,"c":3,"d":4}`},
		{[]jsvalue.Edit{{"a", nil}, {"b", nil}, {"c", nil}}, `{}`},
		{[]jsvalue.Edit{{"c", jsvalue.Null}, {"z", jsvalue.Null}}, `{"a":1,"b":2,"c":null,"z":null}`},
	} {
		if got := string(o.AppendEdited([]byte("<"), c.edits)); got != "<"+c.want {
			t.Errorf("%v: got %s, want <%s", c.edits, got, c.want)
		}
	}
	empty, _ := jsvalue.ParseObject([]byte("{}"))
	if got := string(empty.AppendEdited(nil, []jsvalue.Edit{{"x", jsvalue.Null}})); got != `{"x":null}` {
		t.Errorf("got %s", got)
	}
}

// FuzzParse compares with encoding/json what is JSON, and checks that printing gives a text that is printed already and
// stands for the same value.
func FuzzParse(f *testing.F) {
	for _, c := range lines[stringified](f, "testdata/stringify.jsonl") {
		f.Add([]byte(c.In))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, printed, err := jsvalue.ParsePrinted(text)
		if valid := json.Valid(text); valid != (err == nil) {
			// encoding/json lets invalid UTF-8 pass, and nests as deep as we do.
			if err == nil || utf8.Valid(text) {
				t.Fatalf("%q: valid JSON is %v, but: %v", text, valid, err)
			}
		}
		if err != nil {
			return
		}
		out := jsvalue.AppendPrinted(nil, v)
		if printed != bytes.Equal(out, v) {
			t.Fatalf("%q: printed = %v, but it prints as %q", text, printed, out)
		}
		clean := jsvalue.Sanitize(out)
		again, printed, err := jsvalue.ParsePrinted(clean)
		if err != nil {
			t.Fatalf("%q prints as %q: %v", text, out, err)
		}
		if !bytes.Equal(clean, out) {
			return // a lone surrogate: names that differ in surrogates only may have become equal
		}
		if !printed || !bytes.Equal(jsvalue.AppendPrinted(nil, again), out) {
			t.Fatalf("%q prints as %q, which prints as %q", text, out, jsvalue.AppendPrinted(nil, again))
		}
		if o, err := jsvalue.ParseObject(text); err == nil && !bytes.Equal(o.Text(), out) {
			t.Fatalf("%q: object text %q, want %q", text, o.Text(), out)
		}
	})
}

// A value as a stock client sends it: about 500 bytes, in printed form.
var plainValue = []byte(`{"uuid":"c6b8f3a2-0d3c-4f0e-9c38-2f6a8f1f5a10","alias":"web01","owner_uuid":"930896af-bf8c-48d4-885c-6573a94b1853",` +
	`"brand":"joyent-minimal","state":"running","server_uuid":"44454c4c-5400-1034-8053-b5c04f383432","max_physical_memory":1024,"ram":1024,` +
	`"quota":25,"cpu_cap":100,"create_timestamp":1560000000000,"destroyed":"","docker":true,"tags":"-role=web--smoke=%b{true}-",` +
	`"nics":[{"mac":"90:b8:d0:12:34:56","ip":"10.0.0.5","primary":true}],"load":0.25,"data_version":1}`)

func BenchmarkParseObject(b *testing.B) {
	b.SetBytes(int64(len(plainValue)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jsvalue.ParseObject(plainValue); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.SetBytes(int64(len(plainValue)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jsvalue.Parse(plainValue); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEtag(b *testing.B) {
	b.SetBytes(int64(len(plainValue)))
	b.ReportAllocs()
	for b.Loop() {
		jsvalue.Etag(plainValue)
	}
}
