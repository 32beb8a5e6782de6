package pgstore

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/kaizengarden/moray/core/field"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
)

// layout says how the rows of one result become JSON objects: which column comes where. A JavaScript object puts names that are
// array indexes first, and of equal names keeps the first place and the last value.
type layout struct {
	columns []layoutColumn
	buf     []byte
}

type layoutColumn struct {
	name   []byte // with quotes and colon
	index  int    // in the row
	append func(dst, text []byte) []byte
}

func newLayout(fields []object.Field) *layout {
	// A JavaScript engine's order of the names, told by printing an object whose values are the positions.
	order := []byte{'{'}
	for i, f := range fields {
		if i > 0 {
			order = append(order, ',')
		}
		order = append(jsvalue.AppendString(order, f.Name), ':')
		order = strconv.AppendInt(order, int64(i), 10)
	}
	l := &layout{}
	for name, position := range jsvalue.Value(jsvalue.AppendPrinted(nil, append(order, '}'))).Members() {
		if name == "__proto__" {
			continue // setting it makes no member
		}
		i := int(position.Float())
		l.columns = append(l.columns, layoutColumn{
			name: append(jsvalue.AppendString(nil, name), ':'), index: i, append: converter(fields[i].Type),
		})
	}
	return l
}

// object returns a row as the text of a JSON object, which is valid until the next call.
func (l *layout) object(row object.Row) jsvalue.Value {
	l.buf = append(l.buf[:0], '{')
	for i, c := range l.columns {
		if i > 0 {
			l.buf = append(l.buf, ',')
		}
		l.buf = append(l.buf, c.name...)
		if text := row[c.index]; text == nil {
			l.buf = append(l.buf, "null"...)
		} else {
			l.buf = c.append(l.buf, text)
		}
	}
	l.buf = append(l.buf, '}')
	return l.buf
}

// converters turn the texts of types into JSON, by the types' OIDs. The others are strings as PostgreSQL prints them.
var converters = map[uint32]func(dst, text []byte) []byte{
	16:   typed(field.Boolean),
	17:   appendBuffer, // bytea
	21:   typed(field.Number),
	23:   typed(field.Number),
	26:   typed(field.Number), // oid
	114:  appendDocument,      // json
	600:  appendPoint,
	700:  typed(field.Number), // real
	701:  typed(field.Number), // double precision
	718:  appendCircle,
	1082: appendLocal(" 00:00:00"), // date
	1114: appendLocal(""),          // timestamp
	1184: typed(field.Date),        // timestamptz
	1186: appendInterval,
	1700: typed(field.Number), // numeric
	3802: appendDocument,      // jsonb
	3910: typed(field.DateRange),
}

// arrays are the OIDs of array types, and those of their elements. Arrays of other types are strings.
var arrays = map[uint32]uint32{
	199: 114, 651: 25, 791: 25, 1000: 16, 1001: 17, 1005: 21, 1007: 23, 1009: 25, 1014: 25, 1015: 25, 1016: 25, 1017: 600,
	1021: 700, 1022: 701, 1028: 26, 1040: 25, 1041: 25, 1115: 1114, 1182: 1082, 1183: 25, 1185: 1184, 1231: 1700, 1270: 25,
	2951: 25, 3807: 3802, 3907: 25, 3911: 3910,
}

func converter(oid uint32) func(dst, text []byte) []byte {
	if elem, ok := arrays[oid]; ok {
		element := converter(elem)
		return func(dst, text []byte) []byte {
			start := len(dst)
			dst, err := field.AppendJSONArray(dst, text, func(dst, text []byte) ([]byte, error) { return element(dst, text), nil })
			if err != nil {
				return appendText(dst[:start], text)
			}
			return dst
		}
	}
	if c, ok := converters[oid]; ok {
		return c
	}
	return appendText
}

func appendText(dst, text []byte) []byte { return jsvalue.AppendString(dst, text) }

// typed converts as for a column of an index. A text that no such column can have stays a string.
func typed(t field.Type) func(dst, text []byte) []byte {
	return func(dst, text []byte) []byte {
		start := len(dst)
		dst, err := t.AppendJSON(dst, text)
		if err != nil {
			return appendText(dst[:start], text)
		}
		return dst
	}
}

func appendDocument(dst, text []byte) []byte {
	v, err := jsvalue.Parse(text)
	if err != nil {
		return appendText(dst, text)
	}
	return append(dst, jsvalue.Sanitize(jsvalue.AppendPrinted(nil, v))...)
}

// appendLocal converts a time without a zone, which is one of the server's zone, after adding suffix to it.
func appendLocal(suffix string) func(dst, text []byte) []byte {
	iso := typed(field.Date)
	return func(dst, text []byte) []byte {
		local := string(text)
		if strings.HasSuffix(local, "infinity") {
			return append(dst, "null"...)
		}
		date, era, _ := strings.Cut(local, " BC")
		if date != local {
			era = " BC"
		}
		date += suffix
		if t, err := time.ParseInLocation("2006-01-02 15:04:05.999999", date, time.Local); err == nil && era == "" {
			return append(t.UTC().AppendFormat(append(dst, '"'), "2006-01-02T15:04:05.000Z"), '"')
		}
		return iso(dst, []byte(date+"+00"+era)) // so far away that zones do not matter
	}
}

// appendBuffer converts a bytea as Node.js prints its buffers.
func appendBuffer(dst, text []byte) []byte {
	bytes, err := hex.DecodeString(strings.TrimPrefix(string(text), `\x`))
	if err != nil {
		return appendText(dst, text)
	}
	dst = append(dst, `{"type":"Buffer","data":[`...)
	for i, b := range bytes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, int64(b), 10)
	}
	return append(dst, "]}"...)
}

// appendPoint converts (x,y).
func appendPoint(dst, text []byte) []byte {
	x, y, ok := strings.Cut(strings.Trim(string(text), "()"), ",")
	if !ok {
		return appendText(dst, text)
	}
	dst = appendDouble(append(dst, `{"x":`...), x)
	return append(appendDouble(append(dst, `,"y":`...), y), '}')
}

// appendCircle converts <(x,y),radius>.
func appendCircle(dst, text []byte) []byte {
	parts := strings.Split(strings.Trim(string(text), "<>"), ",")
	if len(parts) != 3 {
		return appendText(dst, text)
	}
	dst = appendDouble(append(dst, `{"x":`...), strings.TrimPrefix(parts[0], "("))
	dst = appendDouble(append(dst, `,"y":`...), strings.TrimSuffix(parts[1], ")"))
	return append(appendDouble(append(dst, `,"radius":`...), parts[2]), '}')
}

func appendDouble(dst []byte, text string) []byte {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return append(dst, "null"...)
	}
	return jsvalue.AppendNumber(dst, f)
}

// appendInterval converts an interval in the style "1 year 2 mons 3 days -04:05:06.789" to an object of its parts that are not
// zero.
func appendInterval(dst, text []byte) []byte {
	dst = append(dst, '{')
	first := true
	add := func(name string, value float64) {
		if value == 0 {
			return
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(jsvalue.AppendString(dst, name), ':')
		dst = jsvalue.AppendNumber(dst, value)
	}
	words := strings.Fields(string(text))
	for i := 0; i+1 < len(words); i += 2 {
		n, err := strconv.ParseFloat(words[i], 64)
		if err != nil {
			break
		}
		switch strings.TrimSuffix(words[i+1], "s") {
		case "year":
			add("years", n)
		case "mon":
			add("months", n)
		case "day":
			add("days", n)
		}
	}
	if len(words)%2 == 1 {
		clock := words[len(words)-1]
		sign := 1.0
		if strings.HasPrefix(clock, "-") {
			sign = -1
		}
		parts := strings.SplitN(strings.TrimLeft(clock, "+-"), ":", 3)
		if len(parts) == 3 {
			number := func(s string) float64 { n, _ := strconv.ParseFloat(s, 64); return sign * n } // PostgreSQL prints digits
			seconds, fraction, _ := strings.Cut(parts[2], ".")
			add("hours", number(parts[0]))
			add("minutes", number(parts[1]))
			add("seconds", number(seconds))
			add("milliseconds", number((fraction + "000000")[:6])/1000)
		}
	}
	return append(dst, '}')
}
