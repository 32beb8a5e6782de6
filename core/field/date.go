package field

import (
	"bytes"
	"time"
)

// dateLayout is the normal form of a date, as JavaScript's toISOString writes it.
const dateLayout = "2006-01-02T15:04:05.000Z"

// parseDate reads a date that the original accepts: what JavaScript's date parser accepts in the form
// YYYY-MM-DDTHH:MM:SS[.fraction]Z, or with +00YYYY or -00YYYY for the year. The day may be beyond the month's end and 24:00:00
// is allowed: both move on to a later day. The fraction is cut to milliseconds. PostgreSQL refuses years before 1.
func parseDate(text []byte) (time.Time, bool) {
	year, text, ok := parseYear(text)
	const form = "-01-02T15:04:05"
	if !ok || len(text) <= len(form) || text[len(text)-1] != 'Z' {
		return time.Time{}, false
	}
	var fields [5]int // month, day, hour, minute, second
	for i := range fields {
		at := i * 3
		if text[at] != form[at] {
			return time.Time{}, false
		}
		if fields[i], ok = parseDigits(text[at+1 : at+3]); !ok {
			return time.Time{}, false
		}
	}
	milliseconds, zero, ok := parseFraction(text[len(form) : len(text)-1])
	month, day, hour, minute, second := fields[0], fields[1], fields[2], fields[3], fields[4]
	midnight := hour == 24 && minute == 0 && second == 0 && zero
	if !ok || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 && !midnight || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, milliseconds*1e6, time.UTC), true
}

// parseYear reads the year and returns the text behind it.
func parseYear(text []byte) (year int, rest []byte, ok bool) {
	sign := 1
	if bytes.HasPrefix(text, []byte("+00")) {
		text = text[3:]
	} else if bytes.HasPrefix(text, []byte("-00")) {
		text = text[3:]
		sign = -1
	}
	if len(text) < 4 {
		return 0, nil, false
	}
	year, ok = parseDigits(text[:4])
	return sign * year, text[4:], ok && (year > 0 || sign > 0)
}

// parseFraction reads an empty text, or a dot and digits, and reports besides whether all of them are 0.
func parseFraction(text []byte) (milliseconds int, zero, ok bool) {
	if len(text) == 0 {
		return 0, true, true
	}
	digits := text[1:]
	if text[0] != '.' || !allDigits(digits) {
		return 0, false, false
	}
	padded := [3]byte{'0', '0', '0'}
	copy(padded[:], digits)
	milliseconds, _ = parseDigits(padded[:])
	return milliseconds, len(bytes.Trim(digits, "0")) == 0, true
}

// parseDigits reads a number of few digits.
func parseDigits(text []byte) (n int, ok bool) {
	for _, c := range text {
		if c -= '0'; c > 9 {
			return 0, false
		}
		n = n*10 + int(c)
	}
	return n, true
}

// appendDate appends the normal form of the date in text. Years before 0 get the sign and the four digits that PostgreSQL
// refuses to read, as it did the original's.
func appendDate(dst, text []byte) ([]byte, error) {
	date, ok := parseDate(text)
	if !ok {
		return dst, ErrType
	}
	return date.AppendFormat(dst, dateLayout), nil
}
