package js

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dop251/goja"
)

// json returns the JSON text of a value; ok is false if JSON has none for it.
func (e *engine) json(v goja.Value) (text string, ok bool, err error) {
	v, err = e.stringify(goja.Undefined(), v)
	if err != nil || goja.IsUndefined(v) {
		return "", false, err
	}
	return v.String(), true, nil
}

// value returns the value of a JSON text. It is what JSON.parse makes of it, in less time and with the surrogates that have no
// partner, which that loses.
func (e *engine) value(text []byte) (goja.Value, error) {
	d := decoder{vm: e.vm, text: string(text)}
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if d.skip(); d.at < len(d.text) {
		return nil, errNotJSON
	}
	return v, nil
}

var errNotJSON = errors.New("it is not JSON")

// maxDepth bounds how deep values are in each other.
const maxDepth = 10_000

type decoder struct {
	vm   *goja.Runtime
	text string
	at   int
}

// skip goes over blanks.
func (d *decoder) skip() {
	for d.at < len(d.text) && (d.text[d.at] == ' ' || d.text[d.at] == '\n' || d.text[d.at] == '\t' || d.text[d.at] == '\r') {
		d.at++
	}
}

// take goes over blanks and c, if that is what comes.
func (d *decoder) take(c byte) bool {
	d.skip()
	if d.at < len(d.text) && d.text[d.at] == c {
		d.at++
		return true
	}
	return false
}

func (d *decoder) value(depth int) (goja.Value, error) {
	if depth > maxDepth {
		return nil, errors.New("it is nested too deep")
	}
	d.skip()
	rest := d.text[d.at:]
	if rest == "" {
		return nil, errNotJSON
	}
	switch rest[0] {
	case '{':
		return d.object(depth)
	case '[':
		return d.array(depth)
	case '"':
		return d.string()
	}
	switch {
	case strings.HasPrefix(rest, "null"):
		d.at += len("null")
		return goja.Null(), nil
	case strings.HasPrefix(rest, "true"):
		d.at += len("true")
		return d.vm.ToValue(true), nil
	case strings.HasPrefix(rest, "false"):
		d.at += len("false")
		return d.vm.ToValue(false), nil
	}
	return d.number()
}

func (d *decoder) object(depth int) (goja.Value, error) {
	d.at++
	o := d.vm.NewObject()
	if d.take('}') {
		return o, nil
	}
	for {
		if d.skip(); d.at == len(d.text) || d.text[d.at] != '"' {
			return nil, errNotJSON
		}
		name, err := d.string()
		if err != nil {
			return nil, err
		}
		if !d.take(':') {
			return nil, errNotJSON
		}
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if key := name.String(); key != "__proto__" {
			err = o.Set(key, v)
		} else {
			err = o.DefineDataProperty(key, v, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
		}
		if err != nil {
			return nil, err
		}
		if d.take('}') {
			return o, nil
		}
		if !d.take(',') {
			return nil, errNotJSON
		}
	}
}

func (d *decoder) array(depth int) (goja.Value, error) {
	d.at++
	var elements []any
	if d.take(']') {
		return d.vm.NewArray(), nil
	}
	for {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		elements = append(elements, v)
		if d.take(']') {
			return d.vm.NewArray(elements...), nil
		}
		if !d.take(',') {
			return nil, errNotJSON
		}
	}
}

// string reads a string, of which the quote comes next.
func (d *decoder) string() (goja.Value, error) {
	rest := d.text[d.at+1:]
	end := strings.IndexByte(rest, '"')
	if end < 0 {
		return nil, errNotJSON
	}
	if plain := rest[:end]; strings.IndexByte(plain, '\\') < 0 {
		d.at += end + 2
		return d.vm.ToValue(plain), nil
	}
	return d.escaped(rest)
}

// escapes are the letters behind a backslash, and what they stand for.
var escapes = map[byte]uint16{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escaped reads a string with backslashes, whose quote is before rest.
func (d *decoder) escaped(rest string) (goja.Value, error) {
	var units []uint16
	for i := 0; i < len(rest); {
		switch c := rest[i]; {
		case c == '"':
			d.at += i + 2
			return goja.StringFromUTF16(units), nil
		case c != '\\':
			r, size := utf8.DecodeRuneInString(rest[i:])
			units = utf16.AppendRune(units, r)
			i += size
		case i+1 < len(rest) && escapes[rest[i+1]] != 0:
			units = append(units, escapes[rest[i+1]])
			i += 2
		case i+6 <= len(rest) && rest[i+1] == 'u':
			unit, err := strconv.ParseUint(rest[i+2:i+6], 16, 16)
			if err != nil {
				return nil, errNotJSON
			}
			units = append(units, uint16(unit))
			i += 6
		default:
			return nil, errNotJSON
		}
	}
	return nil, errNotJSON
}

func (d *decoder) number() (goja.Value, error) {
	start := d.at
	for d.at < len(d.text) && strings.IndexByte("+-.0123456789Ee", d.text[d.at]) >= 0 {
		d.at++
	}
	text := d.text[start:d.at]
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n != 0 {
		return d.vm.ToValue(n), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(f, 0) {
		return nil, errNotJSON
	}
	return d.vm.ToValue(f), nil
}
