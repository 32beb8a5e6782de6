package jsvalue

import "slices"

// AppendPrinted appends v as JSON.stringify prints what JSON.parse makes of it: no blanks, names that are array indexes
// first, of equal names the last value at the place of the first, numbers and escapes in their shortest form. A lone
// surrogate is printed as its unit, in WTF-8, as Node.js 6 did; etags depend on it. See [Sanitize].
func AppendPrinted(dst []byte, v Value) []byte {
	p := printer{text: v, dst: dst}
	p.value(0)
	return p.dst
}

// printer walks a text once and prints it as it goes.
type printer struct {
	text []byte
	dst  []byte
}

// value prints the value at i and returns its end.
func (p *printer) value(i int) int {
	switch p.text[i] {
	case '{':
		return p.object(i)
	case '[':
		return p.array(i)
	case '"':
		end := skipString(p.text, i)
		p.string(p.text[i:end])
		return end
	}
	end := skipValue(p.text, i)
	if v := Value(p.text[i:end]); v.Kind() == KindNumber {
		p.dst = AppendNumber(p.dst, v.Float())
	} else {
		p.dst = append(p.dst, v...)
	}
	return end
}

func (p *printer) string(quoted Value) {
	if indexEscape(quoted) < 0 {
		p.dst = append(p.dst, quoted...)
		return
	}
	p.dst = AppendString(p.dst, quoted.AppendText(nil))
}

func (p *printer) array(i int) int {
	p.dst = append(p.dst, '[')
	for i = skipBlanks(p.text, i+1); p.text[i] != ']'; {
		i = skipBlanks(p.text, p.value(i))
		if p.text[i] == ',' {
			p.dst = append(p.dst, ',')
			i = skipBlanks(p.text, i+1)
		}
	}
	p.dst = append(p.dst, ']')
	return i + 1
}

// printed is a member of an object as it was printed, in the order of the text.
type printed struct {
	name  string
	index int64 // of a name that is an array index, else -1
	span        // name and value in the printer's output
}

// object prints the members in the order of the text first. Only if that is not the engine's order are they moved.
func (p *printer) object(i int) int {
	p.dst = append(p.dst, '{')
	start := len(p.dst)
	var members []printed
	ordered := true
	for i = skipBlanks(p.text, i+1); p.text[i] != '}'; {
		end := skipString(p.text, i)
		m := printed{name: Value(p.text[i:end]).Text(), index: -1, span: span{start: len(p.dst)}}
		if index, ok := arrayIndex([]byte(m.name)); ok {
			m.index = index
			ordered = ordered && (members == nil || members[len(members)-1].index >= 0 && members[len(members)-1].index < index)
		}
		p.dst = append(AppendString(p.dst, m.name), ':')
		i = p.value(skipBlanks(p.text, skipBlanks(p.text, end)+1))
		m.end = len(p.dst)
		members = append(members, m)
		if i = skipBlanks(p.text, i); p.text[i] == ',' {
			p.dst = append(p.dst, ',')
			i = skipBlanks(p.text, i+1)
		}
	}
	if !ordered || repeats(members) {
		p.arrange(start, members)
	}
	p.dst = append(p.dst, '}')
	return i + 1
}

func repeats(members []printed) bool {
	seen := make(map[string]struct{}, len(members))
	for _, m := range members {
		seen[m.name] = struct{}{}
	}
	return len(seen) < len(members)
}

// arrange prints members again, from start on, in the order that a JavaScript engine gives them.
func (p *printer) arrange(start int, members []printed) {
	place := map[string]int{}
	var unique []printed
	for _, m := range members {
		if at, ok := place[m.name]; ok {
			unique[at].span = m.span
			continue
		}
		place[m.name] = len(unique)
		unique = append(unique, m)
	}
	slices.SortStableFunc(unique, func(a, b printed) int {
		switch {
		case a.index < 0 && b.index < 0:
			return 0
		case a.index < 0:
			return 1
		case b.index < 0:
			return -1
		}
		return int(a.index - b.index)
	})
	out := make([]byte, 0, len(p.dst)-start)
	for i, m := range unique {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, p.dst[m.start:m.end]...)
	}
	p.dst = append(p.dst[:start], out...)
}
