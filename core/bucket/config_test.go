package bucket_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/field"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// allowed is how the original lists the types of indexes; recorded from the original Moray (server 2.6.1).
const allowed = `should be equal to one of the allowed values ("string", "[string]", "number", "[number]", "numrange", "boolean", ` +
	`"[boolean]", "date", "[date]", "daterange", "ip", "[ip]", "mac", "[mac]", "subnet", "[subnet]", "uuid")`

// TestConfigErrors checks the messages that were verified on the original, and which of several faults comes first.
func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ config, want string }{
		{`{"index":{"x":{"type":"frog"}}}`, `bucket.index['x'].type ` + allowed},
		{`{"index":{"x":{"type":5}}}`, `bucket.index['x'].type ` + allowed},
		{`{"index":{"x":{"type":"String"}}}`, `bucket.index['x'].type ` + allowed},
		{`{"index":{"x":{"type":"[uuid]"}}}`, `bucket.index['x'].type ` + allowed},
		{`{"index":{"x":{"type":"bigint"}}}`, `bucket.index['x'].type ` + allowed},
		{`{"index":{"x":{}}}`, `bucket.index['x'] should have required property 'type'`},
		{`{"index":{"x":{"unique":true}}}`, `bucket.index['x'] should have required property 'type'`},
		{`{"index":{"x":null}}`, `bucket.index['x'] should be object`},
		{`{"index":{"x":[]}}`, `bucket.index['x'] should be object`},
		{`{"index":{"x":"string"}}`, `bucket.index['x'] should be object`},
		{`{"index":{"x":{"type":"string","foo":1}}}`, `bucket.index['x'] should NOT have additional properties`},
		{`{"index":{"x":{"foo":1}}}`, `bucket.index['x'] should NOT have additional properties`},
		{`{"index":{"x":{"type":"string","unique":"yes"}}}`, `bucket.index['x'].unique should be boolean`},
		{`{"index":{"x":{"type":"string","unique":null}}}`, `bucket.index['x'].unique should be boolean`},
		{`{"index":{"x":{"unique":1,"type":"frog"}}}`, `bucket.index['x'].type ` + allowed},
		{`{"index":{"it's\\":{}}}`, `bucket.index['it's\'] should have required property 'type'`},
		{`{"index":5}`, `bucket.index should be object`},
		{`{"index":[]}`, `bucket.index should be object`},
		{`{"index":"x"}`, `bucket.index should be object`},
		{`{"index":true}`, `bucket.index should be object`},
		{`{"pre":"x"}`, `bucket.pre should be array`},
		{`{"post":{}}`, `bucket.post should be array`},
		{`{"options":[]}`, `bucket.options should be object`},
		{`{"options":"x"}`, `bucket.options should be object`},
		{`{"options":{"version":-1}}`, `bucket.options.version should be >= 0`},
		{`{"options":{"version":-1.5}}`, `bucket.options.version should be >= 0`},
		{`{"options":{"version":"1"}}`, `bucket.options.version should be integer`},
		{`{"options":{"version":1.5}}`, `bucket.options.version should be integer`},
		{`{"options":{"version":true}}`, `bucket.options.version should be integer`},
		{`{"options":{"guaranteeOrder":1}}`, `bucket.options.guaranteeOrder should be boolean`},
		{`{"options":{"syncUpdates":null}}`, `bucket.options.syncUpdates should be boolean`},
		{`{"options":{"hasOwnProperty":1}}`, `bucket.options.hasOwnProperty should NOT be valid`},
		{`{"options":{"trackModification":false}}`, `"trackModification" is no longer supported`},
		{`{"options":{"trackModification":null}}`, `"trackModification" is no longer supported`},
		{`{"index":{"hasOwnProperty":{"type":"string"}}}`, `bucket.index.hasOwnProperty should NOT be valid`},
		{`{"index":{"hasOwnProperty":5,"x":{}}}`, `bucket.index['x'] should have required property 'type'`},
		// The order: index, pre, post, options, trackModification, the name, the index names.
		{`{"options":{"version":-1},"index":{"a":{"type":"frog"}},"post":1}`, `bucket.index['a'].type ` + allowed},
		{`{"options":[],"post":1,"pre":1}`, `bucket.pre should be array`},
		{`{"options":[],"post":1}`, `bucket.post should be array`},
		{`{"options":{"guaranteeOrder":1,"version":-1,"syncUpdates":1}}`, `bucket.options.version should be >= 0`},
		{`{"options":{"trackModification":1,"guaranteeOrder":1}}`, `bucket.options.guaranteeOrder should be boolean`},
		{`{"options":{"trackModification":1},"index":{"a-b":{"type":"string"}}}`, `"trackModification" is no longer supported`},
	} {
		if got := configError("b", c.config); got != "InvalidBucketConfigError: "+c.want {
			t.Errorf("%s\n got %s\nwant %s", c.config, got, c.want)
		}
	}
	if got := configError("1", `{"index":{"a-b":{"type":"string"}}}`); !strings.HasPrefix(got, string(fault.InvalidBucketName)) {
		t.Errorf("a bad bucket name and a bad index name: %q, want %s", got, fault.InvalidBucketName)
	}
	if got := configError("1", `{"options":{"trackModification":1}}`); !strings.HasPrefix(got, string(fault.InvalidBucketConfig)) {
		t.Errorf("a bad bucket name and a bad option: %q, want %s", got, fault.InvalidBucketConfig)
	}
}

// TestConfigStored checks the texts that are stored: falsy members are replaced, unknown ones dropped, the version is always there.
func TestConfigStored(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ config, index, options string }{
		{`{}`, `{}`, `{"version":0}`},
		{`{"index":null,"pre":"","post":0,"options":0}`, `{}`, `{"version":0}`},
		{`{"index":false,"pre":null,"post":false,"options":"","other":{"x":1}}`, `{}`, `{"version":0}`},
		{`{"options":{"version":null}}`, `{}`, `{"version":0}`},
		{`{"options":{"version":null,"a":1}}`, `{}`, `{"version":0,"a":1}`},
		{`{"options":{"a":1,"version":false}}`, `{}`, `{"a":1,"version":0}`},
		{`{"options":{"version":""}}`, `{}`, `{"version":0}`},
		{`{"options":{"syncUpdates":true,"foo":"bar"}}`, `{}`, `{"syncUpdates":true,"foo":"bar","version":0}`},
		{`{"options":{"version":1e21}}`, `{}`, `{"version":1e+21}`},
		{`{"options":{"version":3.0}}`, `{}`, `{"version":3}`},
		{`{"index":{"b":{"unique":false,"type":"string"},"a":{"type":"number"}}}`, `{"b":{"unique":false,"type":"string"},"a":{"type":"number"}}`, `{"version":0}`},
		{` { "index" : { "a" : { "type" : "string" } , "a" : { "type" : "n\u0075mber" } } } `, `{"a":{"type":"number"}}`, `{"version":0}`},
		{`{"options":{"x":"\ud800"}}`, `{}`, "{\"x\":\"\uFFFD\",\"version\":0}"},
	} {
		got, err := bucket.ParseConfig(t.Context(), nil, "b", jsvalue.Value(strings.TrimSpace(c.config)))
		if err != nil {
			t.Errorf("%s: %v", c.config, err)
			continue
		}
		if string(got.Index) != c.index || string(got.Options) != c.options || string(got.Pre) != "[]" || string(got.Post) != "[]" {
			t.Errorf("%s: stored %s %s %s %s, want %s [] [] %s", c.config, got.Index, got.Pre, got.Post, got.Options, c.index, c.options)
		}
	}
}

func TestConfigMeaning(t *testing.T) {
	t.Parallel()
	c, err := bucket.ParseConfig(t.Context(), nil, "b", jsvalue.Value(`{"index":{"FooBar":{"type":"[ip]"},"u":{"type":"uuid","unique":true}},"options":{"version":7,"guaranteeOrder":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []bucket.Column{{Name: "FooBar", Ident: "foobar", Type: field.IPArray}, {Name: "u", Ident: "u", Type: field.UUID, Unique: true}}
	if !slices.Equal(c.Columns, want) || c.Version != 7 || !c.Ordered {
		t.Errorf("got %+v, version %v, ordered %t; want %+v, 7, true", c.Columns, c.Version, c.Ordered, want)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	column := func(name string, kind field.Type, unique bool) bucket.Column {
		return bucket.Column{Name: name, Ident: strings.ToLower(name), Type: kind, Unique: unique}
	}
	s, n := field.String, field.Number
	old := []bucket.Column{column("same", s, false), column("gone", s, true), column("typed", s, false), column("once", s, true), column("many", n, false), column("both", s, false), column("Case", s, false)}
	next := []bucket.Column{column("new", n, true), column("both", n, true), column("many", n, true), column("once", s, false), column("typed", n, false), column("same", s, false), column("case", s, false)}
	got := bucket.Compare(old, next)
	want := bucket.Diff{
		Add:       []bucket.Column{next[0], next[6]},
		Drop:      []bucket.Column{old[1], old[6]},
		Retype:    []bucket.Column{next[1], next[4]},
		Unique:    []bucket.Column{next[2]},
		NotUnique: []bucket.Column{next[3]},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Compare (- want, + got)\n%s", diff)
	}
	if diff := cmp.Diff(bucket.Diff{}, bucket.Compare(old, old)); diff != "" {
		t.Errorf("a definition differs from itself (- want, + got)\n%s", diff)
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"index":{"a":{"type":"string","unique":true}},"options":{"version":1,"guaranteeOrder":true}}`,
		`{"index":null,"pre":[],"post":"","options":{"version":null}}`, `{"index":{"moray":{"type":"[ip]"}}}`,
	} {
		f.Add("b", seed)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		v, err := jsvalue.Parse([]byte(text))
		if err != nil || v.Kind() != jsvalue.KindObject {
			return
		}
		c, err := bucket.ParseConfig(t.Context(), nil, name, v)
		if err != nil {
			if fault.From(err) == nil {
				t.Errorf("%s: %v is no fault", text, err)
			}
			return
		}
		attributes := []string{}
		for _, column := range c.Columns {
			attributes = append(attributes, column.Ident)
		}
		b, err := bucket.Load(&bucket.Record{Name: name, Index: c.Index, Pre: c.Pre, Post: c.Post, Options: c.Options, Attributes: attributes})
		if err != nil {
			t.Fatalf("%s passes the checks, and what is stored is no definition: %v", text, err)
		}
		if diff := cmp.Diff(c.Columns, b.Columns); diff != "" || b.Version != c.Version || b.Ordered != c.Ordered {
			t.Errorf("%s: stored, it means something else: version %v, then %v, ordered %t, then %t\n%s", text, c.Version, b.Version, c.Ordered, b.Ordered, diff)
		}
	})
}
