package field

import "bytes"

// maxDimensions is the highest number of dimensions that a PostgreSQL array can have.
const maxDimensions = 6

// elementFunc appends the JSON value for the text of one element of an array.
type elementFunc func(dst, text []byte) ([]byte, error)

// AppendJSONArray appends the JSON array for column, the text of an array whose elements element converts; NULL is null.
// Arrays of several dimensions become nested arrays. Lower bounds in front, as in [0:1]={1,2}, are dropped. An error means
// that column is no array, or is that of element; then what was appended to dst is of no use.
func AppendJSONArray(dst, column []byte, element func(dst, text []byte) ([]byte, error)) ([]byte, error) {
	text := column
	if bytes.HasPrefix(text, []byte("[")) {
		_, text, _ = bytes.Cut(text, []byte("="))
	}
	if !bytes.HasPrefix(text, []byte("{")) {
		return dst, errText
	}
	dst, rest, err := appendDimension(dst, text[1:], 1, element)
	if err == nil && len(rest) > 0 {
		err = errText
	}
	return dst, err
}

// appendDimension appends the JSON array for the part of an array literal behind an opening brace. It returns the text behind
// the closing brace.
func appendDimension(dst, text []byte, depth int, element elementFunc) (_, rest []byte, err error) {
	dst = append(dst, '[')
	if bytes.HasPrefix(text, []byte("}")) {
		return append(dst, ']'), text[1:], nil
	}
	for {
		if bytes.HasPrefix(text, []byte("{")) && depth < maxDimensions {
			dst, text, err = appendDimension(dst, text[1:], depth+1, element)
		} else {
			dst, text, err = appendElement(dst, text, element)
		}
		if err != nil {
			return dst, nil, err
		}
		if len(text) == 0 {
			return dst, nil, errText
		}
		switch text[0] {
		case ',':
			dst = append(dst, ',')
		case '}':
			return append(dst, ']'), text[1:], nil
		default:
			return dst, nil, errText
		}
		text = text[1:]
	}
}

// appendElement appends the JSON value of the array element at the start of text and returns the text behind it.
func appendElement(dst, text []byte, convert elementFunc) (_, rest []byte, err error) {
	if !bytes.HasPrefix(text, []byte(`"`)) {
		end := bytes.IndexAny(text, ",{}\"")
		if end <= 0 {
			return dst, nil, errText
		}
		element, rest := text[:end], text[end:]
		if string(element) == "NULL" {
			return append(dst, "null"...), rest, nil
		}
		dst, err = convert(dst, element)
		return dst, rest, err
	}
	var buf [64]byte
	element := buf[:0]
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			dst, err = convert(dst, element)
			return dst, text[i+1:], err
		case c == '\\' && i+1 < len(text):
			i++
			element = append(element, text[i])
		default:
			element = append(element, c)
		}
	}
	return dst, nil, errText
}
