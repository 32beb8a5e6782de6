package js

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dop251/goja"
)

// converter makes a value of a column out of PostgreSQL's text for it.
type converter func(e *engine, text string) goja.Value

// converters are those of the types whose values are no strings, by the types' OIDs. A number of 64 bits is a string, because a
// number of JavaScript cannot hold it.
var converters = map[uint32]converter{
	16:   boolean,
	21:   number,  // smallint
	23:   number,  // integer
	26:   number,  // oid
	114:  decoded, // json
	700:  number,  // real
	701:  number,  // double precision
	1082: date,
	1114: date, // timestamp
	1184: date, // timestamp with time zone
	1700: number,
	3802: decoded, // jsonb
	3910: dateRange,
}

// arrays are the types that are arrays for a trigger, and the types of their elements. Other arrays are strings.
var arrays = map[uint32]uint32{
	199: 114, 651: 25, 791: 25, 1000: 16, 1001: 17, 1005: 21, 1007: 23, 1009: 25, 1014: 25, 1015: 25, 1016: 20, 1017: 600,
	1021: 700, 1022: 701, 1028: 26, 1040: 25, 1041: 25, 1115: 1114, 1182: 1082, 1183: 25, 1185: 1184, 1231: 1700, 1270: 25,
	2951: 25, 3807: 3802, 3907: 25, 3911: 3910,
}

// converterOf returns the converter of a type.
func converterOf(oid uint32) converter {
	if element, ok := arrays[oid]; ok {
		convert := converterOf(element)
		return func(e *engine, text string) goja.Value {
			if v, ok := parseArray(e, text, convert); ok {
				return v
			}
			return e.vm.ToValue(text)
		}
	}
	if convert, ok := converters[oid]; ok {
		return convert
	}
	return func(e *engine, text string) goja.Value { return e.vm.ToValue(text) }
}

func boolean(e *engine, text string) goja.Value { return e.vm.ToValue(text == "t") }

func number(e *engine, text string) goja.Value {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n != 0 {
		return e.vm.ToValue(n)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(f, 0) {
		f = math.NaN()
	}
	return e.vm.ToValue(f)
}

func decoded(e *engine, text string) goja.Value {
	v, err := e.value([]byte(text))
	if err != nil {
		return e.vm.ToValue(text)
	}
	return v
}

// date makes a Date. The times that are not finite are numbers that are not finite.
func date(e *engine, text string) goja.Value {
	switch text {
	case "infinity":
		return e.vm.ToValue(math.Inf(1))
	case "-infinity":
		return e.vm.ToValue(math.Inf(-1))
	}
	t, ok := parseTime(text)
	if !ok {
		return e.vm.ToValue(text)
	}
	v, err := e.date(goja.Undefined(), e.vm.ToValue(t.UnixMilli()))
	if err != nil {
		return e.vm.ToValue(text)
	}
	return v
}

// dateRange writes the bounds of a range as JavaScript writes times.
func dateRange(e *engine, text string) goja.Value {
	from, to, ok := strings.Cut(text, ",")
	if !ok || len(from) == 0 || len(to) == 0 {
		return e.vm.ToValue(text)
	}
	lower, ok := bound(from[1:])
	upper, fits := bound(to[:len(to)-1])
	if !ok || !fits {
		return e.vm.ToValue(text)
	}
	return e.vm.ToValue(from[:1] + lower + "," + upper + to[len(to)-1:])
}

func bound(text string) (string, bool) {
	if text == "" {
		return "", true
	}
	t, ok := parseTime(strings.Trim(text, `"`))
	return t.UTC().Format("2006-01-02T15:04:05.000Z"), ok && t.Year() >= 0 && t.Year() <= 9999
}

// parseTime reads a date or a time as PostgreSQL prints it in the style ISO. Without a zone it is in that of the process.
func parseTime(text string) (time.Time, bool) {
	text, bc := strings.CutSuffix(text, " BC")
	day, clock, timed := strings.Cut(text, " ")
	if !timed {
		clock = "00:00:00"
	}
	parts := strings.Split(day, "-")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	year, err := strconv.Atoi(parts[0])
	if err != nil {
		return time.Time{}, false
	}
	if bc {
		year = 1 - year
	}
	zone := time.Local
	if i := strings.IndexAny(clock, "+-"); i >= 0 {
		offset, ok := parseOffset(clock[i:])
		if !ok {
			return time.Time{}, false
		}
		zone, clock = time.FixedZone("", offset), clock[:i]
	}
	t, err := time.Parse("01-02 15:04:05.999999", parts[1]+"-"+parts[2]+" "+clock)
	if err != nil {
		leap, err := time.Parse("2006-01-02 15:04:05.999999", "2000-"+parts[1]+"-"+parts[2]+" "+clock) // the year 0 has a 29 February too
		if err != nil {
			return time.Time{}, false
		}
		t = leap
	}
	return time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone), true
}

// parseOffset reads how far a zone is ahead of UTC, in seconds.
func parseOffset(text string) (int, bool) {
	seconds := 0
	parts := strings.Split(text[1:], ":")
	for i, unit := range []int{3600, 60, 1} {
		if i >= len(parts) {
			break
		}
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return 0, false
		}
		seconds += n * unit
	}
	if text[0] == '-' {
		seconds = -seconds
	}
	return seconds, len(parts) <= 3
}
