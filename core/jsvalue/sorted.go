package jsvalue

import "slices"

// AppendSorted appends v as [AppendPrinted] does, but with the members of each object in the order of their names. Two values
// that differ only in the order of members have the same text.
func AppendSorted(dst []byte, v Value) []byte {
	switch v.Kind() {
	case KindArray:
		dst = append(dst, '[')
		first := true
		for e := range v.Elements() {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = AppendSorted(dst, e)
		}
		return append(dst, ']')
	case KindObject:
		members := map[string]Value{} // of equal names the last counts
		var names []string
		for name, member := range v.Members() {
			if members[name] == nil {
				names = append(names, name)
			}
			members[name] = member
		}
		slices.Sort(names)
		dst = append(dst, '{')
		for i, name := range names {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(AppendString(dst, name), ':')
			dst = AppendSorted(dst, members[name])
		}
		return append(dst, '}')
	}
	return AppendPrinted(dst, v)
}
