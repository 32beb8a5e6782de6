package sdk

import (
	"encoding"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strconv"
	"time"
)

// appendArgument appends an argument of a statement in PostgreSQL's text form, or returns nil for NULL.
func appendArgument(dst []byte, arg any) ([]byte, error) {
	if dst == nil {
		dst = []byte{} // an empty text is not NULL
	}
	switch v := arg.(type) {
	case nil:
		return nil, nil
	case string:
		return append(dst, v...), nil
	case []byte:
		if v == nil {
			return nil, nil
		}
		return hex.AppendEncode(append(dst, `\x`...), v), nil
	case json.RawMessage:
		if v == nil {
			return nil, nil
		}
		return append(dst, v...), nil
	case time.Time:
		return v.AppendFormat(dst, time.RFC3339Nano), nil
	}
	v := reflect.ValueOf(arg)
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, nil
	}
	if m, ok := arg.(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		return append(dst, text...), err
	}
	switch v.Kind() {
	case reflect.Pointer:
		return appendArgument(dst, v.Elem().Interface())
	case reflect.String:
		return append(dst, v.String()...), nil
	case reflect.Bool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.AppendUint(dst, v.Uint(), 10), nil
	case reflect.Float32:
		return strconv.AppendFloat(dst, v.Float(), 'g', -1, 32), nil
	case reflect.Float64:
		return strconv.AppendFloat(dst, v.Float(), 'g', -1, 64), nil
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.IsNil() {
			return nil, nil
		}
		return appendArray(dst, v)
	}
	return appendJSON(dst, arg)
}

// appendArray appends an array literal.
func appendArray(dst []byte, v reflect.Value) ([]byte, error) {
	dst = append(dst, '{')
	for i := range v.Len() {
		if i > 0 {
			dst = append(dst, ',')
		}
		element := v.Index(i)
		text, err := appendArgument(nil, element.Interface())
		switch {
		case err != nil:
			return nil, err
		case text == nil:
			dst = append(dst, "NULL"...)
		case isArray(element):
			dst = append(dst, text...)
		default:
			dst = append(dst, '"')
			for _, c := range text {
				if c == '"' || c == '\\' {
					dst = append(dst, '\\')
				}
				dst = append(dst, c)
			}
			dst = append(dst, '"')
		}
	}
	return append(dst, '}'), nil
}

// isArray reports whether v is written as an array.
func isArray(v reflect.Value) bool {
	if v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch v.Interface().(type) {
	case []byte, json.RawMessage, encoding.TextMarshaler:
		return false
	}
	return v.Kind() == reflect.Slice || v.Kind() == reflect.Array
}
