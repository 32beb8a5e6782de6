package js

import (
	"strings"
	"testing"

	"github.com/kaizengarden/moray/hooks/hooktest"
	"github.com/kaizengarden/moray/hooks/sdk"
)

// TestCheck shows what a definition may have as triggers, what is stored of it, and which problem is reported first.
func TestCheck(t *testing.T) {
	t.Parallel()
	const notCompiled = "NotFunctionError: trigger not function must be [Function]"
	for _, c := range []struct {
		name      string
		post, pre []string // the elements as texts
		want      string   // the stored texts
	}{
		{"E6-1", nil, []string{`function(req,cb){cb();}`}, `function(req,cb){cb();}`},
		{"E6-2", nil, []string{`(function x(req, cb) { /* c */ cb(); })`}, `function x(req, cb) { /* c */ cb(); }`},
		{"E6-3", nil, []string{`(req,cb)=>cb()`}, `(req,cb)=>cb()`},
		{"E6-4 unknown", nil, []string{`hello`}, notCompiled},
		{"E6-4 syntax", nil, []string{`function (`}, notCompiled},
		{"E6-4 object", nil, []string{`[object Object]`}, notCompiled},
		{"E6-5 number", nil, []string{`5`}, "NotFunctionError: pre must be [Function]"},
		{"E6-5 null", nil, []string{`null`}, "NotFunctionError: pre must be [Function]"},
		{"E6-5 string", nil, []string{`"hello"`}, "NotFunctionError: pre must be [Function]"},
		{"E6-6", []string{`5`}, []string{`5`}, "NotFunctionError: post must be [Function]"},
		{"E6-7", nil, []string{`x = 5, function (req, cb) { cb(x); }`}, `function (req, cb) { cb(x); }`},
		{"post alone", []string{`"hello"`}, nil, "NotFunctionError: post must be [Function]"},
		{"compiled first", []string{`5`}, []string{`function (`}, notCompiled},
		{"both", []string{`function () { }`, `a => (a)`}, []string{`( b => ( b ) )`}, `function () { }|a => (a)|b => ( b )`},
		{"none of them stored", []string{`function () { }`}, []string{`5`}, "NotFunctionError: pre must be [Function]"},
		{"line breaks", nil, []string{"function () {\n\t// é <&>\u2028\r\n}"}, "function () {\n\t// é <&>\u2028\r\n}"},
		{"statements behind", nil, []string{`function () { }; var x = 5;`}, `function () { }`},
		{"method", nil, []string{`({f(req, cb) { cb(); }}).f`}, notCompiled},
		{"built-in function", nil, []string{`Array.isArray`}, notCompiled},
		{"throws", nil, []string{`(function () { throw new Error("own"); })()`}, notCompiled},
		{"runs for ever", nil, []string{`(function () { for (;;) { } })()`}, notCompiled},
		{"calls itself", nil, []string{`(function f() { f(); })()`}, notCompiled},
		{"long", nil, []string{"function () { " + strings.Repeat("a;", maxSource/2) + " }"}, notCompiled},
		{"nested", nil, []string{strings.Repeat("(", 2000) + "function () {}" + strings.Repeat(")", 2000)}, notCompiled},
		{"source map", nil, []string{"function () { }\n//# sourceMappingURL=/etc/passwd\n"}, `function () { }`},
		{"source map of a text", nil, []string{`eval("1\n//# sourceMappingURL=/etc/passwd"), function () { }`}, `function () { }`},
		{"require", nil, []string{`require("crc") && require("microtime") && function () { }`}, `function () { }`},
		{"nothing of the host", nil, []string{`process.exit(1)`}, notCompiled},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := load(t)
			bindings := append(b.with(c.post...).bindings(sdk.Post), b.with(c.pre...).bindings(sdk.Pre)...)
			configs, err := b.server.Check(bucket, bindings...)
			var texts []string
			for _, config := range configs {
				text, err := sourceOf(&sdk.Binding{Config: config})
				if err != nil {
					t.Error(err)
				}
				texts = append(texts, text)
			}
			got := strings.Join(texts, "|")
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestBinding: the hook can be bound as any other, with the text of a function as its configuration, and nothing else.
func TestBinding(t *testing.T) {
	t.Parallel()
	b := load(t)
	for _, config := range []string{``, `5`, `{"text":"function () { }"}`} {
		_, err := b.server.Check(bucket, hooktest.Binding{Phase: sdk.Pre, Hook: "trigger", Config: config})
		if want := "InvalidBucketConfigError: the config of the hook trigger of the plugin js should be the text of a function"; err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", config, err, want)
		}
	}
}

// TestStored: what the original stored, and what cannot be run, fails each call and nothing else.
func TestStored(t *testing.T) {
	t.Parallel()
	b := load(t)
	for source, want := range map[string]string{
		`function (`:                           "failed: the trigger cannot be compiled: SyntaxError: trigger: Line 2:2 Unexpected end of input (and 2 more errors)",
		`5`:                                    "failed: its text cannot be evaluated: it is not a function",
		`nothing`:                              "failed: its text cannot be evaluated: ReferenceError: nothing is not defined at trigger:1:2(0)",
		`function isArray() { [native code] }`: "failed: the trigger cannot be compiled: SyntaxError: trigger: Line 1:31 Unexpected identifier",
	} {
		b.with(source).want(put("k", `{}`), want)
		b.with(source).want(put("k", `{}`), want)
	}
	b.with(`function (req, cb) { cb(); }`).want(put("k", `{}`), "k {}")
}

// TestReleased: a definition is given up with the last of its triggers.
func TestReleased(t *testing.T) {
	t.Parallel()
	p := newPlugin(1 << 30)
	var all []sdk.Handler
	for range 2 {
		h, err := p.bind(&sdk.Binding{Definition: "d", Config: []byte(`"function () { }"`)})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	for left := 2; ; left-- {
		if n := len(p.definitions); n != min(left, 1) {
			t.Errorf("%d definitions for %d triggers", n, left)
		}
		if left == 0 {
			break
		}
		if err := all[left-1].(*trigger).Close(); err != nil {
			t.Error(err)
		}
	}
}
