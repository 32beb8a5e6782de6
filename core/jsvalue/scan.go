package jsvalue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"
	"unicode/utf8"
)

// MaxDepth is the deepest nesting of arrays and objects that [Parse] accepts. It bounds the stack that a hostile text can
// ask for, and the time that it can cost to put the members of nested objects in order.
const MaxDepth = 1000

// SyntaxError says where a text stops being JSON.
type SyntaxError struct {
	Offset int    // of the first byte that cannot be
	What   string // what is wrong there
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.What, e.Offset) }

// Parse checks that text is one JSON value in UTF-8 and returns it without the blanks around it. The error is a
// *[SyntaxError].
func Parse(text []byte) (Value, error) {
	v, _, err := ParsePrinted(text)
	return v, err
}

// ParsePrinted is Parse, and reports besides whether the value already stands as JSON.stringify would print it: then the
// text can be kept, otherwise [AppendPrinted] makes it so.
func ParsePrinted(text []byte) (v Value, printed bool, err error) {
	s := scanners.Get().(*scanner)
	defer s.release()
	s.text = text
	v, err = s.parse()
	return v, !s.foreign, err
}

// scanner walks a text once. It checks the grammar and notes what JSON.stringify would have written otherwise.
type scanner struct {
	text    []byte
	foreign bool // something is not as JSON.stringify prints it
	depth   int
	names   []span  // of the objects that are open, innermost last
	collect *Object // gets the members of the outermost object; may be nil
	err     *SyntaxError
}

var scanners = sync.Pool{New: func() any { return &scanner{names: make([]span, 0, 24)} }}

// maxPooledNames bounds the memory that a scanner keeps for the next text.
const maxPooledNames = 1000

func (s *scanner) release() {
	if cap(s.names) <= maxPooledNames {
		*s = scanner{names: s.names[:0]}
		scanners.Put(s)
	}
}

// span is a piece of the text.
type span struct{ start, end int }

func (s *scanner) parse() (Value, error) {
	start := skipBlanks(s.text, 0)
	end := s.value(start)
	if end < 0 {
		return nil, s.err
	}
	if rest := skipBlanks(s.text, end); rest != len(s.text) {
		return nil, &SyntaxError{rest, "text behind the value"}
	}
	return Value(s.text[start:end:end]), nil
}

// fail records the first error and returns the end that no value has.
func (s *scanner) fail(at int, what string) int {
	if at >= len(s.text) {
		what = "unexpected end"
	}
	s.err = &SyntaxError{at, what}
	return -1
}

// value returns the end of the value that starts at i, or -1.
func (s *scanner) value(i int) int {
	if i >= len(s.text) {
		return s.fail(i, "")
	}
	switch c := s.text[i]; {
	case c == '"':
		return s.string(i)
	case c == '{':
		return s.object(i)
	case c == '[':
		return s.array(i)
	case c == '-' || c-'0' <= 9:
		return s.number(i)
	case c == 't':
		return s.word(i, "true")
	case c == 'f':
		return s.word(i, "false")
	case c == 'n':
		return s.word(i, "null")
	}
	return s.fail(i, "unexpected character")
}

func (s *scanner) word(i int, word string) int {
	end := i + len(word)
	if end > len(s.text) || string(s.text[i:end]) != word {
		return s.fail(i, "unexpected word")
	}
	return end
}

// blanks skips white space, which JSON.stringify never prints.
func (s *scanner) blanks(i int) int {
	if i < len(s.text) && s.text[i] > ' ' {
		return i
	}
	return s.skipBlanks(i)
}

func (s *scanner) skipBlanks(i int) int {
	end := skipBlanks(s.text, i)
	if end > i {
		s.foreign = true
	}
	return end
}

func (s *scanner) enter(i int) bool {
	if s.depth++; s.depth > MaxDepth {
		s.fail(i, "nesting is too deep")
		return false
	}
	return true
}

func (s *scanner) array(i int) int {
	if !s.enter(i) {
		return -1
	}
	i = s.blanks(i + 1)
	if i < len(s.text) && s.text[i] == ']' {
		s.depth--
		return i + 1
	}
	for {
		if i = s.value(i); i < 0 {
			return -1
		}
		i = s.blanks(i)
		if i >= len(s.text) {
			return s.fail(i, "")
		}
		switch s.text[i] {
		case ']':
			s.depth--
			return i + 1
		case ',':
			i = s.blanks(i + 1)
		default:
			return s.fail(i, "expected , or ] in an array")
		}
	}
}

func (s *scanner) object(i int) int {
	if !s.enter(i) {
		return -1
	}
	base := len(s.names)
	i = s.blanks(i + 1)
	if i < len(s.text) && s.text[i] == '}' {
		s.depth--
		return i + 1
	}
	for {
		if i >= len(s.text) || s.text[i] != '"' {
			return s.fail(i, "expected a member name")
		}
		name := span{start: i + 1}
		if i = s.string(i); i < 0 {
			return -1
		}
		name.end = i - 1
		s.names = append(s.names, name)
		i = s.blanks(i)
		if i >= len(s.text) || s.text[i] != ':' {
			return s.fail(i, "expected : after a member name")
		}
		start := s.blanks(i + 1)
		if i = s.value(start); i < 0 {
			return -1
		}
		if s.collect != nil && s.depth == 1 {
			s.collect.members = append(s.collect.members, member{name: name, value: span{start, i}})
		}
		i = s.blanks(i)
		if i >= len(s.text) {
			return s.fail(i, "")
		}
		switch s.text[i] {
		case '}':
			if !s.foreign && !s.inOrder(s.names[base:]) {
				s.foreign = true
			}
			s.names = s.names[:base]
			s.depth--
			return i + 1
		case ',':
			i = s.blanks(i + 1)
		default:
			return s.fail(i, "expected , or } in an object")
		}
	}
}

// inOrder reports whether names could be the names of an object in a JavaScript engine: no name twice, and those that are
// array indexes first, ascending.
func (s *scanner) inOrder(names []span) bool {
	last, named := int64(-1), false
	for _, n := range names {
		index, ok := arrayIndex(s.text[n.start:n.end])
		switch {
		case !ok:
			named = true
		case named || index <= last:
			return false
		default:
			last = index
		}
	}
	return s.distinct(names)
}

// distinct reports whether no two names have the same text.
func (s *scanner) distinct(names []span) bool {
	if len(names) > 128 {
		seen := make(map[string]struct{}, len(names))
		for _, n := range names {
			seen[string(s.text[n.start:n.end])] = struct{}{}
		}
		return len(seen) == len(names)
	}
	var seen [4]uint64 // hashes: only names that share one have to be compared
	for i, n := range names {
		name := s.text[n.start:n.end]
		h := hashName(name)
		word, bit := &seen[h>>6], uint64(1)<<(h&63)
		if *word&bit != 0 {
			for _, other := range names[:i] {
				if string(name) == string(s.text[other.start:other.end]) {
					return false
				}
			}
		}
		*word |= bit
	}
	return true
}

// hashName mixes what tells names apart in practice: the length, the first and the last bytes.
func hashName(name []byte) uint8 {
	h := uint32(len(name)) * 0x9E3779B1
	if n := len(name); n >= 4 {
		h ^= binary.LittleEndian.Uint32(name)
		h = h*0x85EBCA6B ^ binary.LittleEndian.Uint32(name[n-4:])
	} else {
		for _, c := range name {
			h = h*31 + uint32(c)
		}
	}
	h *= 0x9E3779B1
	return uint8(h >> 24)
}

// arrayIndex returns the number that name is the canonical form of, if a JavaScript engine takes it for an array index.
func arrayIndex(name []byte) (int64, bool) {
	if len(name) == 0 || len(name) > 10 || name[0] == '0' && len(name) > 1 {
		return 0, false
	}
	var n int64
	for _, c := range name {
		if c -= '0'; c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	return n, n <= 4294967294
}

// string returns the end of the string whose opening quote is at i.
func (s *scanner) string(i int) int {
	text := s.text
	for i++; ; {
		// Eight bytes at a time while none of them is special.
		for i+8 <= len(text) {
			if n := plainBytes(binary.LittleEndian.Uint64(text[i:])); n < 8 {
				i += n
				break
			}
			i += 8
		}
		if i >= len(text) {
			return s.fail(i, "")
		}
		switch c := text[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i = s.escape(i); i < 0 {
				return -1
			}
		case c < ' ':
			return s.fail(i, "control character in a string")
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && size == 1 {
				return s.fail(i, "invalid UTF-8")
			}
			i += size
		}
	}
}

// plainBytes returns how many of the eight bytes of w, from the lowest, are neither a quote, a backslash, a control
// character nor outside ASCII.
func plainBytes(w uint64) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote := w ^ ones*'"'
	slash := w ^ ones*'\\'
	special := (quote-ones)&^quote | (slash-ones)&^slash | (w-ones*' ')&^w | w
	return bits.TrailingZeros64(special&highs) / 8
}

// escape returns the end of the escape sequence at i.
func (s *scanner) escape(i int) int {
	if i+1 >= len(s.text) {
		return s.fail(i+1, "")
	}
	switch s.text[i+1] {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case '/':
		s.foreign = true
		return i + 2
	case 'u':
		unit, ok := hexUnit(s.text, i+2)
		if !ok {
			return s.fail(i, "bad escape in a string")
		}
		if !s.foreign && string(s.text[i:i+6]) != printedEscape(unit) {
			s.foreign = true
		}
		return i + 6
	}
	return s.fail(i, "bad escape in a string")
}

// maxExact is 2^53, up to which a double holds every integer.
const maxExact = "9007199254740992"

// number returns the end of the number at i.
func (s *scanner) number(i int) int {
	start, text := i, s.text
	if text[i] == '-' {
		i++
	}
	whole := i
	if i = skipDigits(text, i); i == whole {
		return s.fail(i, "bad number")
	}
	if i-whole > 1 && text[whole] == '0' {
		return s.fail(whole, "leading zero in a number")
	}
	// Integers that a double holds exactly print as they stand, but for -0.
	simple := (i-whole <= 15 || i-whole == 16 && string(text[whole:i]) <= maxExact) && (start == whole || text[whole] != '0')
	if i < len(text) && text[i] == '.' {
		from := i + 1
		if i = skipDigits(text, from); i == from {
			return s.fail(i, "bad number")
		}
		simple = false
	}
	if i < len(text) && text[i]|0x20 == 'e' {
		if i++; i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		from := i
		if i = skipDigits(text, from); i == from {
			return s.fail(i, "bad number")
		}
		simple = false
	}
	if !simple && !s.foreign && !printedNumber(text[start:i]) {
		s.foreign = true
	}
	return i
}

func skipDigits(text []byte, i int) int {
	for i < len(text) && text[i]-'0' <= 9 {
		i++
	}
	return i
}

func skipBlanks(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns the end of the valid value that starts at i.
func skipValue(text []byte, i int) int {
	depth := 0
	for {
		switch text[i] {
		case '"':
			i = skipString(text, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ' ', '\n', '\t', '\r', ',', ':':
			i++
			continue
		default:
			for i++; i < len(text) && !delimiter(text[i]); i++ {
			}
		}
		if depth == 0 {
			return i
		}
	}
}

func delimiter(c byte) bool {
	switch c {
	case ',', ']', '}', ' ', '\n', '\t', '\r':
		return true
	}
	return false
}

// skipString returns the end of the valid string that starts at i.
func skipString(text []byte, i int) int {
	for i++; ; {
		i += bytes.IndexByte(text[i:], '"') + 1
		slash := i - 2
		for text[slash] == '\\' {
			slash--
		}
		if (i-slash)%2 == 0 { // an even number of backslashes: the quote is not escaped
			return i
		}
	}
}
