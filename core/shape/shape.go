// Package shape checks that JSON values have the shape that a caller must send, and words what is wrong as the original's
// validator did (ajv 4 with draft-4 schemas). Clients compare those texts, and the order of the checks decides which one
// they see; both are the reason for a validator of our own.
//
// A [Shape] is data: the tables of options and bucket definitions are made of the types here. Shapes are immutable and safe
// for concurrent use.
package shape

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// Shape is what a value must be like.
type Shape interface {
	// check returns the problems of v, which stands at path; none if v has the shape. Only AnyOf returns more than one.
	check(path string, v jsvalue.Value) []string
}

// Check returns "" if v has the shape s, else the text of what is wrong. The text begins with name, the value's own name.
func Check(s Shape, name string, v jsvalue.Value) string {
	return strings.Join(s.check(name, v), ", ")
}

// String is a string.
type String struct {
	MinLength, MaxLength int // in UTF-16 units; 0 is no bound
	UUID                 bool
	OrNull               bool
}

var uuid = regexp.MustCompile(`^(?i:urn:uuid:)?[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)

func (s String) check(path string, v jsvalue.Value) []string {
	switch {
	case v.IsNull() && s.OrNull:
		return nil
	case v.Kind() != jsvalue.KindString && s.OrNull:
		return problem(path, "should be null,string")
	case v.Kind() != jsvalue.KindString:
		return problem(path, "should be string")
	}
	if s.MinLength == 0 && s.MaxLength == 0 && !s.UUID {
		return nil
	}
	var buf [64]byte
	text := v.AppendText(buf[:0])
	switch n := units(text); {
	case n < s.MinLength:
		return problem(path, "should NOT be shorter than "+strconv.Itoa(s.MinLength)+" characters")
	case s.MaxLength > 0 && n > s.MaxLength:
		return problem(path, "should NOT be longer than "+strconv.Itoa(s.MaxLength)+" characters")
	case s.UUID && !isUUID(text):
		return problem(path, `should match format "uuid"`)
	}
	return nil
}

// isUUID is the common case of the format without the regular expression.
func isUUID(text []byte) bool {
	if len(text) != 36 {
		return uuid.MatchString(string(text)) // a copy, so that text can be on the caller's stack
	}
	for i := range len(text) {
		c := text[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if c-'0' > 9 && (c|0x20)-'a' > 5 {
			return false
		}
	}
	return true
}

func units(text []byte) int {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return len(utf16.Encode([]rune(string(text))))
		}
	}
	return len(text)
}

// Boolean is true or false.
type Boolean struct{}

func (Boolean) check(path string, v jsvalue.Value) []string {
	if v.Kind() != jsvalue.KindBool {
		return problem(path, "should be boolean")
	}
	return nil
}

// Integer is a number without a fraction that is not negative. With OrDigits a string of decimal digits is one too.
type Integer struct{ OrDigits bool }

func (s Integer) check(path string, v jsvalue.Value) []string {
	types := "should be integer"
	if s.OrDigits {
		types = "should be integer,string"
	}
	switch v.Kind() {
	case jsvalue.KindNumber:
		switch f := v.Float(); {
		case f < 0:
			return problem(path, "should be >= 0")
		case f != math.Trunc(f) || math.IsInf(f, 1):
			return problem(path, types)
		}
		return nil
	case jsvalue.KindString:
		if !s.OrDigits {
			break
		}
		if text := v.Text(); text == "" || strings.Trim(text, "0123456789") != "" {
			return problem(path, `should match pattern "^[0-9]+$"`)
		}
		return nil
	}
	return problem(path, types)
}

// Enum is one of the given strings.
type Enum struct {
	Values []string
	Listed []string // as the message lists them, where that differs
}

func (s Enum) check(path string, v jsvalue.Value) []string {
	if v.Kind() == jsvalue.KindString {
		text := v.Text()
		for _, one := range s.Values {
			if one == text {
				return nil
			}
		}
	}
	listed := s.Listed
	if listed == nil {
		listed = s.Values
	}
	quoted := make([]string, len(listed))
	for i, one := range listed {
		quoted[i] = `"` + one + `"`
	}
	return problem(path, "should be equal to one of the allowed values ("+strings.Join(quoted, ", ")+")")
}

// Array is an array of elements of one shape; a nil Elements accepts all.
type Array struct{ Elements Shape }

func (s Array) check(path string, v jsvalue.Value) []string {
	if v.Kind() != jsvalue.KindArray {
		return problem(path, "should be array")
	}
	if s.Elements == nil {
		return nil
	}
	i := 0
	for e := range v.Elements() {
		if found := s.Elements.check(path+"["+strconv.Itoa(i)+"]", e); found != nil {
			return found
		}
		i++
	}
	return nil
}

// Object is an object. A member called hasOwnProperty is refused, because the original asks objects by that name, unless
// the object is Closed or Plain.
type Object struct {
	Properties []Property // in the order in which they are checked
	Closed     bool       // no other members than Properties
	Members    Shape      // what every member must be like, whatever its name; nil accepts all
	Plain      bool       // no special names
}

// Property is a member that an Object knows by name.
type Property struct {
	Name     string
	Shape    Shape
	Required bool
}

func (s Object) check(path string, v jsvalue.Value) []string {
	if v.Kind() != jsvalue.KindObject {
		return problem(path, "should be object")
	}
	if s.fits(v) {
		return nil
	}
	return s.problem(path, v)
}

// fits walks the members once. It is quick for the common case that all is well; where it is not, only [Object.problem]
// knows which problem comes first, and whether there is one: of members with one name the last counts.
func (s Object) fits(v jsvalue.Value) bool {
	missing := s.required()
	for name, member := range v.RawMembers() {
		if !s.Closed && !s.Plain && string(name) == hasOwnProperty {
			return false
		}
		if s.Members != nil && s.Members.check("", member) != nil {
			return false
		}
		p := s.property(name)
		switch {
		case p == nil && s.Closed, p != nil && p.Shape.check("", member) != nil:
			return false
		case p != nil && p.Required:
			missing--
		}
	}
	return missing == 0
}

const hasOwnProperty = "hasOwnProperty"

// problem returns the problem of v, an object, that the original finds first.
func (s Object) problem(path string, v jsvalue.Value) []string {
	if s.Closed {
		for name := range v.RawMembers() {
			if s.property(name) == nil {
				return problem(path, "should NOT have additional properties")
			}
		}
	}
	for _, p := range s.Properties {
		member := v.Member(p.Name)
		if member == nil {
			if p.Required {
				return problem(path, "should have required property '"+p.Name+"'")
			}
			continue
		}
		if found := p.Shape.check(path+"."+p.Name, member); found != nil {
			return found
		}
	}
	if s.Members != nil {
		for name, member := range v.RawMembers() {
			if string(name) == hasOwnProperty && !s.Plain {
				continue // reported below
			}
			if found := s.Members.check(path+"['"+string(name)+"']", member); found != nil {
				return found
			}
		}
	}
	if !s.Closed && !s.Plain && v.Member(hasOwnProperty) != nil {
		return problem(path+"."+hasOwnProperty, "should NOT be valid")
	}
	return nil
}

func (s Object) required() (n int) {
	for i := range s.Properties {
		if s.Properties[i].Required {
			n++
		}
	}
	return n
}

func (s Object) property(name []byte) *Property {
	for i := range s.Properties {
		if s.Properties[i].Name == string(name) {
			return &s.Properties[i]
		}
	}
	return nil
}

// AnyOf is a value of at least one of the shapes.
type AnyOf []Shape

func (s AnyOf) check(path string, v jsvalue.Value) []string {
	var all []string
	for _, one := range s {
		found := one.check(path, v)
		if found == nil {
			return nil
		}
		all = append(all, found...)
	}
	return append(all, path+" should match some schema in anyOf")
}

func problem(path, text string) []string { return []string{path + " " + text} }
