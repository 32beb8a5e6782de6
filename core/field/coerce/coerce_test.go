package coerce_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/field/coerce"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// The expectations of this file are what Node.js prints.

func TestAppendString(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]string{
		"":                                "undefined",
		"null":                            "null",
		"true":                            "true",
		"-1.5e+300":                       "-1.5e+300",
		`"a\"\\\u00e9"`:                   `a"\é`,
		"{}":                              "[object Object]",
		"[]":                              "",
		"[null]":                          "",
		`["a",null,[1,[true,{}]],"b,c"]`:  "a,,1,true,[object Object],b,c",
		`[{"a":"}\"{[","b":{"c":[]}},[]]`: "[object Object],",
		`[[[[]]],["\\","\""]]`:            `,\,"`,
	} {
		if got := string(coerce.AppendString([]byte("x"), jsvalue.Value(v))); got != "x"+want {
			t.Errorf("String(%s) = %q, want %q", v, got[1:], want)
		}
	}
}

func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

func TestNumber(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	for v, want := range map[string]float64{
		"": nan, "null": 0, "true": 1, "false": 0, "2.5": 2.5, `"0x10"`: 16, `""`: 0, `"a"`: nan, "{}": nan, "[]": 0, "[5]": 5,
		`[["7"]]`: 7, "[1,2]": nan,
	} {
		if got := coerce.Number(jsvalue.Value(v)); !same(got, want) {
			t.Errorf("Number(%s) = %v, want %v", v, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	for s, want := range map[string]struct{ number, float float64 }{
		"":                  {0, nan},
		" \t\n":             {0, nan},
		"5":                 {5, 5},
		"5.":                {5, 5},
		".5":                {.5, .5},
		".":                 {nan, nan},
		"+":                 {nan, nan},
		"-.":                {nan, nan},
		"+.5e1":             {5, 5},
		"1e":                {nan, 1},
		"1e+":               {nan, 1},
		"1E2":               {100, 100},
		"1e1000":            {inf, inf},
		"1e-1000":           {0, 0},
		"-1e1000x":          {nan, -inf},
		"Infinity":          {inf, inf},
		"-Infinity":         {-inf, -inf},
		"Infinityx":         {nan, inf},
		"infinity":          {nan, nan},
		"NaN":               {nan, nan},
		"0x10":              {16, 0},
		" 0x1F ":            {31, 0},
		"0XfF":              {255, 0},
		"0b11":              {3, 0},
		"0o17":              {15, 0},
		"0x":                {nan, 0},
		"0xg":               {nan, 0},
		"0b2":               {nan, 0},
		"0xé":               {nan, 0},
		"-0x1":              {nan, 0},
		"0x1p3":             {nan, 0},
		"1_0":               {nan, 1},
		"00012":             {12, 12},
		"1 2":               {nan, 1},
		"\ufeff5\u2028":     {5, 5},
		"\u00a0\u30005\v\f": {5, 5},
		"\u00855":           {nan, nan},
		"0x20000000000000":  {1 << 53, 0},
	} {
		if got := coerce.ParseNumber(s); !same(got, want.number) {
			t.Errorf("Number(%q) = %v, want %v", s, got, want.number)
		}
		if got := coerce.ParseFloat([]byte(s)); !same(got, want.float) {
			t.Errorf("parseFloat(%q) = %v, want %v", s, got, want.float)
		}
	}
}

func TestAppendNumber(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]float64{
		"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1), "0": math.Copysign(0, -1), "1e+21": 1e21, "1.5": 1.5,
	} {
		if got := string(coerce.AppendNumber([]byte("x"), f)); got != "x"+want {
			t.Errorf("String(%v) = %s, want %s", f, got[1:], want)
		}
	}
}

func TestCompareText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ v, s, want string }{
		{`"a"`, "a", "="},
		{`"a"`, "b", "<"},
		{`"b"`, "a", ">"},
		{`"a"`, "", ">"},
		{`"a"`, "ab", "<"},
		{`"10"`, "9", "<"},
		{`"é"`, "e", ">"},
		{`"日"`, "é", ">"},
		{`"\uffff"`, "😀", ">"}, // by UTF-16 units; by bytes it would come before
		{`"😀"`, "\uee00", "<"},
		{`"\ue000"`, "\ud7ff", ">"},
		{`"😀"`, "😁", "<"},
		{"5", "5", "="},
		{"10", "9", ">"},
		{"5", "0x6", "<"},
		{"5", "five", "none"},
		{"5", "", ">"},
		{"true", "1", "="},
		{"false", "true", "none"},
		{"null", "0", "="},
		{"null", "-1", ">"},
		{"null", "x", "none"},
		{"", "x", "none"},
		{"{}", "[object Object]", "="},
		{"{}", "a", "<"},
		{`["a","b"]`, "a,b", "="},
		{"[5]", "10", ">"}, // "5" and "10"
	} {
		if got := orderOf(coerce.CompareText(jsvalue.Value(c.v), c.s)); got != c.want {
			t.Errorf("%s %s %q, want %s", c.v, got, c.s, c.want)
		}
	}
}

func orderOf(order int, ok bool) string {
	switch {
	case !ok:
		return "none"
	case order < 0:
		return "<"
	case order > 0:
		return ">"
	}
	return "="
}

// recorded is a value, a string and a number, and what Node.js made of them: String(v), Number(v), parseFloat(v), v >= s,
// v <= s, v >= f and v <= f.
type recorded struct {
	V, F                  json.RawMessage
	S                     string
	String, Number, Float string
	GE, LE, GEF, LEF      bool
}

func TestRecorded(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/node.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
		var r recorded
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		v := jsvalue.Value(r.V)
		if got := string(coerce.AppendString(nil, v)); got != r.String {
			t.Errorf("String(%s) = %q, want %q", v, got, r.String)
		}
		if got := string(coerce.AppendNumber(nil, coerce.Number(v))); got != r.Number {
			t.Errorf("Number(%s) = %s, want %s", v, got, r.Number)
		}
		if got := string(coerce.AppendNumber(nil, coerce.ParseFloat(r.String))); got != r.Float {
			t.Errorf("parseFloat(%s) = %s, want %s", v, got, r.Float)
		}
		order, ok := coerce.CompareText(v, r.S)
		if ge, le := ok && order >= 0, ok && order <= 0; ge != r.GE || le != r.LE {
			t.Errorf("%s and %q: >= %v, <= %v, want %v, %v", v, r.S, ge, le, r.GE, r.LE)
		}
		order, ok = coerce.CompareNumber(v, jsvalue.Value(r.F).Float())
		if ge, le := ok && order >= 0, ok && order <= 0; ge != r.GEF || le != r.LEF {
			t.Errorf("%s and %s: >= %v, <= %v, want %v, %v", v, r.F, ge, le, r.GEF, r.LEF)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"5", "-.5e1", "0x1F", "Infinity", " 1e", "0b1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		number, float := coerce.ParseNumber(s), coerce.ParseFloat(s)
		// What is a decimal number as a whole begins with that number.
		if !math.IsNaN(number) && strings.TrimSpace(s) != "" && !strings.ContainsAny(s, "xXoObB\ufeff") && number != float {
			t.Errorf("Number(%q) = %v, parseFloat = %v", s, number, float)
		}
		printed := string(coerce.AppendNumber(nil, float))
		if again := coerce.ParseFloat(printed); !same(again, float) {
			t.Errorf("%q is %v, printed as %s, and that is %v", s, float, printed, again)
		}
	})
}
