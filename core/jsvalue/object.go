package jsvalue

import "errors"

// Object is an object in the text that JSON.stringify would print, with an index of its members. The zero Object is not
// usable; see [ParseObject].
type Object struct {
	text    []byte
	members []member
	plain   bool // no member name needs an escape: names can be compared as text
}

type member struct{ name, value span }

// ErrNotObject is returned for a value that is valid JSON but not an object.
var ErrNotObject = errors.New("not a JSON object")

// ParseObject parses text, one JSON object. Text that is already as JSON.stringify would print it is kept and shared with
// the Object; other text is printed anew. The error is a *[SyntaxError] or [ErrNotObject].
func ParseObject(text []byte) (*Object, error) {
	o := &Object{members: make([]member, 0, 20)}
	if err := o.Parse(text); err != nil {
		return nil, err
	}
	return o, nil
}

// Parse is [ParseObject] into an Object that exists, whose memory is used again. After an error o is not usable.
func (o *Object) Parse(text []byte) error {
	o.members = o.members[:0]
	s := scanners.Get().(*scanner)
	defer s.release()
	s.text, s.collect = text, o
	v, err := s.parse()
	switch {
	case err != nil:
		return err
	case v.Kind() != KindObject:
		return ErrNotObject
	case s.foreign:
		o.index(AppendPrinted(make([]byte, 0, len(v)), v))
	case len(v) != len(text): // blanks around it
		o.index(v)
	default:
		o.text = text
		o.findPlain()
	}
	return nil
}

// IndexObject makes an Object of v, an object that is known to stand as JSON.stringify prints it.
func IndexObject(v Value) *Object {
	o := &Object{members: make([]member, 0, 20)}
	o.index(v)
	return o
}

// index is [IndexObject] into an Object that exists.
func (o *Object) index(text []byte) {
	o.text, o.members = text, o.members[:0]
	for i := 1; text[i] != '}'; {
		name := span{i + 1, skipString(text, i) - 1}
		value := span{name.end + 2, skipValue(text, name.end+2)}
		o.members = append(o.members, member{name, value})
		if i = value.end; text[i] == ',' {
			i++
		}
	}
	o.findPlain()
}

func (o *Object) findPlain() {
	o.plain = true
	for _, m := range o.members {
		if indexEscape(o.text[m.name.start:m.name.end]) >= 0 {
			o.plain = false
		}
	}
}

// Text returns the text of o. It may hold lone surrogates in WTF-8; see [Sanitize].
func (o *Object) Text() Value { return o.text }

// Len returns the number of members.
func (o *Object) Len() int { return len(o.members) }

// At returns the name and the value of the i-th member.
func (o *Object) At(i int) (name string, value Value) {
	return o.name(i), o.value(i)
}

func (o *Object) name(i int) string {
	m := o.members[i]
	return Value(o.text[m.name.start-1 : m.name.end+1]).Text()
}

func (o *Object) value(i int) Value {
	m := o.members[i]
	return o.text[m.value.start:m.value.end:m.value.end]
}

// Get returns the value of the member with the given name, or nil.
func (o *Object) Get(name string) Value {
	if i := o.Find(name); i >= 0 {
		return o.value(i)
	}
	return nil
}

// Find returns the position of the member with the given name, or -1.
func (o *Object) Find(name string) int {
	for i, m := range o.members {
		if o.plain {
			if string(o.text[m.name.start:m.name.end]) == name {
				return i
			}
		} else if o.name(i) == name {
			return i
		}
	}
	return -1
}

// Edit is one change to an Object: the member Name gets Value, at its place if it exists, else at the end. A nil Value
// removes it. Value must be printed text.
type Edit struct {
	Name  string
	Value Value
}

// AppendEdited appends the text of o with the edits applied. A name that is an array index must not be added.
func (o *Object) AppendEdited(dst []byte, edits []Edit) []byte {
	if len(edits) == 0 {
		return append(dst, o.text...)
	}
	replaced := make([]*Edit, len(o.members))
	var added []*Edit
	for i := range edits {
		if at := o.Find(edits[i].Name); at >= 0 {
			replaced[at] = &edits[i]
		} else if edits[i].Value != nil {
			added = append(added, &edits[i])
		}
	}
	dst = append(dst, '{')
	first := true
	next := func() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
	}
	for i, m := range o.members {
		value := o.value(i)
		if replaced[i] != nil {
			value = replaced[i].Value
		}
		if value == nil {
			continue
		}
		next()
		dst = append(dst, o.text[m.name.start-1:m.name.end+2]...) // "name":
		dst = append(dst, value...)
	}
	for _, e := range added {
		next()
		dst = append(append(AppendString(dst, e.Name), ':'), e.Value...)
	}
	return append(dst, '}')
}
