package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/kaizengarden/moray/schemas"
)

// object is a JSON object as encoding/json decodes it.
type object = map[string]any

// draft is a configuration that is not checked yet.
type draft struct {
	root     any
	verbose  int
	warnings []string
	wrong    []string          // problems that were found before the schema is asked
	sources  map[string]string // of values that are not from the file, by path
}

func (d *draft) warn(format string, args ...any) {
	d.warnings = append(d.warnings, fmt.Sprintf(format, args...))
}

// decode returns the value that text, which is JSON, stands for, as encoding/json decodes it.
func decode(text []byte) (any, error) {
	var root any
	err := json.Unmarshal(text, &root)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		before := text[:min(int(syntax.Offset), len(text))]
		line := 1 + bytes.Count(before, []byte("\n"))
		return nil, fmt.Errorf("line %d, column %d: %w", line, len(before)-1-bytes.LastIndexByte(before, '\n'), err)
	}
	return root, err
}

// serverSchema is the compiled [schemas.Server].
var serverSchema = sync.OnceValue(func() *jsonschema.Schema {
	const url = "https://github.com/kaizengarden/moray/schemas/server.json"
	c := jsonschema.NewCompiler()
	c.ExtractAnnotations = true
	if err := c.AddResource(url, strings.NewReader(schemas.Server)); err != nil {
		panic("config: the embedded schema is broken: " + err.Error())
	}
	return c.MustCompile(url)
})

// resolve returns the schema that s refers to, or s.
func resolve(s *jsonschema.Schema) *jsonschema.Schema {
	for s.Ref != nil {
		s = s.Ref
	}
	return s
}

// complete brings the draft into the form that the schema describes: names of levels in lower case, one place for the
// database, defaults filled in.
func (d *draft) complete() {
	root, ok := d.root.(object)
	if !ok {
		return
	}
	for section, key := range map[string]string{"bunyan": "level", "requests": "log"} {
		if o, ok := root[section].(object); ok {
			if level, ok := o[key].(string); ok {
				o[key] = strings.ToLower(level)
			}
		}
	}
	first := ""
	for _, name := range []string{"standalone", "manatee", "patroni"} {
		switch {
		case root[name] == nil:
		case first == "":
			first = name
		default:
			delete(root, name) // not checked either, as the original checks little of it
			d.warn("config.%s is ignored because config.%s is there", name, first)
		}
	}
	d.fill("config", serverSchema(), root)
	sort.Strings(d.warnings)
}

// fill adds the defaults of s to o, which stands at path, and warns of members that have no effect.
func (d *draft) fill(path string, s *jsonschema.Schema, o object) {
	for name, property := range s.Properties {
		property = resolve(property)
		value, present := o[name]
		switch {
		case present && property.Deprecated:
			d.warn("%s.%s is ignored", path, name)
		case !present && property.Default != nil:
			value = newDefault(property)
			o[name] = value
			d.from([]string{path, name}, sourceDefault)
		}
		if inner, ok := value.(object); ok {
			d.fill(path+"."+name, property, inner)
		}
	}
	others, ok := s.AdditionalProperties.(*jsonschema.Schema)
	if !ok {
		return
	}
	for name, value := range o {
		if inner, ok := value.(object); ok && s.Properties[name] == nil {
			d.fill(path+"."+name, resolve(others), inner)
		}
	}
}

// newDefault returns the default of s as encoding/json would have decoded it.
func newDefault(s *jsonschema.Schema) any {
	switch v := s.Default.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			panic("config: the embedded schema is broken: " + err.Error())
		}
		return f
	case object: // filled in later, so it must not be shared
		return object{}
	case []any:
		return []any{}
	default:
		return v
	}
}
