// Package field holds the types that an indexed field of a bucket can have, and converts between the three forms of a value:
// the JSON value of an object, the text of a PostgreSQL column, and the operand of a filter. It also orders values in memory
// as PostgreSQL does.
//
// Both texts are PostgreSQL's text format. What is read is what a session prints whose DateStyle is ISO and whose TimeZone is
// UTC.
//
// The package does not know buckets, and builds no SQL beyond the names of types and operators. The forms are those of the
// original Moray: what it accepted, how it wrote it down, and what it gave back.
package field

// Type is the type of an indexed field. The zero Type is invalid; the methods of an invalid Type may panic.
type Type uint8

// The types of indexes, in the order in which error messages list them.
const (
	String Type = 1 + iota
	StringArray
	Number
	NumberArray
	NumRange
	Boolean
	BooleanArray
	Date
	DateArray
	DateRange
	IP
	IPArray
	MAC
	MACArray
	Subnet
	SubnetArray
	UUID

	// BigInt and Integer are the types of the columns that every bucket has, see [Internal]. An index cannot have them.
	BigInt
	Integer
)

// types describes each Type. A type whose elem differs from itself is an array type.
var types = [...]struct {
	name, column, method string
	elem                 Type
}{
	String:       {"string", "TEXT", "BTREE", String},
	StringArray:  {"[string]", "TEXT[]", "GIN", String},
	Number:       {"number", "NUMERIC", "BTREE", Number},
	NumberArray:  {"[number]", "NUMERIC[]", "GIN", Number},
	NumRange:     {"numrange", "NUMRANGE", "GIST", NumRange},
	Boolean:      {"boolean", "BOOLEAN", "BTREE", Boolean},
	BooleanArray: {"[boolean]", "BOOLEAN[]", "GIN", Boolean},
	Date:         {"date", "TIMESTAMPTZ", "BTREE", Date},
	DateArray:    {"[date]", "TIMESTAMPTZ[]", "GIN", Date},
	DateRange:    {"daterange", "TSTZRANGE", "GIST", DateRange},
	IP:           {"ip", "INET", "BTREE", IP},
	IPArray:      {"[ip]", "INET[]", "GIN", IP},
	MAC:          {"mac", "MACADDR", "BTREE", MAC},
	MACArray:     {"[mac]", "MACADDR[]", "GIN", MAC},
	Subnet:       {"subnet", "CIDR", "BTREE", Subnet},
	SubnetArray:  {"[subnet]", "CIDR[]", "GIN", Subnet},
	UUID:         {"uuid", "UUID", "BTREE", UUID},
	BigInt:       {"bigint", "BIGINT", "BTREE", BigInt},
	Integer:      {"integer", "INTEGER", "BTREE", Integer},
}

// ParseType returns the type of indexes with the given name, such as "[string]".
func ParseType(name string) (Type, bool) {
	for t := String; t <= UUID; t++ {
		if types[t].name == name {
			return t, true
		}
	}
	return 0, false
}

// Names returns the names of all types of indexes, in the order in which error messages list them.
func Names() []string {
	var names []string
	for t := String; t <= UUID; t++ {
		names = append(names, types[t].name)
	}
	return names
}

// Internal returns the type by which filters compare a column that every bucket has: _id, _mtime, _txn_snap, _key and _etag.
// (The column _etag is a CHAR(8), which PostgreSQL converts to TEXT.)
func Internal(column string) (Type, bool) {
	switch column {
	case "_id", "_mtime":
		return BigInt, true
	case "_txn_snap":
		return Integer, true
	case "_key", "_etag":
		return String, true
	}
	return 0, false
}

// String returns the name of t as bucket definitions spell it.
func (t Type) String() string { return types[t].name }

// Array reports whether t is an array type.
func (t Type) Array() bool { return types[t].elem != t }

// Elem returns the type of the elements of an array type, and t itself for any other.
func (t Type) Elem() Type { return types[t].elem }

// Column returns the PostgreSQL type of t's column, in upper case.
func (t Type) Column() string { return types[t].column }

// IndexMethod returns the PostgreSQL index method for t's column: BTREE, GIN or GIST.
func (t Type) IndexMethod() string { return types[t].method }

// Opaque reports whether only PostgreSQL compares values of type t: dates and ranges. A filter on such a field is not
// matched again in memory.
func (t Type) Opaque() bool {
	switch t.Elem() {
	case Date, DateRange, NumRange:
		return true
	}
	return false
}

// Relation returns how a filter with the extension rule overlaps, contains or within asks about a column of type t: the type
// of its operand, and the PostgreSQL operator with the operand on its left and the column, or an element of it, on its right.
// ok is false if the rule does not apply to t.
func (t Type) Relation(rule string) (operand Type, operator string, ok bool) {
	switch rule {
	case "overlaps":
		if t == NumRange || t == DateRange {
			return t, "&&", true
		}
	case "contains":
		switch t.Elem() {
		case NumRange:
			return Number, "<@", true
		case DateRange:
			return Date, "<@", true
		case Subnet:
			return IP, "<<", true
		}
	case "within":
		switch t.Elem() {
		case Number:
			return NumRange, "@>", true
		case Date:
			return DateRange, "@>", true
		case IP:
			return Subnet, ">>", true
		}
	}
	return 0, "", false
}
