package js

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/dop251/goja"
)

// FuzzEvaluate: whatever is sent, its evaluation ends without harm, and what would be stored is a function again with that text.
func FuzzEvaluate(f *testing.F) {
	for _, s := range recordedSources(f) {
		f.Add(s.Source)
	}
	p := newPlugin(1 << 30)
	f.Fuzz(func(t *testing.T, text string) {
		timed, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		late := time.AfterFunc(20*time.Second, func() { panic("it does not end: " + text) })
		source, err := evaluate(timed, p.watch, text)
		late.Stop()
		if err != nil {
			if strings.Contains(err.Error(), "engine failed") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		again, err := evaluate(ctx, p.watch, source)
		if err != nil || again != source {
			t.Errorf("%q gives %q, and that %q (%v)", text, source, again, err)
		}
	})
}

// FuzzParameter: the text for an array is read as the same array.
func FuzzParameter(f *testing.F) {
	f.Add(`["a", "b\"c\\", null, "NULL", "", "{}", "é,😀"]`)
	f.Add(`[[1, 2], [null, {"a": [1]}]]`)
	f.Add(`{"a": 1}`)
	f.Add(`5`)
	e := newEngine(newPlugin(1 << 30).watch)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := e.value([]byte(text))
		if err != nil {
			return
		}
		param, ok, err := e.param(v)
		if err != nil || !ok {
			return
		}
		o, isArray := v.(*goja.Object)
		if !isArray || o.ClassName() != "Array" {
			return
		}
		read, ok := parseArray(e, param, func(e *engine, text string) goja.Value { return e.vm.ToValue(text) })
		if !ok {
			if depth(o) <= maxDimensions {
				t.Errorf("%s becomes %s, which is no array", text, param)
			}
			return
		}
		again, _, err := e.param(read)
		if err != nil || again != param {
			t.Errorf("%s becomes %s, and that %s (%v)", text, param, again, err)
		}
	})
}

// depth returns how deep arrays are in each other.
func depth(v goja.Value) int {
	o, ok := v.(*goja.Object)
	if !ok || o.ClassName() != "Array" {
		return 0
	}
	deepest := 0
	for i := range o.Get("length").ToInteger() {
		deepest = max(deepest, depth(o.Get(goja.New().ToValue(i).String())))
	}
	return deepest + 1
}

// FuzzColumn: no text of a column does harm.
func FuzzColumn(f *testing.F) {
	f.Add(uint32(1184), "2020-01-02 03:04:05.678+05:30 BC")
	f.Add(uint32(1009), `{a,"b",NULL,{c}}`)
	f.Add(uint32(3910), `["2020-01-01 00:00:00+00",)`)
	f.Add(uint32(114), `{"a":[1]}`)
	f.Add(uint32(1700), "1e400")
	e := newEngine(newPlugin(1 << 30).watch)
	f.Fuzz(func(t *testing.T, oid uint32, text string) {
		v := converterOf(oid)(e, text)
		if v == nil {
			t.Errorf("%d %q is nothing", oid, text)
		}
		if _, _, err := e.param(v); err != nil {
			t.Errorf("%d %q: %v", oid, text, err)
		}
	})
}
