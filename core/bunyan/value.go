package bunyan

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/token"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
)

func appendAttrs(dst []byte, attrs []slog.Attr) []byte {
	for _, a := range attrs {
		dst = appendAttr(dst, a)
	}
	return dst
}

// appendAttr appends a as a member of the object that is open at the end of dst. A group without members is left out; a
// group without a name puts its members in its place.
func appendAttr(dst []byte, a slog.Attr) []byte {
	a.Value = a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return dst
	}
	if a.Value.Kind() != slog.KindGroup {
		return appendValue(appendKey(dst, a.Key), a.Value)
	}
	if a.Key == "" {
		return appendAttrs(dst, a.Value.Group())
	}
	before := len(dst)
	dst = append(appendKey(dst, a.Key), '{')
	start := len(dst)
	if dst = appendAttrs(dst, a.Value.Group()); len(dst) == start {
		return dst[:before]
	}
	return append(dst, '}')
}

func appendKey(dst []byte, key string) []byte {
	if n := len(dst); n == 0 || dst[n-1] != '{' {
		dst = append(dst, ',')
	}
	return append(appendString(dst, key), ':')
}

func appendValue(dst []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendString(dst, v.String())
	case slog.KindInt64:
		return strconv.AppendInt(dst, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(dst, v.Uint64(), 10)
	case slog.KindFloat64:
		return jsvalue.AppendNumber(dst, v.Float64())
	case slog.KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case slog.KindDuration: // bunyan knows no durations; the original logs them as numbers of milliseconds
		return jsvalue.AppendNumber(dst, float64(v.Duration())/float64(time.Millisecond))
	case slog.KindTime:
		return appendTime(dst, v.Time())
	}
	return appendAny(dst, v.Any())
}

// appendAny never fails and never panics, so that a value with a broken method costs its own text only.
func appendAny(dst []byte, v any) (out []byte) {
	defer func() {
		if p := recover(); p != nil {
			out = appendString(dst, fmt.Sprintf("!PANIC: %v", p))
		}
	}()
	switch v := v.(type) {
	case error:
		return appendError(dst, v)
	case jsvalue.Value:
		if v == nil {
			return append(dst, "null"...)
		}
		return append(dst, jsvalue.Sanitize(jsvalue.AppendPrinted(nil, v))...)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return appendString(dst, "!ERROR: "+err.Error())
	}
	return append(dst, text...)
}

// appendError appends the members that bunyan prints of an error. There is no stack: errors of Go do not carry one.
func appendError(dst []byte, err error) []byte {
	dst = appendString(append(dst, `{"message":`...), err.Error())
	dst = appendString(append(dst, `,"name":`...), errorName(err))
	return append(dst, '}')
}

// errorName returns the name of the first exported type in err's chain, and "Error" if there is none: the types of
// errors.New and fmt.Errorf say nothing.
func errorName(err error) string {
	for ; err != nil; err = errors.Unwrap(err) {
		t := reflect.TypeOf(err)
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if token.IsExported(t.Name()) {
			return t.Name()
		}
	}
	return "Error"
}

// validUTF8 returns s with U+FFFD for what is not UTF-8.
func validUTF8(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
