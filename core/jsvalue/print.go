package jsvalue

import (
	"slices"
)

// AppendPrinted appends v as JSON.stringify prints what JSON.parse makes of it: no blanks, names that are array indexes
// first, of equal names the last value at the place of the first, numbers and escapes in their shortest form. A lone
// surrogate is printed as its unit, in WTF-8, as Node.js 6 did; etags depend on it. See [Sanitize].
func AppendPrinted(dst []byte, v Value) []byte {
	switch v.Kind() {
	case KindNumber:
		return AppendNumber(dst, v.Float())
	case KindString:
		if indexEscape(v) < 0 {
			return append(dst, v...)
		}
		return AppendString(dst, v.AppendText(nil))
	case KindArray:
		dst = append(dst, '[')
		first := true
		for e := range v.Elements() {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = AppendPrinted(dst, e)
		}
		return append(dst, ']')
	case KindObject:
		return appendPrintedObject(dst, v)
	}
	return append(dst, v...)
}

func appendPrintedObject(dst []byte, v Value) []byte {
	type property struct {
		name  string
		index int64
		value Value
	}
	var indexed, named []property
	place := map[string]int{}
	for name, value := range v.Members() {
		index, ok := arrayIndex([]byte(name))
		group := &named
		if ok {
			group = &indexed
		}
		if at, ok := place[name]; ok {
			(*group)[at].value = value
			continue
		}
		place[name] = len(*group)
		*group = append(*group, property{name, index, value})
	}
	slices.SortFunc(indexed, func(a, b property) int { return int(a.index - b.index) })

	dst = append(dst, '{')
	for i, p := range append(indexed, named...) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, p.name), ':')
		dst = AppendPrinted(dst, p.value)
	}
	return append(dst, '}')
}
