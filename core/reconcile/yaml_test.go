package reconcile_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/kaizengarden/moray/core/reconcile"
)

// anyValue draws a JSON value as encoding/json decodes it.
func anyValue(t *rapid.T, depth int) any {
	kinds := 7
	if depth == 0 {
		kinds = 5
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return rapid.Float64().Draw(t, "number")
	case 3:
		return rapid.String().Draw(t, "text")
	case 4:
		return rapid.SampledFrom([]string{
			"", " ", "null", "yes", "1", "1e3", "~", "<<", "- a", "a: b", "a\nb", "a\n\n b\n", "\n", "a \nb", "\ta\n", "#", "2001-01-01", "0x1F",
			"function (req, cb) {\n  // c\n\tcb();\n}", "\x00", "\x85", "\u2028", "\ufeff", "*a", "&a", "!x", "%", "|", "'", "\"", "a\r\nb", "=", "[string]",
		}).Draw(t, "odd text")
	case 5:
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, anyValue(t, depth-1))
		}
		return list
	}
	object := map[string]any{}
	for range rapid.IntRange(0, 3).Draw(t, "members") {
		object[rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "<<", "null", "1", "a.b", "a/b", "true", "-"})).Draw(t, "key")] = anyValue(t, depth-1)
	}
	return object
}

// What is printed as YAML is read as the same document, and is in the canonical form.
func TestYAML(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		options := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "options") {
			name := rapid.OneOf(rapid.StringMatching(`[a-z]{1,3}`), rapid.String()).Draw(t, "option")
			options["x"+name] = anyValue(t, 3)
		}
		text, err := json.Marshal(options)
		if err != nil {
			t.Fatal(err)
		}
		d, problems := reconcile.FromJSON(fmt.Appendf(nil, `{"apiVersion":"moray/v1","kind":"Bucket","metadata":{"name":"b"},`+
			`"spec":{"version":1e21,"options":%s,"pre":["f"]}}`, text))
		if problems != nil {
			t.Fatal(problems)
		}
		printed, err := d.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, problems := reconcile.ReadFile("b.yaml", printed)
		if problems != nil || len(again) != 1 {
			t.Fatalf("%s\nis printed as\n%s\nwhich is %v", d.Text, printed, problems)
		}
		if again[0].Hash() != d.Hash() {
			t.Fatalf("%s\nis printed as\n%s\nwhich is\n%s", d.Text, printed, again[0].Text)
		}
		formatted, err := reconcile.Format("b.yaml", printed)
		if err != nil || string(formatted) != string(printed) {
			t.Fatalf("printed as\n%q\nand formatted\n%q, %v", printed, formatted, err)
		}
	})
}
