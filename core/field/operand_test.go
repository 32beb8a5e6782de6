package field_test

import (
	"errors"
	"testing"

	"github.com/kaizengarden/moray/core/field"
	"github.com/kaizengarden/moray/core/jsvalue"
)

func mustOperand(t testing.TB, typ field.Type, text string) field.Operand {
	t.Helper()
	o, err := typ.ParseOperand(text)
	if err != nil {
		t.Fatalf("%s operand %q: %v", typ, text, err)
	}
	return o
}

func TestParseOperand(t *testing.T) {
	t.Parallel()
	for _, line := range lines(t, "operands.txt") {
		typ, text, want := mustType(t, line[0]), unquote(line[1]), line[2]
		o, err := typ.ParseOperand(text)
		if want == "error" {
			if !errors.Is(err, field.ErrType) {
				t.Errorf("%s operand %q: %q, error %v, want ErrType", typ, text, o.Param(), err)
			}
			continue
		}
		if got := string(o.AppendJSON(nil)); err != nil || got != want {
			t.Errorf("%s operand %q: %s, error %v, want %s", typ, text, got, err, want)
		}
		if v := jsvalue.Value(want); v.Kind() == jsvalue.KindString && o.Param() != v.Text() {
			t.Errorf("%s operand %q: parameter %q, want %s", typ, text, o.Param(), want)
		}
		if o.Array() != typ.Array() || o.Opaque() != typ.Opaque() {
			t.Errorf("%s operand: array %v, opaque %v", typ, o.Array(), o.Opaque())
		}
	}
	for text, want := range map[string]string{"abc": "NaN", "1e400": "Infinity", "-1e400": "-Infinity", "1e21x": "1e+21"} {
		if got := mustOperand(t, field.Number, text).Param(); got != want {
			t.Errorf("number operand %q: parameter %q, want %q", text, got, want)
		}
	}
	if got, want := mustOperand(t, field.String, "x\xed\xa0\x80y").Param(), "x\ufffdy"; got != want {
		t.Errorf("operand with a lone surrogate: parameter %q, want %q", got, want)
	}
}

func TestOperand(t *testing.T) {
	t.Parallel()
	const unordered = "none"
	for _, c := range []struct {
		typ     string
		operand string
		value   string // JSON, "" for an absent member
		equal   bool
		order   string // of the value and the operand
	}{
		{"string", "b", `"b"`, true, "="},
		{"string", "b", `"\u0062"`, true, "="},
		{"string", "b", `"a"`, false, "<"},
		{"string", "b", `"ba"`, false, ">"},
		{"string", "5", "5", false, "="},
		{"string", "true", "true", false, unordered},
		{"string", "5", "null", false, "<"},
		{"string", "5", "", false, unordered},
		{"string", "x", `["x"]`, false, "="}, // an element that is an array
		{"[string]", "b", `"b"`, true, "="},
		{"uuid", "00000000-0000-0000-0000-000000000000", `"00000000-0000-0000-0000-000000000000"`, true, "="},
		{"number", "4", "4", true, "="},
		{"number", "4", "4.0", true, "="},
		{"number", "4", `"4"`, false, "="},
		{"number", "4", `" 0x5 "`, false, ">"},
		{"number", "4", "null", false, "<"},
		{"number", "4", `"x"`, false, unordered},
		{"number", "4", "{}", false, unordered},
		{"number", "4", "[[5]]", false, ">"},
		{"number", "4", "", false, unordered},
		{"number", "abc", "4", false, unordered},
		{"number", "1", "true", false, "="},
		{"bigint", "4", "5", false, ">"},
		{"integer", "4", "4", true, "="},
		{"boolean", "true", "true", true, "="},
		{"boolean", "true", "false", false, "<"},
		{"boolean", "FALSE", "false", true, "="},
		{"boolean", "false", "null", false, "="},
		{"boolean", "true", `"true"`, false, unordered},
		{"boolean", "true", "1", false, "="},
		{"ip", "10.0.0.1", `"10.0.0.1"`, true, "="},
		{"ip", "10.0.0.1", `"010.0.0.1"`, true, "="},
		{"ip", "1.2.3.4", "16909060", true, "="},
		{"ip", "10.0.0.1", `"::1"`, false, ">"},
		{"ip", "::1", `"255.255.255.255"`, false, "<"},
		{"ip", "1.2.3.4", `"::ffff:1.2.3.4"`, false, ">"},
		{"ip", "::ffff:1.2.3.4", `"::ffff:102:304"`, true, "="},
		{"ip", "10.0.0.1", `"10.0.0.1/24"`, false, unordered},
		{"ip", "10.0.0.1", `"x"`, false, unordered},
		{"ip", "10.0.0.1", "null", false, unordered},
		{"[ip]", "10.0.0.1", `"10.0.0.2"`, false, ">"},
		{"subnet", "10.0.0.0/8", `"10.0.0.0/8"`, true, "="},
		{"subnet", "10.0.0.0/8", `"10.9.9.9/8"`, true, "="},
		{"subnet", "10.0.0.0/8", `"10.0.0.0/16"`, false, ">"},
		{"subnet", "10.0.0.0/16", `"10.0.0.0/8"`, false, "<"},
		{"subnet", "10.0.0.0/8", `"::/0"`, false, ">"},
		{"subnet", "10.0.0.0/8", `"9.0.0.0/24"`, false, "<"},
		{"subnet", "10.0.0.0/8", `"10.0.0.0"`, false, unordered},
		{"subnet", "10.0.0.0/8", "10", false, unordered},
		{"mac", "1:2:3:4:5:6", `"01:02:03:04:05:06"`, true, "="},
		{"mac", "1:2:3:4:5:6", `"01:02:03:04:05:07"`, false, ">"},
		{"mac", "0:0:0:0:0:6", "5", false, "<"},
		{"mac", "1:2:3:4:5:6", `"x"`, false, unordered},
	} {
		o := mustOperand(t, mustType(t, c.typ), c.operand)
		v := jsvalue.Value(c.value)
		if got := o.Equal(v); got != c.equal {
			t.Errorf("%s %s = %s: %v, want %v", c.typ, c.value, c.operand, got, c.equal)
		}
		if got := orderOf(o.Compare(v)); got != c.order {
			t.Errorf("%s: the order of %s and %s is %s, want %s", c.typ, c.value, c.operand, got, c.order)
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

// fuzzOperand checks that a parameter in normal form is read as the same operand, and equals itself.
func fuzzOperand(f *testing.F, typ field.Type) {
	for _, line := range lines(f, "operands.txt") {
		f.Add(unquote(line[1]))
	}
	for _, line := range lines(f, "values.txt") {
		if v := jsvalue.Value(line[1]); v.Kind() == jsvalue.KindString {
			f.Add(v.Text())
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := typ.ParseOperand(text)
		if err != nil || beyondDate(typ, []byte(o.Param())) {
			return
		}
		again, err := typ.ParseOperand(o.Param())
		if err != nil || again != o && o.Param() != "NaN" { // NaN is not even equal to itself
			t.Errorf("%s operand %q is %q, and of that %q, error %v", typ, text, o.Param(), again.Param(), err)
		}
		if v := jsvalue.Value(jsvalue.AppendString(nil, o.Param())); typ == field.String || typ == field.UUID || typ == field.IP ||
			typ == field.Subnet || typ == field.MAC {
			if order, ok := o.Compare(v); !o.Equal(v) || !ok || order != 0 {
				t.Errorf("%s operand %q does not equal its parameter %q", typ, text, o.Param())
			}
		}
	})
}

func FuzzString(f *testing.F)    { fuzzOperand(f, field.String) }
func FuzzNumber(f *testing.F)    { fuzzOperand(f, field.Number) }
func FuzzBigInt(f *testing.F)    { fuzzOperand(f, field.BigInt) }
func FuzzBoolean(f *testing.F)   { fuzzOperand(f, field.Boolean) }
func FuzzDate(f *testing.F)      { fuzzOperand(f, field.Date) }
func FuzzDateRange(f *testing.F) { fuzzOperand(f, field.DateRange) }
func FuzzNumRange(f *testing.F)  { fuzzOperand(f, field.NumRange) }
func FuzzIP(f *testing.F)        { fuzzOperand(f, field.IP) }
func FuzzSubnet(f *testing.F)    { fuzzOperand(f, field.Subnet) }
func FuzzMAC(f *testing.F)       { fuzzOperand(f, field.MAC) }
func FuzzUUID(f *testing.F)      { fuzzOperand(f, field.UUID) }
