package tools

import (
	"crypto/rand"
	"fmt"
	"strconv"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// arguments are those of a request, as JSON texts.
type arguments struct {
	list []jsvalue.Value
	id   string // req_id
}

func newArguments() *arguments { return &arguments{id: newUUID()} }

// newUUID returns a random UUID.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // because it never fails
	b[6], b[8] = b[6]&0x0F|0x40, b[8]&0x3F|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (a *arguments) text(s string) *arguments { return a.value(jsvalue.AppendString(nil, s)) }

func (a *arguments) number(n int) *arguments { return a.value(strconv.AppendInt(nil, int64(n), 10)) }

func (a *arguments) value(v jsvalue.Value) *arguments {
	a.list = append(a.list, v)
	return a
}

// requestID appends options that are the id alone.
func (a *arguments) requestID() *arguments { return a.value(a.options().end()) }

// objectOptions appends the options of requests about objects, and then more.
func (a *arguments) objectOptions(more func(*members)) *arguments {
	m := a.options()
	m.raw("headers", "{}").bool("no_count", false).bool("sql_only", false).bool("noCache", true)
	if more != nil {
		more(m)
	}
	return a.value(m.end())
}

// options begins an object of options with the request's id.
func (a *arguments) options() *members { return new(members).text("req_id", a.id) }

// array is the text of all arguments.
func (a *arguments) array() jsvalue.Value {
	text := []byte{'['}
	for i, v := range a.list {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, v...)
	}
	return append(text, ']')
}

// members are those of an object that is being made. A name that comes again replaces the value.
type members struct {
	names  []string
	values []jsvalue.Value
}

func (m *members) raw(name, value string) *members {
	for i, n := range m.names {
		if n == name {
			m.values[i] = jsvalue.Value(value)
			return m
		}
	}
	m.names, m.values = append(m.names, name), append(m.values, jsvalue.Value(value))
	return m
}

func (m *members) text(name, s string) *members {
	return m.raw(name, string(jsvalue.AppendString(nil, s)))
}
func (m *members) bool(name string, b bool) *members { return m.raw(name, strconv.FormatBool(b)) }
func (m *members) number(name string, n int)         { m.raw(name, strconv.Itoa(n)) }

func (m *members) end() jsvalue.Value {
	text := []byte{'{'}
	for i, name := range m.names {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(jsvalue.AppendString(text, name), ':'), m.values[i]...)
	}
	return append(text, '}')
}
