package field

import "bytes"

// splitRange takes a range apart: a bracket, the lower bound, a comma, the upper bound, a bracket.
func splitRange(text []byte) (lower, upper []byte, ok bool) {
	last := len(text) - 1
	if last < 2 || text[0] != '[' && text[0] != '(' || text[last] != ']' && text[last] != ')' {
		return nil, nil, false
	}
	return bytes.Cut(text[1:last], []byte(","))
}

// validNumRange reports whether text is a range of numbers. A bound is absent or a number with neither + nor an exponent.
// The order of the bounds is PostgreSQL's to check.
func validNumRange(text []byte) bool {
	lower, upper, ok := splitRange(text)
	return ok && validBound(lower) && validBound(upper)
}

func validBound(text []byte) bool {
	if len(text) == 0 {
		return true
	}
	whole, fraction, point := bytes.Cut(bytes.TrimPrefix(text, []byte("-")), []byte("."))
	return allDigits(whole) && (!point || allDigits(fraction))
}

func allDigits(text []byte) bool {
	return len(text) > 0 && len(bytes.Trim(text, "0123456789")) == 0
}

// appendDateRange appends a range of dates, each bound in its normal form or absent.
func appendDateRange(dst, text []byte) ([]byte, error) {
	lower, upper, ok := splitRange(text)
	if !ok {
		return dst, ErrType
	}
	var err error
	dst = append(dst, text[0])
	if len(lower) > 0 {
		if dst, err = appendDate(dst, lower); err != nil {
			return dst, err
		}
	}
	dst = append(dst, ',')
	if len(upper) > 0 {
		if dst, err = appendDate(dst, upper); err != nil {
			return dst, err
		}
	}
	return append(dst, text[len(text)-1]), nil
}
