package field_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/kaizengarden/moray/core/field"
	"github.com/kaizengarden/moray/core/jsvalue"
)

func TestAppendColumn(t *testing.T) {
	t.Parallel()
	for _, line := range lines(t, "values.txt") {
		typ, value, want := mustType(t, line[0]), printed(t, line[1]), line[2]
		got, err := typ.AppendColumn([]byte("before "), value)
		if want == "error" {
			if !errors.Is(err, field.ErrType) {
				t.Errorf("%s of %s: %q, error %v, want ErrType", typ, value, got, err)
			}
		} else if want := "before " + unquote(want); err != nil || string(got) != want {
			t.Errorf("%s of %s: %q, error %v, want %q", typ, value, got, err, want)
		}
	}
}

func TestAppendColumnOfControlCharacters(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`"\n\t\u0000\u2028"`: "\n\t\x00\u2028",
		`["\n",["\b"]]`:      "\n,\b",
	} {
		if got, err := field.String.AppendColumn(nil, printed(t, value)); err != nil || string(got) != want {
			t.Errorf("string of %s: %q, error %v, want %q", value, got, err, want)
		}
	}
}

// recorded is a line of recorded.jsonl: what the original Moray (server 2.6.1) answered to a put, or to a get after it.
type recorded struct {
	Type  string
	Put   json.RawMessage
	Got   json.RawMessage
	Error string // the type in the message of its InvalidIndexTypeError
}

func recordings(t testing.TB) (all []recorded) {
	t.Helper()
	text, err := os.ReadFile("testdata/recorded.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
		var one recorded
		if err := d.Decode(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

func TestRecordedErrors(t *testing.T) {
	t.Parallel()
	for _, r := range recordings(t) {
		typ := mustType(t, r.Type)
		text, err := typ.AppendColumn(nil, printed(t, string(r.Put)))
		switch {
		case r.Error == "" && err != nil:
			t.Errorf("%s of %s: error %v", typ, r.Put, err)
		case r.Error != "" && (!errors.Is(err, field.ErrType) || typ.Elem().String() != r.Error):
			t.Errorf("%s of %s: %q, error %v, want one about the type %s", typ, r.Put, text, err, r.Error)
		}
	}
}

// Time must grow with the length of a value, not with its square: nesting as deep as can be parsed, many times over.
func TestDeepNesting(t *testing.T) {
	t.Parallel()
	chain := strings.Repeat("[", jsvalue.MaxDepth-1) + strings.Repeat("]", jsvalue.MaxDepth-1)
	value, err := jsvalue.Parse([]byte("[" + strings.Repeat(chain+",", 100) + chain + "]"))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for _, typ := range every(t) {
		got, err := typ.AppendColumn(nil, value)
		if accepts := typ.Elem() == field.String || typ.Elem() == field.Number; (err == nil) != accepts {
			t.Errorf("%s of deep nesting: %.20q, error %v", typ, got, err)
		}
	}
	if spent := time.Since(start); spent > 10*time.Second {
		t.Errorf("%d bytes took %v", len(value), spent)
	}
}

func FuzzAppendColumn(f *testing.F) {
	for _, line := range lines(f, "values.txt") {
		f.Add(line[1])
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := jsvalue.Parse([]byte(text))
		if err != nil || v.IsNull() {
			return
		}
		v = jsvalue.AppendPrinted(nil, v)
		for _, typ := range every(t) {
			column, err := typ.AppendColumn(nil, v)
			if err != nil {
				continue
			}
			if !utf8.Valid(column) {
				t.Errorf("%s of %s: %q is not UTF-8", typ, v, column)
			}
			if typ.Array() || typ == field.String {
				continue
			}
			// What is in normal form stays as it is. (Arrays are sent as they are under numrange and uuid.)
			again, err := typ.AppendColumn(nil, jsvalue.AppendString(nil, column))
			if v.Kind() != jsvalue.KindArray && (err != nil || !bytes.Equal(again, column)) && !beyondDate(typ, column) {
				t.Errorf("%s of %s: %q, and of that %q, error %v", typ, v, column, again, err)
			}
		}
	})
}

// beyondDate reports whether a date is outside the years whose normal form is one that is read.
func beyondDate(typ field.Type, column []byte) bool {
	return (typ == field.Date || typ == field.DateRange) && (bytes.Contains(column, []byte("10000-")) || bytes.Contains(column, []byte("-0")))
}

func BenchmarkAppendColumn(b *testing.B) {
	for name, text := range map[string]string{
		"string": `"de305d54-75b4"`, "number": "42", "[string]": `["a","b"]`,
		"date": `"2020-01-02T03:04:05.678Z"`, "ip": `"10.1.2.3"`, "boolean": "true",
	} {
		typ, v := mustType(b, name), printed(b, text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst, _ = typ.AppendColumn(dst[:0], v)
			}
		})
	}
}
