package filter

import (
	"strings"
	"unicode/utf8"

	"github.com/kaizengarden/moray/core/field/coerce"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// verdict is the answer of a filter about an object that PostgreSQL selected. Some leaves only PostgreSQL can judge. Whether
// they passed is not known here, so logic has three values, ordered no < undecided < yes: AND is the least of its children, OR
// the greatest, and NOT turns the order around.
//
//	AND        no         undecided  yes          OR         no         undecided  yes          NOT
//	no         no         no         no           no         no         undecided  yes          yes
//	undecided  no         undecided  undecided    undecided  undecided  undecided  yes          undecided
//	yes        no         undecided  yes          yes        yes        yes        yes          no
//
// A row is refused only for no: then it fails whatever PostgreSQL found in the leaves that are its own.
type verdict uint8

const (
	no        verdict = iota
	undecided         // PostgreSQL alone knows
	yes
)

func verdictOf(passes bool) verdict {
	if passes {
		return yes
	}
	return no
}

func (n *And) match(object Fields) verdict {
	least := yes
	for _, child := range n.Children {
		if least = min(least, child.match(object)); least == no {
			break
		}
	}
	return least
}

func (n *Or) match(object Fields) verdict {
	greatest := no
	for _, child := range n.Children {
		if greatest = max(greatest, child.match(object)); greatest == yes {
			break
		}
	}
	return greatest
}

func (n *Not) match(object Fields) verdict { return yes - n.Child.match(object) }

func (n *Present) match(object Fields) verdict {
	if n.Column != nil && n.Column.Opaque() {
		return undecided
	}
	v := object.Get(n.Attribute)
	return verdictOf(v != nil && !v.IsNull())
}

func (n *Equal) match(object Fields) verdict {
	return test(object.Get(n.Attribute), n.Operand, func(v jsvalue.Value) verdict {
		if n.Operand != nil {
			return verdictOf(n.Operand.Equal(v))
		}
		var buf [64]byte
		return verdictOf(v.Kind() == jsvalue.KindString && string(v.AppendText(buf[:0])) == n.Value)
	})
}

func (n *GE) match(object Fields) verdict {
	return test(object.Get(n.Attribute), n.Operand, func(v jsvalue.Value) verdict {
		order, ok := compare(v, n.Operand, n.Value)
		return verdictOf(ok && order >= 0)
	})
}

func (n *LE) match(object Fields) verdict {
	return test(object.Get(n.Attribute), n.Operand, func(v jsvalue.Value) verdict {
		order, ok := compare(v, n.Operand, n.Value)
		return verdictOf(ok && order <= 0)
	})
}

// compare orders v and the operand of a leaf. JavaScript takes null for 0; in a column there is NULL then, which has no order.
func compare(v jsvalue.Value, operand Operand, text string) (order int, ok bool) {
	switch {
	case operand == nil:
		return coerce.CompareText(v, text)
	case v.IsNull():
		return 0, false
	}
	return operand.Compare(v)
}

// match leaves it undecided: core/query has refused the filter before.
func (n *Approx) match(Fields) verdict { return undecided }

func (n *Substring) match(object Fields) verdict {
	v := object.Get(n.Attribute)
	if v.IsNull() {
		v = nil // unlike null among the elements of an array, it has no string form here
	}
	return test(v, n.Column, func(v jsvalue.Value) verdict {
		if v == nil {
			return no
		}
		return fits(&n.Pattern, stringOf(v), n.Column)
	})
}

// fits reports whether the pattern fits text. The gaps of LIKE, unlike those of a pattern, reach over line breaks.
func fits(p *Pattern, text string, column Column) verdict {
	if column != nil && lineEnd(text) < len(text) {
		return undecided
	}
	return verdictOf(p.fits(text))
}

func (n *Ext) match(object Fields) verdict {
	passes := n.fits
	switch n.Canonical() {
	case CaseIgnoreMatch:
		passes = n.equals
	case CaseIgnoreSubstrings:
	default:
		return undecided // PostgreSQL's own, or refused by core/query
	}
	return test(object.Get(n.Attribute), n.Column, func(v jsvalue.Value) verdict {
		if v.Kind() != jsvalue.KindString {
			return no
		}
		text := v.Text()
		if n.Column != nil && !(isASCII(text) && isASCII(n.Value)) {
			return undecided // which letters beyond ASCII are the same is a matter of the database's locale
		}
		return passes(text)
	})
}

func (n *Ext) equals(text string) verdict {
	//lint:ignore SA6005 PostgreSQL compares lower() of both sides, and folding equals more than that
	return verdictOf(strings.ToLower(text) == strings.ToLower(n.Value))
}

func (n *Ext) fits(text string) verdict {
	if n.Pattern == nil {
		return no
	}
	return fits(n.Pattern, strings.ToLower(text), n.Column)
}

// test asks passes about v, or about the elements of v if it is an array; one of them suffices.
func test(v jsvalue.Value, column Column, passes func(jsvalue.Value) verdict) verdict {
	if column != nil && column.Opaque() {
		return undecided
	}
	if v.Kind() != jsvalue.KindArray {
		return passes(v)
	}
	greatest := no
	if column != nil && !column.Array() {
		greatest = undecided // the column is made of the whole array
	}
	for e := range v.Elements() {
		if greatest = max(greatest, passes(e)); greatest == yes {
			break
		}
	}
	return greatest
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func stringOf(v jsvalue.Value) string {
	if v.Kind() == jsvalue.KindString {
		return v.Text()
	}
	var buf [64]byte
	return string(coerce.AppendString(buf[:0], v))
}
