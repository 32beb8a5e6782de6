package bucket_test

import (
	"testing"

	"github.com/kaizengarden/moray/core/bucket"
)

func TestFingerprint(t *testing.T) {
	t.Parallel()
	of := func(index, pre, options string) string {
		var o []byte
		if options != "" {
			o = []byte(options)
		}
		return bucket.Fingerprint([]byte(index), []byte(pre), []byte("[]"), o)
	}
	same := [][3]string{
		{`{"a":{"type":"string"},"b":{"type":"number","unique":true}}`, `[]`, `{"version":0}`},
		{`{"b":{"unique":true,"type":"number"},"a":{"type":"string","unique":false}}`, `[]`, ``},
		{`{ "a": {"type":"string"}, "b": {"type":"number","unique":true} }`, `[ ]`, `{}`},
		{`{"a":{"type":"string"},"b":{"type":"number","unique":true}}`, `[]`, `{"version":null}`},
	}
	want := of(same[0][0], same[0][1], same[0][2])
	for _, s := range same[1:] {
		if got := of(s[0], s[1], s[2]); got != want {
			t.Errorf("%q: another fingerprint than %q", s, same[0])
		}
	}
	seen := map[string][3]string{want: same[0]}
	for _, other := range [][3]string{
		{`{"a":{"type":"string"},"b":{"type":"number"}}`, `[]`, `{"version":0}`},
		{`{"a":{"type":"string"},"b":{"type":"[number]","unique":true}}`, `[]`, `{"version":0}`},
		{`{"a":{"type":"string"},"b":{"type":"number","unique":true}}`, `["f"]`, `{"version":0}`},
		{`{"a":{"type":"string"},"b":{"type":"number","unique":true}}`, `[]`, `{"version":1}`},
		{`{"a":{"type":"string"},"b":{"type":"number","unique":true}}`, `[]`, `{"version":0,"x":[1,2]}`},
		{`{"a":{"type":"string"},"b":{"type":"number","unique":true}}`, `[]`, `{"version":0,"x":[2,1]}`},
		{`no JSON`, `[]`, `{"version":0}`},
	} {
		got := of(other[0], other[1], other[2])
		if before, ok := seen[got]; ok {
			t.Errorf("%q and %q have the same fingerprint", other, before)
		}
		seen[got] = other
	}
}
