package shape_test

import (
	"testing"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/shape"
)

// The texts are those that the original sent for these values.
func TestCheck(t *testing.T) {
	t.Parallel()
	sortBy := shape.Object{Properties: []shape.Property{
		{Name: "attribute", Shape: shape.String{}},
		{Name: "order", Shape: shape.Enum{Values: []string{"ASC", "asc", "DESC", "desc"}, Listed: []string{"ASC", "DESC"}}},
	}}
	options := shape.Object{Properties: []shape.Property{
		{Name: "timeout", Shape: shape.Integer{}},
		{Name: "req_id", Shape: shape.String{MaxLength: 36, UUID: true}},
		{Name: "etag", Shape: shape.String{OrNull: true}},
		{Name: "headers", Shape: shape.Object{}},
		{Name: "limit", Shape: shape.Integer{OrDigits: true}},
		{Name: "sort", Shape: shape.AnyOf{shape.Array{Elements: sortBy}, sortBy}},
		{Name: "deep", Shape: shape.Boolean{}},
	}}
	index := shape.Object{Members: shape.Object{Closed: true, Properties: []shape.Property{
		{Name: "type", Shape: shape.Enum{Values: []string{"string", "number"}}, Required: true},
		{Name: "unique", Shape: shape.Boolean{}},
	}}}
	name := shape.String{MinLength: 1}

	for _, c := range []struct {
		shape shape.Shape
		root  string
		value string
		want  string
	}{
		{options, "options", `{}`, ""},
		{options, "options", `{"timeout":1e21,"req_id":"b7e3a9a0-0000-4000-8000-00000000000A","etag":null,"deep":true,"more":1}`, ""},
		{options, "options", `null`, "options should be object"},
		{options, "options", `[]`, "options should be object"},
		{options, "options", `{"timeout":-1}`, "options.timeout should be >= 0"},
		{options, "options", `{"timeout":-1.5}`, "options.timeout should be >= 0"},
		{options, "options", `{"timeout":1.5}`, "options.timeout should be integer"},
		{options, "options", `{"timeout":"5"}`, "options.timeout should be integer"},
		{options, "options", `{"timeout":null}`, "options.timeout should be integer"},
		{options, "options", `{"deep":1,"timeout":"5"}`, "options.timeout should be integer"},
		{options, "options", `{"req_id":"foo"}`, `options.req_id should match format "uuid"`},
		{options, "options", `{"req_id":""}`, `options.req_id should match format "uuid"`},
		{options, "options", `{"req_id":"b7e3a9a0-0000-4000-8000-00000000000g"}`, `options.req_id should match format "uuid"`},
		{options, "options", `{"req_id":"b7e3a9a0x0000-4000-8000-000000000001"}`, `options.req_id should match format "uuid"`},
		{options, "options", `{"req_id":"urn:uuid:b7e3a9a0-0000-4000-8000-000000000001"}`, "options.req_id should NOT be longer than 36 characters"},
		{options, "options", `{"req_id":5}`, "options.req_id should be string"},
		{options, "options", `{"etag":5}`, "options.etag should be null,string"},
		{options, "options", `{"limit":"0012"}`, ""},
		{options, "options", `{"limit":""}`, `options.limit should match pattern "^[0-9]+$"`},
		{options, "options", `{"limit":"-5"}`, `options.limit should match pattern "^[0-9]+$"`},
		{options, "options", `{"limit":-1}`, "options.limit should be >= 0"},
		{options, "options", `{"limit":null}`, "options.limit should be integer,string"},
		{options, "options", `{"limit":1.5}`, "options.limit should be integer,string"},
		{options, "options", `{"sort":[]}`, ""},
		{options, "options", `{"sort":{"attribute":"a","order":"desc","x":1}}`, ""},
		{options, "options", `{"sort":5}`, "options.sort should be array, options.sort should be object, options.sort should match some schema in anyOf"},
		{
			options, "options", `{"sort":{"attribute":5}}`,
			"options.sort should be array, options.sort.attribute should be string, options.sort should match some schema in anyOf",
		},
		{
			options, "options", `{"sort":{"attribute":"a","order":"bad"}}`,
			`options.sort should be array, options.sort.order should be equal to one of the allowed values ("ASC", "DESC"), options.sort should match some schema in anyOf`,
		},
		{options, "options", `{"sort":[5]}`, "options.sort[0] should be object, options.sort should be object, options.sort should match some schema in anyOf"},
		{options, "options", `{"deep":1}`, "options.deep should be boolean"},
		{options, "options", `{"headers":[]}`, "options.headers should be object"},
		{options, "options", `{"headers":{"hasOwnProperty":1}}`, "options.headers.hasOwnProperty should NOT be valid"},
		{options, "options", `{"hasOwnProperty":null}`, "options.hasOwnProperty should NOT be valid"},
		{name, "bucket", `""`, "bucket should NOT be shorter than 1 characters"},
		{name, "bucket", `"é"`, ""},
		{name, "bucket", `3041`, "bucket should be string"},
		{index, "bucket.index", `{"x":{"type":"string","unique":true}}`, ""},
		{index, "bucket.index", `{"x":{}}`, "bucket.index['x'] should have required property 'type'"},
		{index, "bucket.index", `{"x":null}`, "bucket.index['x'] should be object"},
		{index, "bucket.index", `{"x":{"foo":1}}`, "bucket.index['x'] should NOT have additional properties"},
		{index, "bucket.index", `{"x":{"type":5}}`, `bucket.index['x'].type should be equal to one of the allowed values ("string", "number")`},
		{index, "bucket.index", `{"x":{"type":"number","unique":"yes"}}`, "bucket.index['x'].unique should be boolean"},
		{index, "bucket.index", `{"hasOwnProperty":{"type":"string"}}`, "bucket.index.hasOwnProperty should NOT be valid"},
		{shape.Array{}, "pre", `"x"`, "pre should be array"},
		{shape.Array{}, "pre", `[1,null]`, ""},
	} {
		v, err := jsvalue.Parse([]byte(c.value))
		if err != nil {
			t.Fatal(err)
		}
		if got := shape.Check(c.shape, c.root, v); got != c.want {
			t.Errorf("%s: %q, want %q", c.value, got, c.want)
		}
	}
}
