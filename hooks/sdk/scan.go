package sdk

import (
	"database/sql"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// The oids of the types that Scan tells apart.
const (
	oidBool        = 16
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidJSON        = 114
	oidFloat4      = 700
	oidFloat8      = 701
	oidDate        = 1082
	oidTimestamp   = 1114
	oidTimestamptz = 1184
	oidJSONB       = 3802
)

var errNull = errors.New("NULL needs a pointer, an any or a sql.Scanner")

// scan reads one column into what to points to.
func scan(cell []byte, oid uint32, to any) error {
	switch to := to.(type) {
	case *any:
		v, err := natural(cell, oid)
		*to = v
		return err
	case sql.Scanner:
		v, err := natural(cell, oid)
		if err != nil {
			return err
		}
		return to.Scan(v)
	case *json.RawMessage:
		*to = cell
		return nil
	case *[]byte:
		b, err := binary(cell, oid)
		*to = b
		return err
	}
	v := reflect.ValueOf(to)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("%T is no pointer", to)
	}
	return assign(cell, oid, v.Elem())
}

// binary returns a bytea, or the text of another type.
func binary(cell []byte, oid uint32) ([]byte, error) {
	if oid != oidBytea || cell == nil {
		return cell, nil
	}
	b, ok := strings.CutPrefix(string(cell), `\x`)
	if !ok {
		return nil, errors.New("bytea is not in hex form")
	}
	return hex.DecodeString(b)
}

// natural returns the Go value that is nearest to a column.
func natural(cell []byte, oid uint32) (any, error) {
	if cell == nil {
		return nil, nil
	}
	switch text := string(cell); oid {
	case oidBool:
		return text == "t", nil
	case oidInt2, oidInt4, oidInt8:
		return strconv.ParseInt(text, 10, 64)
	case oidFloat4, oidFloat8:
		return strconv.ParseFloat(text, 64)
	case oidBytea:
		return binary(cell, oid)
	case oidDate, oidTimestamp, oidTimestamptz:
		return parseTime(text)
	case oidJSON, oidJSONB:
		var v any
		err := json.Unmarshal(cell, &v)
		return v, err
	default:
		return text, nil
	}
}

func assign(cell []byte, oid uint32, v reflect.Value) (err error) {
	if v.Kind() == reflect.Pointer {
		if cell == nil {
			v.SetZero()
			return nil
		}
		to := reflect.New(v.Type().Elem())
		v.Set(to)
		return scan(cell, oid, to.Interface())
	}
	if cell == nil {
		return errNull
	}
	text := string(cell)
	switch to := v.Addr().Interface().(type) {
	case *time.Time:
		*to, err = parseTime(text)
		return err
	case encoding.TextUnmarshaler:
		return to.UnmarshalText(cell)
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(text == "t" || text == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		var n int64
		n, err = strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var n uint64
		n, err = strconv.ParseUint(text, 10, v.Type().Bits())
		v.SetUint(n)
	case reflect.Float32, reflect.Float64:
		var f float64
		f, err = strconv.ParseFloat(text, v.Type().Bits())
		v.SetFloat(f)
	case reflect.Slice:
		if strings.HasPrefix(text, "{") && oid != oidJSON && oid != oidJSONB {
			return assignArray(text, v)
		}
		return json.Unmarshal(cell, v.Addr().Interface())
	default:
		return json.Unmarshal(cell, v.Addr().Interface())
	}
	return err
}

// assignArray reads an array of one dimension.
func assignArray(text string, v reflect.Value) error {
	elements, err := parseArray(text)
	if err != nil {
		return err
	}
	slice := reflect.MakeSlice(v.Type(), len(elements), len(elements))
	for i, e := range elements {
		if err := scan(e, 0, slice.Index(i).Addr().Interface()); err != nil {
			return fmt.Errorf("element %d: %w", i+1, err)
		}
	}
	v.Set(slice)
	return nil
}

var errNoArray = errors.New("not an array of one dimension")

// parseArray splits the text form of an array. A NULL is nil.
func parseArray(text string) ([][]byte, error) {
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return nil, errNoArray
	}
	text = text[1 : len(text)-1]
	elements := [][]byte{}
	for len(text) > 0 {
		element, quoted := []byte{}, text[0] == '"'
		i := 0
		if quoted {
			i = 1
		}
		for ; i < len(text) && (quoted && text[i] != '"' || !quoted && text[i] != ','); i++ {
			switch {
			case text[i] == '\\' && i+1 < len(text):
				i++
			case !quoted && (text[i] == '{' || text[i] == '"'):
				return nil, errNoArray
			}
			element = append(element, text[i])
		}
		if quoted {
			i++
		} else if string(element) == "NULL" {
			element = nil
		}
		elements = append(elements, element)
		if i >= len(text) {
			break
		}
		if text[i] != ',' || i+1 == len(text) {
			return nil, errNoArray
		}
		text = text[i+1:]
	}
	return elements, nil
}

// The forms in which PostgreSQL prints times.
var timeForms = []string{
	"2006-01-02 15:04:05.999999999Z07", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999Z07:00:00",
	"2006-01-02 15:04:05.999999999", "2006-01-02", time.RFC3339Nano,
}

func parseTime(text string) (t time.Time, err error) {
	for _, form := range timeForms {
		if t, err = time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return t, fmt.Errorf("%q is no time that Go can represent", text)
}
