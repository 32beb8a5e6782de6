package schemas_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/kaizengarden/moray/schemas"
)

// files are the schemas, and how many keys they have at least.
var files = map[string]struct {
	text string
	keys int
}{
	"server": {schemas.Server, 50},
	"bucket": {schemas.Bucket, 30},
}

func TestIsSchema(t *testing.T) {
	t.Parallel()
	for name, file := range files {
		if _, err := jsonschema.CompileString(name+".json", file.text); err != nil {
			t.Error(err)
		}
	}
}

// property is what the reference of the keys is made from.
type property struct {
	Ref         string `json:"$ref"`
	Title       string
	Description string
	Type        any
	Default     any
	Pattern     string
	Not         *property
	Unit        string `json:"x-unit"`
	Rule        string `json:"x-rule"`
	Required    []string
	Properties  map[string]*property
	Defs        map[string]*property `json:"$defs"`
	Definitions map[string]*property
}

func TestEveryKeyIsDescribed(t *testing.T) {
	t.Parallel()
	for name, file := range files {
		var root property
		if err := json.Unmarshal([]byte(file.text), &root); err != nil {
			t.Fatal(err)
		}
		seen := 0
		var check func(path string, p *property)
		check = func(path string, p *property) {
			seen++
			if ref := p.Ref; ref != "" {
				if p = root.Defs[strings.TrimPrefix(ref, "#/$defs/")]; p == nil {
					p = root.Definitions[strings.TrimPrefix(ref, "#/definitions/")]
				}
				if p == nil {
					t.Errorf("%s: there is no %s", path, ref)
					return
				}
			}
			if p.Not != nil { // a key that must not be there
				if p.Rule == "" {
					t.Errorf("%s: nothing says why it is refused", path)
				}
				return
			}
			if !strings.HasSuffix(p.Description, ".") {
				t.Errorf("%s: the description is %q, want whole sentences", path, p.Description)
			}
			if units := []string{"", "ms", "bytes", "rows", "rows/s"}; !slices.Contains(units, p.Unit) || p.Unit != "" && p.Type != "integer" {
				t.Errorf("%s: the unit is %q of a %v", path, p.Unit, p.Type)
			}
			if name == "bucket" && p.Pattern != "" && (p.Title == "" || p.Rule == "") {
				t.Errorf("%s: nothing says in words what the pattern means", path)
			}
			for _, required := range p.Required {
				if p.Properties[required] == nil {
					t.Errorf("%s: %s is required but not described", path, required)
				}
			}
			for key, inner := range p.Properties {
				check(path+"."+key, inner)
			}
		}
		check(name, &root)
		for key, definition := range root.Definitions {
			check(name+" definition "+key, definition)
		}
		if seen < file.keys {
			t.Errorf("%s: only %d keys were found", name, seen)
		}
	}
}
