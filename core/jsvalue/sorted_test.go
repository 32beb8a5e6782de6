package jsvalue_test

import (
	"testing"

	"github.com/kaizengarden/moray/core/jsvalue"
)

func TestAppendSorted(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"b":1,"a":{"d":[ {"z":1,"y":2} ],"c":1.0}}`: `{"a":{"c":1,"d":[{"y":2,"z":1}]},"b":1}`,
		`{"a":1,"b":2,"a":3}`:                         `{"a":3,"b":2}`,
		`{"10":1,"9":2,"\u0061":"\u0062"}`:            `{"10":1,"9":2,"a":"b"}`,
		`[ ]`:                                         `[]`,
		`{ }`:                                         `{}`,
		`1e3`:                                         `1000`,
	} {
		v, err := jsvalue.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(jsvalue.AppendSorted(nil, v)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
