package js

import (
	"strings"
	"testing"

	"github.com/dop251/goja"
)

// texts are JSON, and what JavaScript prints for their values; "" for what is not JSON.
var texts = map[string]string{
	`{"b":1,"10":2,"2":3,"a":{"__proto__":{"z":1}},"b":4}`:                 `{"2":3,"10":2,"b":4,"a":{"__proto__":{"z":1}}}`,
	` [ 1 , -0, 1.50, 1e21 ,1e-7, 12345678901234567890, 1e400, -5e-400 ] `: `[1,0,1.5,1e+21,1e-7,12345678901234567000,null,0]`,
	`"\u0000\b\t\n\f\r\u001f\"\\\/é😀\u00e9\ud83d\ude00"`:                   `"\u0000\b\t\n\f\r\u001f\"\\/é😀é😀"`,
	`"\ud800x\udc00"`:            `"\ud800x\udc00"`,
	`{"\ud800":1,"é":2,"":3}`:    "{\"\ufffd\":1,\"é\":2,\"\":3}", // names are not worth it
	`[null,true,false,{},[],""]`: `[null,true,false,{},[],""]`,
	`9007199254740993`:           `9007199254740992`,
	``:                           ``,
	`{`:                          ``,
	`{"a"`:                       ``,
	`{"a":`:                      ``,
	`{"a":1,}`:                   ``,
	`{a:1}`:                      ``,
	`[1`:                         ``,
	`[1,]`:                       ``,
	`"a`:                         ``,
	`"a\`:                        ``,
	`"\x"`:                       ``,
	`"\u12"`:                     ``,
	`"\u12 4"`:                   ``,
	`1 2`:                        ``,
	`nul`:                        ``,
	`-`:                          ``,
}

// TestValue shows what becomes of JSON.
func TestValue(t *testing.T) {
	t.Parallel()
	e := newEngine(newPlugin(1 << 30).watch)
	for text, want := range texts {
		got := ""
		if v, err := e.value([]byte(text)); err == nil {
			if got, _, err = e.json(v); err != nil {
				t.Fatal(err)
			}
		}
		if got != want {
			t.Errorf("%s\n got  %s\n want %s", text, got, want)
		}
	}
}

// FuzzValue compares what becomes of JSON with the engine's own way.
func FuzzValue(f *testing.F) {
	for text := range texts {
		f.Add(text)
	}
	e := newEngine(newPlugin(1 << 30).watch)
	parse := function(e.vm.Get("JSON").ToObject(e.vm).Get("parse"))
	f.Fuzz(func(t *testing.T, text string) {
		want, err := parse(goja.Undefined(), e.vm.ToValue(text))
		if err != nil || strings.Contains(strings.ToLower(text), `\ud`) { // of which surrogates may be lost
			return
		}
		got, err := e.value([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			return
		}
		a, _, err := e.json(got)
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := e.json(want)
		if err != nil {
			t.Fatal(err)
		}
		if a != b {
			t.Errorf("%q is %s, JSON.parse makes %s", text, a, b)
		}
	})
}
