package filter

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxDepth is the deepest nesting of filters that [Parse] accepts. It bounds the stack that a hostile filter can ask for.
const MaxDepth = 10000

// maxLineBreaks is the highest number of line breaks in the parts of a pattern: it bounds the time to match one, see
// [Pattern].
const maxLineBreaks = 100

// SyntaxError says where a text stops being a filter.
type SyntaxError struct {
	Offset int    // of the first byte that cannot be
	Want   string // what should stand there
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("expected %s at byte %d", e.Want, e.Offset) }

// Parse reads a filter. The parentheses around the whole may be left out. The error is a *[SyntaxError].
//
// Escapes in values are \( \) \* \\ \= and a backslash with two hexadecimal digits. A run of the latter stands for the UTF-8
// text that its bytes form; if they form none, each stands for the character with that code.
func Parse(s string) (Node, error) {
	text, added := s, 0
	if !strings.HasPrefix(s, "(") {
		text, added = "("+s+")", 1
	}
	n, err := parse(text)
	if err != nil {
		err.Offset = min(err.Offset-added, len(s))
		return nil, err
	}
	return n, nil
}

func parse(text string) (Node, *SyntaxError) {
	p := parser{text: text}
	n, err := p.filter()
	if err != nil {
		return nil, err
	}
	if p.at < len(text) {
		return nil, p.expected("the end")
	}
	return n, nil
}

// parser is a recursive-descent parser; each method reads what it is named after.
type parser struct {
	text  string
	at    int // of the next byte
	depth int
}

func (p *parser) expected(want string) *SyntaxError { return &SyntaxError{p.at, want} }

// next returns the next byte without reading it, and 0 at the end.
func (p *parser) next() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

// skip reads token, if it comes next.
func (p *parser) skip(token string) bool {
	if !strings.HasPrefix(p.text[p.at:], token) {
		return false
	}
	p.at += len(token)
	return true
}

func (p *parser) filter() (Node, *SyntaxError) {
	if p.depth++; p.depth > MaxDepth {
		return nil, p.expected(fmt.Sprintf("at most %d levels", MaxDepth))
	}
	defer func() { p.depth-- }()
	if p.skip("!") {
		return p.not()
	}
	if !p.skip("(") {
		return nil, p.expected("(")
	}
	n, err := p.body()
	if err == nil && !p.skip(")") {
		err = p.expected(")")
	}
	return n, err
}

func (p *parser) body() (Node, *SyntaxError) {
	switch {
	case p.skip("&"):
		children, err := p.list()
		return &And{children}, err
	case p.skip("|"):
		children, err := p.list()
		return &Or{children}, err
	case p.skip("!"):
		return p.not()
	}
	return p.item()
}

func (p *parser) not() (Node, *SyntaxError) {
	child, err := p.filter()
	return &Not{child}, err
}

func (p *parser) list() ([]Node, *SyntaxError) {
	var nodes []Node
	for {
		n, err := p.filter()
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
		if p.next() == ')' || p.at == len(p.text) {
			return nodes, nil
		}
	}
}

func (p *parser) item() (Node, *SyntaxError) {
	attribute := p.attribute()
	switch {
	case p.next() == ':':
		return p.ext(attribute)
	case attribute == "":
		return nil, p.expected("an attribute, &, | or !")
	case p.skip("="):
		return p.equality(attribute)
	case p.skip(">="):
		value, err := p.value()
		return &GE{Attribute: attribute, Value: value}, err
	case p.skip("<="):
		value, err := p.value()
		return &LE{Attribute: attribute, Value: value}, err
	case p.skip("~="):
		value, err := p.value()
		return &Approx{attribute, value}, err
	}
	return nil, p.expected("an operator")
}

func (p *parser) attribute() string {
	start := p.at
	for c := p.next(); c|0x20 >= 'a' && c|0x20 <= 'z' || c-'0' <= 9 || c == '-' || c == '_'; c = p.next() {
		p.at++
	}
	return p.text[start:p.at]
}

// equality reads what is behind "=": a value, a pattern, or the star of Present.
func (p *parser) equality(attribute string) (Node, *SyntaxError) {
	parts, err := p.parts()
	switch {
	case err != nil:
		return nil, err
	case len(parts) == 1:
		return &Equal{Attribute: attribute, Value: parts[0]}, nil
	case loneStar(parts):
		return &Present{Attribute: attribute}, nil
	}
	pattern, err := p.pattern(parts)
	return &Substring{Attribute: attribute, Pattern: pattern}, err
}

// ext reads [:dn][:rule]:=value.
func (p *parser) ext(attribute string) (Node, *SyntaxError) {
	n := &Ext{Attribute: attribute}
	name, named, err := p.ruleName()
	if named && strings.EqualFold(name, "dn") {
		n.DN = true
		name, named, err = p.ruleName()
	}
	if named {
		n.Rule = name
		if !p.skip(":=") {
			err = p.expected(":=")
		}
	}
	if err != nil {
		return nil, err
	}
	parts, err := p.parts()
	if err != nil {
		return nil, err
	}
	n.Value = strings.Join(parts, "*")
	if n.Canonical() == CaseIgnoreSubstrings && len(parts) > 1 && !loneStar(parts) {
		for i := range parts {
			parts[i] = strings.ToLower(parts[i])
		}
		pattern, err := p.pattern(parts)
		n.Pattern = &pattern
		return n, err
	}
	return n, nil
}

// ruleName reads a colon and the name behind it, or ":=", which is the end of the names.
func (p *parser) ruleName() (name string, named bool, err *SyntaxError) {
	if p.skip(":=") {
		return "", false, nil
	}
	if !p.skip(":") {
		return "", false, p.expected(":=")
	}
	start := p.at
	for c := p.next(); c != ':' && c != ')' && p.at < len(p.text); c = p.next() {
		p.at++
	}
	return p.text[start:p.at], true, nil
}

// value reads a value in which stars are ordinary characters.
func (p *parser) value() (string, *SyntaxError) {
	parts, err := p.parts()
	return strings.Join(parts, "*"), err
}

// parts reads a value up to the parenthesis that ends it, and returns it unescaped and cut at its unescaped stars.
func (p *parser) parts() (parts []string, err *SyntaxError) {
	var part []byte
	for p.at < len(p.text) {
		switch c := p.text[p.at]; c {
		case ')':
			return append(parts, string(part)), nil
		case '(':
			return nil, p.expected(`a value without "("`)
		case '\\':
			if part, err = p.escape(part); err != nil {
				return nil, err
			}
			continue
		case '*':
			parts = append(parts, string(part))
			part = part[:0]
		default:
			part = append(part, c)
		}
		p.at++
	}
	return nil, p.expected(")")
}

// escape reads an escaped character, or a run of hexadecimal escapes, and appends what it stands for.
func (p *parser) escape(dst []byte) ([]byte, *SyntaxError) {
	run := p.octets()
	switch {
	case len(run) == 0:
		p.at++
		if p.at == len(p.text) || strings.IndexByte(single, p.text[p.at]) < 0 {
			return nil, p.expected("two hexadecimal digits or one of " + single)
		}
		p.at++
		return append(dst, p.text[p.at-1]), nil
	case utf8.Valid(run):
		return append(dst, run...), nil
	}
	for _, octet := range run {
		dst = utf8.AppendRune(dst, rune(octet))
	}
	return dst, nil
}

// octets reads a run of hexadecimal escapes.
func (p *parser) octets() []byte {
	var run []byte
	for len(p.text)-p.at >= 3 && p.text[p.at] == '\\' {
		var octet [1]byte
		if _, err := hex.Decode(octet[:], []byte(p.text[p.at+1:p.at+3])); err != nil {
			break
		}
		run = append(run, octet[0])
		p.at += 3
	}
	return run
}

// loneStar reports whether parts are those of "*".
func loneStar(parts []string) bool { return len(parts) == 2 && parts[0] == "" && parts[1] == "" }

// pattern makes a Pattern of two parts or more, which have just been read.
func (p *parser) pattern(parts []string) (Pattern, *SyntaxError) {
	breaks := 0
	for _, part := range parts {
		breaks += lineBreaks(part)
	}
	if breaks > maxLineBreaks {
		return Pattern{}, p.expected(fmt.Sprintf("at most %d line breaks in a pattern", maxLineBreaks))
	}
	last := len(parts) - 1
	return Pattern{Initial: parts[0], Any: parts[1:last:last], Final: parts[last]}, nil
}
