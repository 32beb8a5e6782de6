package bucket

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Schema is a JSON Schema that the values of a bucket must fit: its option schema. It is safe for concurrent use.
type Schema struct {
	schema *jsonschema.Schema
	text   string // with sorted members
}

// Equal reports whether two schemas are the same; nil is the absence of one.
func (s *Schema) Equal(t *Schema) bool {
	if s == nil || t == nil {
		return s == t
	}
	return s.text == t.text
}

// compileSchema returns the schema in the options of a bucket, or nil if they have none. One that is no JSON Schema is
// InvalidBucketConfig.
func compileSchema(options jsvalue.Value) (*Schema, error) {
	text := options.Member("schema")
	if text == nil || text.IsNull() {
		return nil, nil
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat = true // whoever writes a format expects it to be checked
	c.LoadURL = func(url string) (io.ReadCloser, error) {
		return nil, fmt.Errorf("%s is not part of the schema", url) // a definition must not make the server read files
	}
	const name = "schema.json"
	if err := c.AddResource(name, bytes.NewReader(text)); err != nil {
		return nil, badSchema(err)
	}
	schema, err := c.Compile(name)
	if err != nil {
		return nil, badSchema(err)
	}
	return &Schema{schema, string(jsvalue.AppendSorted(nil, text))}, nil
}

func badSchema(err error) error {
	problem := err.Error()
	if invalid := (*jsonschema.ValidationError)(nil); errors.As(err, &invalid) {
		leaf := deepest(invalid)
		return fault.New(fault.InvalidBucketConfig, "bucket.options.schema%s: %s", dotted(leaf.InstanceLocation), leaf.Message).Because(err)
	}
	if e := (*jsonschema.SchemaError)(nil); errors.As(err, &e) {
		problem = e.Err.Error()
	}
	return fault.New(fault.InvalidBucketConfig, "bucket.options.schema: %s", problem).Because(err)
}

// pointer returns the place of a member as a JSON Pointer. The validator writes it as a fragment of a URL.
func pointer(fragment string) string {
	if plain, err := url.PathUnescape(fragment); err == nil {
		return plain
	}
	return fragment
}

// dotted writes the place of a member as the paths of other messages are written.
func dotted(fragment string) string {
	return strings.NewReplacer("/", ".", "~1", "/", "~0", "~").Replace(pointer(fragment))
}

// Check reports whether the value of an object fits. If not the fault is InvalidObject and names the first member that does not
// fit.
func (s *Schema) Check(bucket, key string, value jsvalue.Value) error {
	if s == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return fmt.Errorf("decode the value for its schema: %w", err)
	}
	err := s.schema.Validate(v)
	if err == nil {
		return nil
	}
	invalid := (*jsonschema.ValidationError)(nil)
	if !errors.As(err, &invalid) {
		return fmt.Errorf("check the value by its schema: %w", err)
	}
	leaf := deepest(invalid)
	return fault.New(fault.InvalidObject, "%s::%s does not fit the schema of its bucket: value%s: %s", bucket, key,
		dotted(leaf.InstanceLocation), leaf.Message).
		With("bucket", bucket, "key", key, "path", pointer(leaf.InstanceLocation))
}

// deepest returns the first of the causes that have no cause themselves: they say what is wrong, the others only where.
func deepest(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	for len(e.Causes) > 0 {
		e = e.Causes[0]
	}
	return e
}
