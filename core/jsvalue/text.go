package jsvalue

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendString appends s as JSON.stringify prints it: escapes for the quote, the backslash and control characters only.
func AppendString[S ~string | ~[]byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			dst = append(dst, s[from:i]...)
			dst = append(dst, printedEscape(uint16(c))...)
			from = i + 1
		}
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

// printedEscape returns the escape sequence that JSON.stringify writes for a UTF-16 unit, or "" if it writes the unit as
// it is.
func printedEscape(unit uint16) string {
	switch {
	case unit == '"':
		return `\"`
	case unit == '\\':
		return `\\`
	case unit < uint16(len(controlEscapes)):
		return controlEscapes[unit]
	}
	return ""
}

var controlEscapes = func() (e [' ']string) {
	const hex = "0123456789abcdef"
	for c := range e {
		e[c] = `\u00` + string(hex[c>>4]) + string(hex[c&15])
	}
	e['\b'], e['\t'], e['\n'], e['\f'], e['\r'] = `\b`, `\t`, `\n`, `\f`, `\r`
	return e
}()

func indexEscape(body []byte) int { return bytes.IndexByte(body, '\\') }

// appendUnescaped appends the string that body stands for; its first escape sequence is at escape.
func appendUnescaped(dst, body []byte, escape int) []byte {
	for {
		dst = append(dst, body[:escape]...)
		body = body[escape+1:]
		size := 1
		switch c := body[0]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			dst, size = appendUnit(dst, body)
		default:
			dst = append(dst, c)
		}
		body = body[size:]
		if escape = indexEscape(body); escape < 0 {
			return append(dst, body...)
		}
	}
}

// appendUnit appends what the escape at the start of body, uXXXX or the pair uXXXX\uXXXX, stands for, and returns its
// length. A surrogate without its partner is appended in WTF-8.
func appendUnit(dst, body []byte) ([]byte, int) {
	unit, _ := hexUnit(body, 1)
	if !utf16.IsSurrogate(rune(unit)) {
		return utf8.AppendRune(dst, rune(unit)), 5
	}
	if len(body) >= 11 && body[5] == '\\' && body[6] == 'u' {
		if low, ok := hexUnit(body, 7); ok {
			if r := utf16.DecodeRune(rune(unit), rune(low)); r != utf8.RuneError {
				return utf8.AppendRune(dst, r), 11
			}
		}
	}
	return append(dst, 0xE0|byte(unit>>12), 0x80|byte(unit>>6)&0x3F, 0x80|byte(unit)&0x3F), 5
}

// hexUnit reads the four hexadecimal digits at i.
func hexUnit(text []byte, i int) (uint16, bool) {
	if i+4 > len(text) {
		return 0, false
	}
	var unit uint16
	for _, c := range text[i : i+4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		unit = unit<<4 | uint16(c)
	}
	return unit, true
}

// Sanitize returns text with every lone surrogate, which only WTF-8 can express, replaced by U+FFFD: what a JavaScript
// engine puts on the wire. Other text is returned as it is.
func Sanitize(text []byte) []byte {
	if utf8.Valid(text) {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if isSurrogate(text, i) {
			out = utf8.AppendRune(out, utf8.RuneError)
			i += 2
			continue
		}
		out = append(out, text[i])
	}
	return out
}

// SanitizeString is [Sanitize] for a string.
func SanitizeString(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return string(Sanitize([]byte(text)))
}

// isSurrogate reports whether the three bytes at i are a surrogate in WTF-8.
func isSurrogate(text []byte, i int) bool {
	return text[i] == 0xED && i+2 < len(text) && text[i+1] >= 0xA0
}
