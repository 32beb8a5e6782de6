// Package filter reads the filters of find, update and delete, prints them, and matches objects against them in memory.
//
// The language is that of LDAP search filters with the original Moray's changes: no blanks, and extension rules of its own.
// Attributes are names here and nothing more; core/query knows which of them are columns, and makes the SQL.
package filter

import "github.com/kaizengarden/moray/core/jsvalue"

// Node is a filter: *[And], *[Or], *[Not], *[Present], *[Equal], *[GE], *[LE], *[Approx], *[Substring] or *[Ext].
//
// A tree belongs to the request that parsed it. core/query changes it while it compiles it (see [Column]); from then on it may
// be used by several goroutines.
type Node interface {
	// String returns the printed form, which error messages use. [Parse] reads it as the same filter, except that it does not
	// escape the values of extensions.
	String() string
	// Match reports whether the filter accepts an object that PostgreSQL selected. See [Column] for the leaves whose answer
	// only PostgreSQL knows: a row is refused only if the other leaves say so, whatever PostgreSQL's answer was.
	Match(object Fields) bool

	appendTo(dst []byte) []byte
	match(object Fields) verdict
}

// Fields is an object to match.
type Fields interface {
	// Get returns the member with the name attribute, in printed form. Without one it returns the first member, in the
	// object's order, whose name is equal after both are converted to lower case, and otherwise nil. Besides the object's
	// own members there are the temporary ones that the request adds, _id and the like. The result must stay as it is until
	// Match returns.
	Get(attribute string) jsvalue.Value
}

// Column is what core/query leaves in a leaf that PostgreSQL compares with a typed column.
type Column interface {
	// Array reports whether the column is of an array type. If it is not, and the object has an array all the same, then the
	// column holds something made of the whole array, and PostgreSQL may have accepted that where no element passes.
	Array() bool
	// Opaque reports whether only PostgreSQL can compare the column. Such a leaf is not tested in memory.
	Opaque() bool
}

// Operand is a Column with the leaf's operand converted to the column's type.
type Operand interface {
	Column
	// Equal reports whether v, a value or an element of an array, equals the operand.
	Equal(v jsvalue.Value) bool
	// Compare orders v and the operand: negative if v comes first, 0, or positive. ok is false if they have no order.
	Compare(v jsvalue.Value) (order int, ok bool)
}

// And accepts what all of its children accept. It has at least one.
type And struct{ Children []Node }

// Or accepts what one of its children accepts. It has at least one.
type Or struct{ Children []Node }

// Not accepts what its child does not accept.
type Not struct{ Child Node }

// Present accepts objects that have the attribute, if it is not null.
type Present struct {
	Attribute string
	Column    Column // nil unless the attribute was translated to SQL
}

// Equal accepts objects whose attribute, or an element of it, equals the value.
type Equal struct {
	Attribute string
	Value     string  // unescaped
	Operand   Operand // nil unless the leaf was translated to SQL; then it counts instead of Value
}

// GE accepts objects whose attribute, or an element of it, is the value or comes after it.
type GE struct {
	Attribute string
	Value     string  // unescaped
	Operand   Operand // as in Equal
}

// LE accepts objects whose attribute, or an element of it, is the value or comes before it.
type LE struct {
	Attribute string
	Value     string  // unescaped
	Operand   Operand // as in Equal
}

// Approx can be written, but core/query refuses it.
type Approx struct {
	Attribute string
	Value     string // unescaped
}

// Substring accepts objects whose attribute, or an element of it, has a string form that fits the pattern.
type Substring struct {
	Attribute string
	Pattern   Pattern
	Column    Column // nil unless the leaf was translated to SQL
}

// Ext is a filter with an extension rule. core/query refuses all but those below.
type Ext struct {
	Attribute string // may be empty
	DN        bool   // the flag dn, which has no effect
	Rule      string // as written; "" if there is none. See Ext.Canonical
	Value     string // unescaped
	// Pattern is Value in lower case, cut at its unescaped stars, if the rule is CaseIgnoreSubstrings. It is nil for other
	// rules, and for a value without a star or with nothing else, which is no pattern.
	Pattern *Pattern
	Column  Column // nil unless the leaf was translated to SQL
}

// The rules that an Ext can have.
const (
	CaseIgnoreMatch      = "caseIgnoreMatch"           // equal, ignoring case; strings only
	CaseIgnoreSubstrings = "caseIgnoreSubstringsMatch" // fits the pattern, ignoring case; strings only
	Overlaps             = "overlaps"                  // these three are PostgreSQL's alone
	Contains             = "contains"
	Within               = "within"
)

// Canonical returns the rule by the first of its names.
func (n *Ext) Canonical() string {
	switch n.Rule {
	case "2.5.13.2":
		return CaseIgnoreMatch
	case "2.5.13.4":
		return CaseIgnoreSubstrings
	}
	return n.Rule
}

// The methods of Node. String and Match only stand in front of what print.go and match.go do.

func (n *And) String() string       { return string(n.appendTo(nil)) }
func (n *Or) String() string        { return string(n.appendTo(nil)) }
func (n *Not) String() string       { return string(n.appendTo(nil)) }
func (n *Present) String() string   { return string(n.appendTo(nil)) }
func (n *Equal) String() string     { return string(n.appendTo(nil)) }
func (n *GE) String() string        { return string(n.appendTo(nil)) }
func (n *LE) String() string        { return string(n.appendTo(nil)) }
func (n *Approx) String() string    { return string(n.appendTo(nil)) }
func (n *Substring) String() string { return string(n.appendTo(nil)) }
func (n *Ext) String() string       { return string(n.appendTo(nil)) }

func (n *And) Match(object Fields) bool       { return n.match(object) != no }
func (n *Or) Match(object Fields) bool        { return n.match(object) != no }
func (n *Not) Match(object Fields) bool       { return n.match(object) != no }
func (n *Present) Match(object Fields) bool   { return n.match(object) != no }
func (n *Equal) Match(object Fields) bool     { return n.match(object) != no }
func (n *GE) Match(object Fields) bool        { return n.match(object) != no }
func (n *LE) Match(object Fields) bool        { return n.match(object) != no }
func (n *Approx) Match(object Fields) bool    { return n.match(object) != no }
func (n *Substring) Match(object Fields) bool { return n.match(object) != no }
func (n *Ext) Match(object Fields) bool       { return n.match(object) != no }
