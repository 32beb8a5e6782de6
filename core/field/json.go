package field

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/kaizengarden/moray/core/jsvalue"
)

var errText = errors.New("unexpected text")

// AppendJSON appends the JSON value that an object record shows for column, the text of a column of type t that is not NULL.
// Numbers are doubles, as JavaScript prints them; NaN and infinities are null, and so are infinite dates. An error means that
// column is not as PostgreSQL prints that type; then what was appended to dst is of no use.
func (t Type) AppendJSON(dst, column []byte) ([]byte, error) {
	var err error
	if t.Array() {
		dst, err = AppendJSONArray(dst, column, t.Elem().appendJSON)
	} else {
		dst, err = t.appendJSON(dst, column)
	}
	if err != nil {
		return dst, fmt.Errorf("read %.80q as %s: %w", column, t.Column(), err)
	}
	return dst, nil
}

// appendJSON appends the value of a column or an array element of type t, which is not an array type.
func (t Type) appendJSON(dst, column []byte) ([]byte, error) {
	switch t {
	case Number, BigInt, Integer:
		return appendJSONNumber(dst, column)
	case Boolean:
		switch string(column) {
		case "t":
			return append(dst, "true"...), nil
		case "f":
			return append(dst, "false"...), nil
		}
		return dst, errText
	case Date:
		if infinite(column) {
			return append(dst, "null"...), nil
		}
		dst, err := appendISO(append(dst, '"'), column)
		return append(dst, '"'), err
	case DateRange:
		return appendJSONDateRange(dst, column)
	}
	return jsvalue.AppendString(dst, column), nil
}

func appendJSONNumber(dst, column []byte) ([]byte, error) {
	if len(column) <= 15 && allDigits(column) && (column[0] != '0' || len(column) == 1) {
		return append(dst, column...), nil
	}
	f, err := strconv.ParseFloat(string(column), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // beyond a double is infinite
		return dst, errText
	}
	return jsvalue.AppendNumber(dst, f), nil
}

func infinite(timestamp []byte) bool {
	return string(bytes.TrimPrefix(timestamp, []byte("-"))) == "infinity"
}

// appendISO appends a finite timestamp as JavaScript's toISOString writes it: the fraction cut to milliseconds, a sign and six
// digits for years outside 0 to 9999.
func appendISO(dst, timestamp []byte) ([]byte, error) {
	const form = "01-02 15:04:05"
	timestamp, bc := bytes.CutSuffix(timestamp, []byte(" BC"))
	timestamp, utc := bytes.CutSuffix(timestamp, []byte("+00"))
	digits, rest, _ := bytes.Cut(timestamp, []byte("-"))
	year, ok := parseDigits(digits)
	if !utc || !ok || len(digits) < 4 || len(digits) > 6 || len(rest) < len(form) {
		return dst, errText
	}
	for i, c := range rest[:len(form)] {
		if digit := form[i]-'0' <= 9; digit != (c-'0' <= 9) || !digit && c != form[i] {
			return dst, errText
		}
	}
	fraction := rest[len(form):]
	if _, _, ok := parseFraction(fraction); !ok {
		return dst, errText
	}
	switch {
	case bc && year > 1:
		dst = fmt.Appendf(dst, "-%06d", year-1)
	case bc:
		dst = append(dst, "0000"...) // 1 BC
	case len(digits) > 4:
		dst = fmt.Appendf(dst, "+%06d", year)
	default:
		dst = append(dst, digits...)
	}
	dst = append(append(dst, '-'), rest[:5]...)
	dst = append(append(dst, 'T'), rest[6:len(form)]...)
	milliseconds := [...]byte{'.', '0', '0', '0', 'Z'}
	copy(milliseconds[:4], fraction)
	return append(dst, milliseconds[:]...), nil
}

// appendJSONDateRange appends a range of timestamps with its bounds in the form of [appendISO]. An infinite bound is shown as
// an absent one.
func appendJSONDateRange(dst, column []byte) ([]byte, error) {
	if string(column) == "empty" {
		return append(dst, `"empty"`...), nil
	}
	lower, upper, ok := splitRange(column)
	if !ok {
		return dst, errText
	}
	dst, err := appendISOBound(append(dst, '"', column[0]), lower)
	if err != nil {
		return dst, err
	}
	dst, err = appendISOBound(append(dst, ','), upper)
	return append(dst, column[len(column)-1], '"'), err
}

func appendISOBound(dst, bound []byte) ([]byte, error) {
	bound = bytes.Trim(bound, `"`)
	if len(bound) == 0 || infinite(bound) {
		return dst, nil
	}
	return appendISO(dst, bound)
}
