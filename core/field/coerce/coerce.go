// Package coerce converts and orders JSON values as JavaScript's operators do: String(v), Number(v), parseFloat, and the
// comparison of values of different kinds. Columns are filled and filters are matched by these rules, because the original
// Moray did both in JavaScript. The rules are those of ECMA-262.
//
// Values must be in printed form, see [jsvalue.AppendPrinted]: a number is already the text that JavaScript makes of it.
// The package does not know of types, columns or filters.
package coerce

import (
	"bytes"
	"math"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// text is a string or the bytes of one.
type text interface{ ~string | ~[]byte }

const objectString = "[object Object]"

// AppendString appends String(v): the text of a string, numbers and words as they are printed, [object Object], and the
// elements of an array with commas between them. Nested arrays are flattened, and null among their elements is nothing. A nil
// Value is "undefined".
func AppendString(dst []byte, v jsvalue.Value) []byte {
	switch v.Kind() {
	case jsvalue.KindString:
		return v.AppendText(dst)
	case jsvalue.KindArray:
		return appendArray(dst, v)
	case jsvalue.KindObject:
		return append(dst, objectString...)
	case jsvalue.KindUndefined:
		return append(dst, "undefined"...)
	}
	return append(dst, v...)
}

// appendArray walks the text once and not the nesting: inner brackets add nothing to the result, and recursion would visit
// the innermost values once for every level.
func appendArray(dst []byte, v jsvalue.Value) []byte {
	for i := 0; i < len(v); {
		switch v[i] {
		case '"':
			end := skipString(v, i)
			dst = v[i:end].AppendText(dst)
			i = end
		case '{':
			dst = append(dst, objectString...)
			i = skipObject(v, i)
		case 'n':
			i += len("null")
		case '[', ']':
			i++
		default: // a comma, or a byte of a number, true or false
			dst = append(dst, v[i])
			i++
		}
	}
	return dst
}

// skipString returns the end of the string that starts at i.
func skipString(v jsvalue.Value, i int) int {
	for i++; v[i] != '"'; i++ {
		if v[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipObject returns the end of the object that starts at i.
func skipObject(v jsvalue.Value, i int) int {
	for depth := 0; ; {
		switch v[i] {
		case '"':
			i = skipString(v, i)
			continue
		case '{':
			depth++
		case '}':
			depth--
		}
		i++
		if depth == 0 {
			return i
		}
	}
}

// Number returns Number(v); it is NaN for what is no number, and for a nil Value.
func Number(v jsvalue.Value) float64 {
	switch v.Kind() {
	case jsvalue.KindNumber:
		return v.Float()
	case jsvalue.KindNull:
		return 0
	case jsvalue.KindBool:
		if v.IsTrue() {
			return 1
		}
		return 0
	case jsvalue.KindString, jsvalue.KindArray:
		var buf [64]byte
		return ParseNumber(AppendString(buf[:0], v))
	}
	return math.NaN()
}

// ParseNumber returns Number(s) of a string: 0 if it is blank, NaN if it is not a number as a whole. Besides decimals it reads
// 0x1f, 0o17 and 0b11.
func ParseNumber[S text](s S) float64 {
	digits := bytes.TrimFunc([]byte(s), blank)
	if len(digits) == 0 {
		return 0
	}
	if base := radix(digits); base != 0 {
		return parseDigits(digits[2:], base)
	}
	if f, length := decimal(digits); length == len(digits) {
		return f
	}
	return math.NaN()
}

// ParseFloat returns parseFloat(s): the longest decimal number at the start of s, after blanks, or NaN if there is none.
func ParseFloat[S text](s S) float64 {
	f, _ := decimal(bytes.TrimLeftFunc([]byte(s), blank))
	return f
}

// blank reports whether JavaScript takes r for white space.
func blank(r rune) bool {
	return r == '\ufeff' || r != '\u0085' && unicode.IsSpace(r)
}

func radix(s []byte) int {
	if len(s) < 3 || s[0] != '0' {
		return 0
	}
	switch s[1] | 0x20 {
	case 'x':
		return 16
	case 'o':
		return 8
	case 'b':
		return 2
	}
	return 0
}

func parseDigits(s []byte, base int) float64 {
	var f float64
	for _, c := range s {
		digit, err := strconv.ParseUint(string(rune(c)), base, 8)
		if err != nil {
			return math.NaN()
		}
		f = f*float64(base) + float64(digit)
	}
	return f
}

// decimal reads the longest decimal number at the start of s and returns its length too: a sign, then Infinity or digits with
// a fraction and an exponent. Without one it returns NaN and 0.
func decimal(s []byte) (f float64, length int) {
	i := 0
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	if bytes.HasPrefix(s[i:], []byte("Infinity")) {
		i += len("Infinity")
	} else if i = skipDecimal(s, i); i < 0 {
		return math.NaN(), 0
	}
	f, _ = strconv.ParseFloat(string(s[:i]), 64) // out of range gives an infinity, as in JavaScript
	return f, i
}

// skipDecimal returns the end of the unsigned decimal number that starts at i, or -1.
func skipDecimal(s []byte, i int) int {
	whole := skipDigits(s, i)
	end := whole
	if whole < len(s) && s[whole] == '.' {
		end = skipDigits(s, whole+1)
		if end == whole+1 && whole == i { // a dot alone
			return -1
		}
	} else if whole == i {
		return -1
	}
	if end < len(s) && s[end]|0x20 == 'e' {
		exponent := end + 1
		if exponent < len(s) && (s[exponent] == '+' || s[exponent] == '-') {
			exponent++
		}
		if last := skipDigits(s, exponent); last > exponent {
			end = last
		}
	}
	return end
}

func skipDigits(s []byte, i int) int {
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	return i
}

// AppendNumber appends String(f); unlike [jsvalue.AppendNumber] it writes NaN and Infinity.
func AppendNumber(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	return jsvalue.AppendNumber(dst, f)
}

// CompareText orders v and a string as v < s and v > s do: strings by UTF-16 units; everything else as numbers, objects and
// arrays by their string form. The result is negative, 0 or positive; ok is false if they have no order (a side is NaN, or v
// is nil).
func CompareText(v jsvalue.Value, s string) (order int, ok bool) {
	switch v.Kind() {
	case jsvalue.KindUndefined:
		return 0, false
	case jsvalue.KindString, jsvalue.KindArray, jsvalue.KindObject:
		var buf [64]byte
		return compareUnits(AppendString(buf[:0], v), s), true
	}
	return CompareNumber(v, ParseNumber(s))
}

// CompareNumber orders v and a number as v < f and v > f do. See [CompareText].
func CompareNumber(v jsvalue.Value, f float64) (order int, ok bool) {
	switch n := Number(v); {
	case n < f:
		return -1, true
	case n > f:
		return 1, true
	default:
		return 0, n == f
	}
}

// compareUnits orders strings in UTF-8 by their UTF-16 units. That is the order of their bytes, but for one thing: U+E000 to
// U+FFFF come after the characters beyond U+FFFF, which are pairs of surrogates.
func compareUnits(a []byte, b string) int {
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x >= utf8.RuneSelf && y >= utf8.RuneSelf {
			x, y = unitOrder(x), unitOrder(y)
		}
		return int(x) - int(y)
	}
	return len(a) - len(b)
}

// unitOrder maps the first bytes of U+E000 to U+FFFF, 0xEE and 0xEF, behind those of longer sequences.
func unitOrder(lead byte) byte {
	if lead == 0xEE || lead == 0xEF {
		return lead + 0x10
	}
	return lead
}
