package field_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/field"
	"github.com/kaizengarden/moray/core/jsvalue"
)

func TestAppendJSON(t *testing.T) {
	t.Parallel()
	for _, line := range lines(t, "columns.txt") {
		typ, column, want := mustType(t, line[0]), unquote(line[1]), line[2]
		got, err := typ.AppendJSON([]byte("before "), []byte(column))
		if want == "error" {
			if err == nil {
				t.Errorf("%s from %q: %s, want an error", typ, column, got)
			} else if !strings.Contains(err.Error(), typ.Column()) {
				t.Errorf("%s from %q: error %q does not name the column's type", typ, column, err)
			}
		} else if want = "before " + want; err != nil || string(got) != want {
			t.Errorf("%s from %q: %s, error %v, want %s", typ, column, got, err, want)
		}
	}
}

func FuzzAppendJSON(f *testing.F) {
	for _, line := range lines(f, "columns.txt") {
		f.Add(unquote(line[1]))
	}
	f.Fuzz(func(t *testing.T, column string) {
		column = strings.ToValidUTF8(column, "?") // as all text of PostgreSQL is
		for _, typ := range append(every(t), field.BigInt, field.Integer) {
			text, err := typ.AppendJSON(nil, []byte(column))
			if err != nil {
				continue
			}
			if _, printed, err := jsvalue.ParsePrinted(text); err != nil || !printed || !json.Valid(text) {
				t.Errorf("%s from %q: %s, which is not printed JSON: %v", typ, column, text, err)
			}
		}
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	for name, column := range map[string]string{
		"string": "de305d54-75b4", "number": "42", "[string]": `{a,"b c"}`,
		"date": "2020-01-02 03:04:05.678+00", "ip": "10.1.2.3", "boolean": "t",
	} {
		typ, column := mustType(b, name), []byte(column)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst, _ = typ.AppendJSON(dst[:0], column)
			}
		})
	}
}
