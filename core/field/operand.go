package field

import (
	"bytes"

	"github.com/kaizengarden/moray/core/field/coerce"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Operand is the operand of a filter on a column: the parameter of its SQL, and what values are compared with in memory. It is
// immutable, and safe for concurrent use.
type Operand struct {
	column  Type
	text    string
	number  float64 // of numbers; 1 or 0 of booleans
	network network // of addresses and networks
	mac     [6]byte
}

// ParseOperand reads text as the operand of a filter on a column of type t. For an array type it is that of one element. The
// error is [ErrType].
func (t Type) ParseOperand(text string) (Operand, error) {
	elem := t.Elem()
	normal, err := elem.appendText(nil, []byte(text))
	if err != nil {
		return Operand{}, err
	}
	o := Operand{column: t, text: string(normal)}
	switch elem {
	case Number, BigInt, Integer:
		o.number = coerce.ParseFloat(normal)
	case Boolean:
		if o.text == "TRUE" {
			o.number = 1
		}
	case IP:
		o.network.address, _ = parseAddress(normal)
	case Subnet:
		o.network, _ = parseNetwork(normal)
	case MAC:
		o.mac, _ = parseMAC(normal)
	}
	return o, nil
}

// Param returns the text of the SQL parameter.
func (o Operand) Param() string { return o.text }

// AppendJSON appends the parameter as a JSON value: a number is a number, NaN is null, anything else a string.
func (o Operand) AppendJSON(dst []byte) []byte {
	switch o.column.Elem() {
	case Number, BigInt, Integer:
		return jsvalue.AppendNumber(dst, o.number)
	}
	return jsvalue.AppendString(dst, o.text)
}

// Array reports whether the column is of an array type.
func (o Operand) Array() bool { return o.column.Array() }

// Opaque reports whether only PostgreSQL can compare the column; then Equal and Compare mean nothing.
func (o Operand) Opaque() bool { return o.column.Opaque() }

// Equal reports whether v equals o. Strings equal strings only, numbers numbers, booleans booleans; addresses and networks
// are read from v. For an array type v is an element.
func (o Operand) Equal(v jsvalue.Value) bool {
	switch o.column.Elem() {
	case Number, BigInt, Integer:
		return v.Kind() == jsvalue.KindNumber && v.Float() == o.number
	case Boolean:
		return v.Kind() == jsvalue.KindBool && v.IsTrue() == (o.number == 1)
	case IP, Subnet, MAC:
		order, ok := o.Compare(v)
		return ok && order == 0
	}
	var buf [64]byte
	return v.Kind() == jsvalue.KindString && string(v.AppendText(buf[:0])) == o.text
}

// Compare orders v and o: the result is negative if v comes first, 0, or positive; ok is false if they have no order. Numbers
// and booleans are ordered as JavaScript orders v and a number; strings, addresses and networks as PostgreSQL orders them, a
// value that is no string as JavaScript orders it and a string. For an array type v is an element.
func (o Operand) Compare(v jsvalue.Value) (order int, ok bool) {
	switch o.column.Elem() {
	case Number, BigInt, Integer, Boolean:
		return coerce.CompareNumber(v, o.number)
	case IP:
		a, ok := ipOf(v)
		return a.Compare(o.network.Addr), ok
	case Subnet:
		n, ok := networkOf(v)
		return n.compare(o.network), ok
	case MAC:
		mac, ok := macOf(v)
		return bytes.Compare(mac[:], o.mac[:]), ok
	}
	if v.Kind() == jsvalue.KindString {
		var buf [64]byte
		return bytes.Compare(v.AppendText(buf[:0]), []byte(o.text)), true
	}
	return coerce.CompareText(v, o.text)
}
