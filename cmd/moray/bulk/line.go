package bulk

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// maxLine bounds a line, in bytes. A server takes no value that is nearly as long.
const maxLine = 128 << 20

// A line is one of these.
type (
	// opening begins a bucket.
	opening struct {
		bucket string
		config jsvalue.Value
	}
	// object is an object of the bucket that was opened last.
	object struct {
		key   string
		value jsvalue.Value // shares memory with the line
		etag  string        // "" if the line has none
		id    string        // "" likewise: in decimal
		mtime string        // likewise
	}
	// closing ends a bucket.
	closing struct {
		bucket  string
		objects int64
	}
)

// Members are the optional members of the lines of objects.
type Members struct{ Etag, ID, Mtime bool }

// AllMembers are all of them.
var AllMembers = Members{Etag: true, ID: true, Mtime: true}

func appendOpening(dst []byte, b *client.Bucket) []byte {
	dst = jsvalue.AppendString(append(dst, `{"bucket":`...), b.Name)
	for _, part := range []struct {
		name string
		text json.RawMessage
	}{{`,"config":{"index":`, b.Index}, {`,"pre":`, b.Pre}, {`,"post":`, b.Post}, {`,"options":`, b.Options}} {
		dst = append(append(dst, part.name...), orNull(part.text)...)
	}
	return append(dst, "}}\n"...)
}

func orNull(text json.RawMessage) json.RawMessage {
	if text == nil {
		return json.RawMessage("null")
	}
	return text
}

func (o *object) append(dst []byte, m Members) []byte {
	dst = jsvalue.AppendString(append(dst, `{"key":`...), o.key)
	dst = append(append(dst, `,"value":`...), o.value...)
	if m.Etag {
		dst = jsvalue.AppendString(append(dst, `,"_etag":`...), o.etag)
	}
	if m.ID {
		dst = append(append(dst, `,"_id":`...), o.id...)
	}
	if m.Mtime && o.mtime != "" {
		dst = append(append(dst, `,"_mtime":`...), o.mtime...)
	}
	return append(dst, "}\n"...)
}

func (c closing) append(dst []byte) []byte {
	dst = jsvalue.AppendString(append(dst, `{"bucket":`...), c.bucket)
	return append(strconv.AppendInt(append(dst, `,"objects":`...), c.objects, 10), "}\n"...)
}

// parseLine returns what a line is: an opening, an object or a closing. Members of other names count for nothing.
func parseLine(text []byte) (any, error) {
	v, err := jsvalue.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if v.Kind() != jsvalue.KindObject {
		return nil, errors.New("not an object")
	}
	var m struct{ bucket, config, objects, key, value, etag, id, mtime jsvalue.Value }
	for name, member := range v.RawMembers() {
		switch string(name) {
		case "bucket":
			m.bucket = member
		case "config":
			m.config = member
		case "objects":
			m.objects = member
		case "key":
			m.key = member
		case "value":
			m.value = member
		case "_etag":
			m.etag = member
		case "_id":
			m.id = member
		case "_mtime":
			m.mtime = member
		}
	}
	switch {
	case m.key != nil:
		return parseObject(m.key, m.value, m.etag, m.id, m.mtime)
	case m.bucket.Kind() != jsvalue.KindString:
		return nil, errors.New(`neither an object with a "key" nor a bucket with a name`)
	case m.config.Kind() == jsvalue.KindObject:
		return opening{m.bucket.Text(), m.config}, nil
	case m.objects.Kind() == jsvalue.KindNumber:
		n := m.objects.Float()
		if n < 0 || n != math.Trunc(n) {
			return nil, fmt.Errorf(`"objects" is %s`, m.objects)
		}
		return closing{m.bucket.Text(), int64(n)}, nil
	}
	return nil, errors.New(`a bucket with neither an object "config" nor a number "objects"`)
}

// parseObject reads the members of an object's line.
func parseObject(key, value, etag, id, mtime jsvalue.Value) (any, error) {
	o := object{value: value}
	if key.Kind() != jsvalue.KindString {
		return nil, fmt.Errorf(`the "key" is not a string`)
	}
	o.key = key.Text()
	if etag != nil && !etag.IsNull() {
		if etag.Kind() != jsvalue.KindString || len(etag) > len(`"12345678"`) {
			return o, fmt.Errorf(`the "_etag" is not a string of up to 8 characters`)
		}
		o.etag = etag.Text()
	}
	var err error
	if o.id, err = integer(id); err != nil {
		return o, fmt.Errorf(`the "_id": %w`, err)
	}
	if o.mtime, err = integer(mtime); err != nil {
		return o, fmt.Errorf(`the "_mtime": %w`, err)
	}
	return o, nil
}

// integer returns the digits of an integer, which the sql call answers as a string or a number by the width of its column.
func integer(v jsvalue.Value) (string, error) {
	var text string
	switch v.Kind() {
	case jsvalue.KindNull, jsvalue.KindUndefined:
		return "", nil
	case jsvalue.KindString:
		text = v.Text()
	default:
		text = string(v)
	}
	if _, err := strconv.ParseInt(text, 10, 64); err != nil {
		return "", fmt.Errorf("%s is not an integer", v)
	}
	return text, nil
}
