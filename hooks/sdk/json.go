package sdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// appendJSON appends v as JSON without the escapes that are for HTML.
func appendJSON(dst []byte, v any) ([]byte, error) {
	if raw, ok := v.(json.RawMessage); ok {
		if !json.Valid(raw) {
			return nil, fmt.Errorf("%.40q is not JSON", []byte(raw))
		}
		return append(dst, raw...), nil
	}
	b := bytes.NewBuffer(dst)
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// decodeStrictly reads one JSON text into v and refuses members that v does not have.
func decodeStrictly(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON text")
	}
	return nil
}

// find returns where the text of an object's member is, start equal to end if it is nowhere, and whether the object has any
// member. Of several members with the name the last one counts.
func find(object []byte, name string) (any bool, start, end int) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return false, 0, 0
	}
	for d.More() {
		var text json.RawMessage
		key, err := d.Token()
		if err != nil || d.Decode(&text) != nil {
			return false, 0, 0
		}
		any = true
		if key == name {
			end = int(d.InputOffset())
			start = end - len(text)
		}
	}
	return any, start, end
}

// withMember returns an object with a member set to text, in its place or at the end.
func withMember(object []byte, name string, text []byte) ([]byte, error) {
	any, start, end := find(object, name)
	if start == end {
		if end = bytes.LastIndexByte(object, '}'); end < 0 || object[0] != '{' {
			return nil, errors.New("it has no members")
		}
		start = end
		head, err := appendJSON(nil, name)
		if err != nil {
			return nil, err
		}
		text = append(append(head, ':'), text...)
		if any {
			text = append([]byte{','}, text...)
		}
	}
	value := make([]byte, 0, len(object)-(end-start)+len(text))
	return append(append(append(value, object[:start]...), text...), object[end:]...), nil
}
