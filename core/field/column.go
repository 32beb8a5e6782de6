package field

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/kaizengarden/moray/core/field/coerce"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// ErrType is returned for a value that cannot be of the type in question.
var ErrType = errors.New("value is not of the type")

// AppendColumn appends the text of a column of type t for v, a JSON value in printed form that is neither absent nor null:
// those are NULL, which has no text. The text is valid UTF-8; PostgreSQL can still refuse it (U+0000, a range whose bounds are
// in the wrong order, a year before 1). The error is [ErrType]; then what was appended to dst is of no use.
//
// An array under a type that is not an array type is taken by its JavaScript string form, and any other value under an array
// type stands for an array of one.
func (t Type) AppendColumn(dst []byte, v jsvalue.Value) ([]byte, error) {
	if t.Array() {
		return t.Elem().appendArray(dst, v)
	}
	return t.appendValue(dst, v)
}

// appendArray appends the array literal of v's elements, each of type t.
func (t Type) appendArray(dst []byte, v jsvalue.Value) ([]byte, error) {
	dst = append(dst, '{')
	if v.Kind() != jsvalue.KindArray {
		dst, err := t.appendElement(dst, v)
		return append(dst, '}'), err
	}
	first := true
	for e := range v.Elements() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		var err error
		if dst, err = t.appendElement(dst, e); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// appendElement appends v as an element of an array literal. Only strings need quotes, and always have them.
func (t Type) appendElement(dst []byte, v jsvalue.Value) ([]byte, error) {
	switch {
	case t != String:
		return t.appendValue(dst, v)
	case v.IsNull():
		return append(dst, "NULL"...), nil
	}
	return appendQuoted(dst, v), nil
}

// appendQuoted appends the string form of v as a quoted element of an array literal.
func appendQuoted(dst []byte, v jsvalue.Value) []byte {
	var buf [64]byte
	dst = append(dst, '"')
	for _, c := range appendString(buf[:0], v) {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// appendString appends the string form of v with U+FFFD for lone surrogates, which PostgreSQL does not take.
func appendString(dst []byte, v jsvalue.Value) []byte {
	start := len(dst)
	dst = coerce.AppendString(dst, v)
	return append(dst[:start], jsvalue.Sanitize(dst[start:])...)
}

// appendValue appends v as a value of t, which is not an array type.
func (t Type) appendValue(dst []byte, v jsvalue.Value) ([]byte, error) {
	kind := v.Kind()
	switch t {
	case String:
		return appendString(dst, v), nil
	case Number:
		if kind == jsvalue.KindNumber {
			return append(dst, v...), nil
		}
	case IP:
		if a, ok := ipOf(v); ok {
			return a.appendTo(dst), nil
		}
		return dst, ErrType
	case Subnet:
		if n, ok := networkOf(v); ok {
			return n.appendTo(dst), nil
		}
		return dst, ErrType
	case MAC:
		if mac, ok := macOf(v); ok {
			return appendMAC(dst, mac), nil
		}
		return dst, ErrType
	}
	var buf [64]byte
	text := coerce.AppendString(buf[:0], v)
	if (t == NumRange || t == UUID) && kind == jsvalue.KindArray {
		return t.appendUnread(dst, v, text)
	}
	return t.appendText(dst, text)
}

// appendUnread appends an array whose string form, text, is of type t: PostgreSQL was sent the array all the same, and its
// complaint is what the client sees.
func (t Type) appendUnread(dst []byte, v jsvalue.Value, text []byte) ([]byte, error) {
	if _, err := t.appendText(nil, text); err != nil {
		return dst, err
	}
	return String.appendArray(dst, v)
}

// appendText appends the normal form of text as a value of t, which is not an array type.
func (t Type) appendText(dst, text []byte) ([]byte, error) {
	switch t {
	case String:
		return append(dst, jsvalue.Sanitize(text)...), nil
	case Number:
		return coerce.AppendNumber(dst, coerce.ParseFloat(text)), nil
	case Boolean:
		switch {
		case bytes.EqualFold(text, []byte("true")):
			return append(dst, "TRUE"...), nil
		case bytes.EqualFold(text, []byte("false")):
			return append(dst, "FALSE"...), nil
		}
	case Date:
		return appendDate(dst, text)
	case DateRange:
		return appendDateRange(dst, text)
	case NumRange:
		if validNumRange(text) {
			return append(dst, text...), nil
		}
	case IP:
		if a, ok := parseAddress(text); ok {
			return a.appendTo(dst), nil
		}
	case Subnet:
		if n, ok := parseNetwork(text); ok {
			return n.appendTo(dst), nil
		}
	case MAC:
		if mac, ok := parseMAC(text); ok {
			return appendMAC(dst, mac), nil
		}
	case UUID:
		if validUUID(text) {
			return append(dst, text...), nil
		}
	case BigInt, Integer:
		return t.appendInteger(dst, text)
	}
	return dst, ErrType
}

// appendInteger appends the number that text begins with, which must be an integer of t's column, BIGINT or INTEGER.
func (t Type) appendInteger(dst, text []byte) ([]byte, error) {
	bits := 64
	if t == Integer {
		bits = 32
	}
	start := len(dst)
	dst = coerce.AppendNumber(dst, coerce.ParseFloat(text))
	if _, err := strconv.ParseInt(string(dst[start:]), 10, bits); err != nil {
		return dst, ErrType
	}
	return dst, nil
}
