package schemas_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/kaizengarden/moray/schemas"
)

func TestServerIsSchema(t *testing.T) {
	t.Parallel()
	if _, err := jsonschema.CompileString("server.json", schemas.Server); err != nil {
		t.Fatal(err)
	}
}

// property is what the reference of the keys is made from.
type property struct {
	Ref         string `json:"$ref"`
	Description string
	Type        any
	Default     any
	Unit        string `json:"x-unit"`
	Required    []string
	Properties  map[string]*property
	Defs        map[string]*property `json:"$defs"`
}

func TestEveryKeyIsDescribed(t *testing.T) {
	t.Parallel()
	var root property
	if err := json.Unmarshal([]byte(schemas.Server), &root); err != nil {
		t.Fatal(err)
	}
	seen := 0
	var check func(path string, p *property)
	check = func(path string, p *property) {
		seen++
		if name, ok := strings.CutPrefix(p.Ref, "#/$defs/"); ok {
			if p = root.Defs[name]; p == nil {
				t.Errorf("%s: there is no $defs/%s", path, name)
				return
			}
		}
		if !strings.HasSuffix(p.Description, ".") {
			t.Errorf("%s: the description is %q, want whole sentences", path, p.Description)
		}
		if units := []string{"", "ms", "bytes"}; !slices.Contains(units, p.Unit) || p.Unit != "" && p.Type != "integer" {
			t.Errorf("%s: the unit is %q of a %v", path, p.Unit, p.Type)
		}
		for _, name := range p.Required {
			if p.Properties[name] == nil {
				t.Errorf("%s: %s is required but not described", path, name)
			}
		}
		for name, inner := range p.Properties {
			check(path+"."+name, inner)
		}
	}
	check("config", &root)
	if seen < 50 {
		t.Errorf("only %d keys were found", seen)
	}
}
