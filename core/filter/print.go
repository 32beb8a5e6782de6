package filter

import "strings"

func (n *And) appendTo(dst []byte) []byte { return appendList(dst, '&', n.Children) }

func (n *Or) appendTo(dst []byte) []byte { return appendList(dst, '|', n.Children) }

func (n *Not) appendTo(dst []byte) []byte {
	return append(n.Child.appendTo(append(dst, "(!"...)), ')')
}

func (n *Present) appendTo(dst []byte) []byte {
	return append(append(append(dst, '('), n.Attribute...), "=*)"...)
}

func (n *Equal) appendTo(dst []byte) []byte { return appendItem(dst, n.Attribute, "=", n.Value) }

func (n *GE) appendTo(dst []byte) []byte { return appendItem(dst, n.Attribute, ">=", n.Value) }

func (n *LE) appendTo(dst []byte) []byte { return appendItem(dst, n.Attribute, "<=", n.Value) }

func (n *Approx) appendTo(dst []byte) []byte { return appendItem(dst, n.Attribute, "~=", n.Value) }

func (n *Substring) appendTo(dst []byte) []byte {
	dst = append(append(append(dst, '('), n.Attribute...), '=')
	dst = appendEscaped(dst, n.Pattern.Initial)
	for _, part := range n.Pattern.Any {
		dst = appendEscaped(append(dst, '*'), part)
	}
	return append(appendEscaped(append(dst, '*'), n.Pattern.Final), ')')
}

func (n *Ext) appendTo(dst []byte) []byte {
	dst = append(append(append(dst, '('), n.Attribute...), ':')
	if n.DN {
		dst = append(dst, "dn:"...)
	}
	if n.Rule != "" {
		dst = append(append(dst, n.Rule...), ':')
	}
	return append(append(append(dst, '='), n.Value...), ')')
}

func appendList(dst []byte, operator byte, children []Node) []byte {
	dst = append(dst, '(', operator)
	for _, child := range children {
		dst = child.appendTo(dst)
	}
	return append(dst, ')')
}

func appendItem(dst []byte, attribute, operator, value string) []byte {
	dst = append(append(append(dst, '('), attribute...), operator...)
	return append(appendEscaped(dst, value), ')')
}

// single are the characters that a backslash may stand before.
const single = `()*\=`

func appendEscaped(dst []byte, value string) []byte {
	for i := range len(value) {
		if strings.IndexByte(single, value[i]) >= 0 {
			dst = append(dst, '\\')
		}
		dst = append(dst, value[i])
	}
	return dst
}
