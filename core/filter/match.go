package filter

import (
	"strings"

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
	return test(object.Get(n.Attribute), n.Operand, func(v jsvalue.Value) bool {
		if n.Operand != nil {
			return n.Operand.Equal(v)
		}
		var buf [64]byte
		return v.Kind() == jsvalue.KindString && string(v.AppendText(buf[:0])) == n.Value
	})
}

func (n *GE) match(object Fields) verdict {
	return test(object.Get(n.Attribute), n.Operand, func(v jsvalue.Value) bool {
		order, ok := compare(v, n.Operand, n.Value)
		return ok && order >= 0
	})
}

func (n *LE) match(object Fields) verdict {
	return test(object.Get(n.Attribute), n.Operand, func(v jsvalue.Value) bool {
		order, ok := compare(v, n.Operand, n.Value)
		return ok && order <= 0
	})
}

func compare(v jsvalue.Value, operand Operand, text string) (order int, ok bool) {
	if operand != nil {
		return operand.Compare(v)
	}
	return coerce.CompareText(v, text)
}

// match leaves it undecided: core/query has refused the filter before.
func (n *Approx) match(Fields) verdict { return undecided }

func (n *Substring) match(object Fields) verdict {
	v := object.Get(n.Attribute)
	if v.IsNull() {
		v = nil // unlike null among the elements of an array, it has no string form here
	}
	return test(v, n.Column, func(v jsvalue.Value) bool {
		return v != nil && n.Pattern.fits(stringOf(v))
	})
}

func (n *Ext) match(object Fields) verdict {
	switch n.Canonical() {
	case CaseIgnoreMatch:
		return test(object.Get(n.Attribute), n.Column, func(v jsvalue.Value) bool {
			//lint:ignore SA6005 PostgreSQL compares lower() of both sides, and folding equals more than that
			return v.Kind() == jsvalue.KindString && strings.ToLower(v.Text()) == strings.ToLower(n.Value)
		})
	case CaseIgnoreSubstrings:
		return test(object.Get(n.Attribute), n.Column, func(v jsvalue.Value) bool {
			return v.Kind() == jsvalue.KindString && n.Pattern != nil && n.Pattern.fits(strings.ToLower(v.Text()))
		})
	}
	return undecided // PostgreSQL's own, or refused by core/query
}

// test asks passes about v, or about the elements of v if it is an array; one of them suffices.
func test(v jsvalue.Value, column Column, passes func(jsvalue.Value) bool) verdict {
	if column != nil && column.Opaque() {
		return undecided
	}
	if v.Kind() != jsvalue.KindArray {
		return verdictOf(passes(v))
	}
	for e := range v.Elements() {
		if passes(e) {
			return yes
		}
	}
	if column != nil && !column.Array() {
		return undecided // the column is made of the whole array
	}
	return no
}

func stringOf(v jsvalue.Value) string {
	if v.Kind() == jsvalue.KindString {
		return v.Text()
	}
	var buf [64]byte
	return string(coerce.AppendString(buf[:0], v))
}
