// Package jsvalue holds JSON as a JavaScript engine keeps and prints it.
//
// Etags and stored values are made from the text that JSON.stringify(JSON.parse(text)) would give, so that text must be
// reproduced bit for bit: key order, number form, escapes. The package works on the text itself. A [Value] is a slice of
// it; nothing is decoded into Go maps, and text that is already in that form, which is what stock clients send, is never
// rewritten.
//
// It does not know of buckets, columns or the wire.
package jsvalue

import (
	"iter"
	"strconv"
)

// Value is the text of one JSON value, without blanks around it. It comes from [Parse], from an [Object], or from a Value
// around it, so it is known to be valid; its methods do not check again and may panic on other bytes. A nil Value stands
// for a member that is absent (JavaScript's undefined).
//
// A Value shares memory with the text that it was taken from.
type Value []byte

// Kind tells the six kinds of JSON values apart. KindUndefined is the kind of a nil Value.
type Kind uint8

// The kinds of a Value.
const (
	KindUndefined Kind = iota
	KindNull
	KindBool
	KindNumber
	KindString
	KindArray
	KindObject
)

// Null is the text of the JSON value null.
var Null = Value("null")

// Kind returns the kind of v.
func (v Value) Kind() Kind {
	if len(v) == 0 {
		return KindUndefined
	}
	switch v[0] {
	case '{':
		return KindObject
	case '[':
		return KindArray
	case '"':
		return KindString
	case 't', 'f':
		return KindBool
	case 'n':
		return KindNull
	}
	return KindNumber
}

// IsNull reports whether v is the JSON value null.
func (v Value) IsNull() bool { return v.Kind() == KindNull }

// IsTrue reports whether v is the JSON value true.
func (v Value) IsTrue() bool { return len(v) > 0 && v[0] == 't' }

// Truthy reports whether JavaScript takes v for true in a condition: everything but undefined, null, false, 0 and "".
func (v Value) Truthy() bool {
	switch v.Kind() {
	case KindUndefined, KindNull:
		return false
	case KindBool:
		return v.IsTrue()
	case KindNumber:
		return v.Float() != 0
	case KindString:
		return len(v) > 2
	}
	return true
}

// Float returns the number that v, a Number, stands for, as an IEEE double; beyond the range of a double it is infinite.
func (v Value) Float() float64 {
	f, _ := strconv.ParseFloat(string(v), 64)
	return f
}

// Text returns the string that v, a String, stands for. A lone surrogate appears as its three-byte generalised UTF-8 form
// (WTF-8); see [Sanitize].
func (v Value) Text() string {
	body := v[1 : len(v)-1]
	if escape := indexEscape(body); escape >= 0 {
		return string(appendUnescaped(nil, body, escape))
	}
	return string(body)
}

// AppendText appends what [Value.Text] returns to dst.
func (v Value) AppendText(dst []byte) []byte {
	body := v[1 : len(v)-1]
	if escape := indexEscape(body); escape >= 0 {
		return appendUnescaped(dst, body, escape)
	}
	return append(dst, body...)
}

// Elements returns the elements of v, an Array.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for i := skipBlanks(v, 1); v[i] != ']'; {
			end := skipValue(v, i)
			if !yield(v[i:end:end]) {
				return
			}
			if i = skipBlanks(v, end); v[i] == ',' {
				i = skipBlanks(v, i+1)
			}
		}
	}
}

// Members returns the members of v, an object, as they stand in the text: a name that occurs twice is returned twice.
func (v Value) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for name, member := range v.RawMembers() {
			if !yield(string(name), member) {
				return
			}
		}
	}
}

// RawMembers is [Value.Members] without copies: a name shares memory with v where it has no escapes.
func (v Value) RawMembers() iter.Seq2[[]byte, Value] {
	return func(yield func([]byte, Value) bool) {
		for i := skipBlanks(v, 1); v[i] != '}'; {
			end := skipString(v, i)
			name := v[i+1 : end-1]
			if escape := indexEscape(name); escape >= 0 {
				name = appendUnescaped(nil, name, escape)
			}
			i = skipBlanks(v, skipBlanks(v, end)+1)
			end = skipValue(v, i)
			if !yield(name, v[i:end:end]) {
				return
			}
			if i = skipBlanks(v, end); v[i] == ',' {
				i = skipBlanks(v, i+1)
			}
		}
	}
}

// Member returns the member of v, an object, with the given name, or nil. Of several the last one counts.
func (v Value) Member(name string) Value {
	var found Value
	for n, m := range v.RawMembers() {
		if string(n) == name {
			found = m
		}
	}
	return found
}
