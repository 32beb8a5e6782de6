package jsvalue

import (
	"math"
	"strconv"
)

// AppendNumber appends f as JavaScript prints numbers: the shortest digits that give the same double, an exponent only
// from 1e21 up and below 1e-6, 0 for -0. It is for finite numbers; JSON.stringify makes null of the others, and so does
// AppendNumber.
func AppendNumber(dst []byte, f float64) []byte {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return append(dst, "null"...)
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.AppendInt(dst, int64(f), 10)
	}
	// The digits d1…dk and the exponent e of d1.d2…dk × 10^e.
	var buf [32]byte
	text := strconv.AppendFloat(buf[:0], f, 'e', -1, 64)
	if text[0] == '-' {
		dst = append(dst, '-')
		text = text[1:]
	}
	mark := len(text) - 1
	for text[mark] != 'e' {
		mark--
	}
	exponent, _ := strconv.Atoi(string(text[mark+1:]))
	digits := append(text[:1:1], text[min(2, mark):mark]...)

	point := exponent + 1 // where the decimal point stands among the digits
	switch {
	case point > 21 || point <= -6:
		dst = append(dst, digits[0])
		if len(digits) > 1 {
			dst = append(append(dst, '.'), digits[1:]...)
		}
		dst = append(dst, 'e')
		if exponent > 0 {
			dst = append(dst, '+')
		}
		return strconv.AppendInt(dst, int64(exponent), 10)
	case point <= 0:
		dst = append(dst, "0."...)
		return append(appendZeros(dst, -point), digits...)
	case point >= len(digits):
		return appendZeros(append(dst, digits...), point-len(digits))
	}
	return append(append(append(dst, digits[:point]...), '.'), digits[point:]...)
}

func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}

// printedNumber reports whether text, a JSON number, is what AppendNumber makes of its value.
func printedNumber(text []byte) bool {
	if plainFraction(text) {
		return true
	}
	f, _ := strconv.ParseFloat(string(text), 64)
	var buf [32]byte
	return string(AppendNumber(buf[:0], f)) == string(text)
}

// plainFraction reports whether text is of the form 12.34 with at most 15 digits and no zero at the end, and not below
// 1e-6: every such decimal is its own shortest form.
func plainFraction(text []byte) bool {
	if text[0] == '-' {
		text = text[1:]
	}
	if len(text) > 16 || text[len(text)-1] == '0' {
		return false
	}
	point, significant := -1, false
	for i, c := range text {
		switch {
		case c == '.':
			point = i
		case c-'0' > 9:
			return false
		case c != '0' && !significant:
			significant = true
			if point >= 0 && i-point > 6 {
				return false
			}
		}
	}
	return point >= 0
}
