package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/kaizengarden/moray/core/spelling"
	"github.com/kaizengarden/moray/schemas"
)

// Key describes a key of the configuration file.
type Key struct {
	Path        []string // names of keys, the outermost first; NAME stands for a name that the file chooses
	Description string   // whole sentences
	Type        string   // such as "integer", "string or integer", "list of string"; a section is an "object"
	Default     string   // in JSON; "" if there is none, and for sections
	Unit        string   // ms or bytes; "" if it has none
	Range       string   // such as "1 to 65535"; "" if it has none
	Examples    []string
	Required    bool // if its section is there
	Ignored     bool
	Reloadable  bool
}

// Name returns the path with dots, as the parts of the configuration are named in documents: standalone.pg.maxConnections.
func (k *Key) Name() string { return strings.Join(k.Path, ".") }

// Variable returns the name of the environment variable that stands for the key.
func (k *Key) Variable() string { return variablePrefix + strings.ToUpper(strings.Join(k.Path, "__")) }

// anyName stands in paths for a name that the file chooses.
const anyName = "NAME"

// Keys lists every key in the order of the schema, each section before its members.
var Keys = sync.OnceValue(func() []Key {
	var root entry
	if err := yaml.Unmarshal([]byte(schemas.Server), &root); err != nil { // JSON is YAML; a yaml.Node keeps the order
		panic("config: the embedded schema is broken: " + err.Error())
	}
	r := reference{defs: root.Defs}
	r.add(nil, &root)
	return r.keys
})

// FindKey returns the key whose name, with dots, is given. Case does not matter.
func FindKey(name string) (Key, error) {
	names := map[string]Key{}
	for _, k := range Keys() {
		if strings.EqualFold(k.Name(), name) {
			return k, nil
		}
		names[k.Name()] = k
	}
	return Key{}, fmt.Errorf("there is no key %s", spelling.Unknown(name, maps.Keys(names)))
}

// Members returns the keys directly in the section.
func (k *Key) Members() []Key {
	return slices.DeleteFunc(slices.Clone(Keys()), func(other Key) bool {
		return len(other.Path) != len(k.Path)+1 || !slices.Equal(other.Path[:len(k.Path)], k.Path)
	})
}

// entry is a part of the schema.
type entry struct {
	Ref         string `yaml:"$ref"`
	Description string
	Type        yaml.Node
	Default     yaml.Node
	Unit        string `yaml:"x-unit"`
	Minimum     *float64
	More        *float64 `yaml:"exclusiveMinimum"`
	Maximum     *float64
	Enum        []string
	Examples    []string
	Required    []string
	Deprecated  bool
	Items       *entry
	Properties  yaml.Node
	Others      yaml.Node         `yaml:"additionalProperties"`
	Defs        map[string]*entry `yaml:"$defs"`
}

type reference struct {
	defs map[string]*entry
	keys []Key
}

// add appends the members of a section.
func (r *reference) add(path []string, section *entry) {
	members := section.Properties.Content // name, value, name, value
	if section.Others.Kind == yaml.MappingNode {
		members = append(slices.Clone(members), &yaml.Node{Value: anyName}, &section.Others)
	}
	for i := 0; i+1 < len(members); i += 2 {
		name, e := members[i].Value, r.entry(members[i+1])
		own := append(slices.Clone(path), name)
		k := Key{
			Path: own, Description: e.Description, Type: e.typeName(), Unit: e.Unit, Range: e.span(), Examples: e.Examples,
			Required: slices.Contains(section.Required, name) && e.Default.IsZero(), Ignored: e.Deprecated,
			Reloadable: Reloadable("config." + strings.Join(own, ".")),
		}
		if e.Default.Kind == yaml.ScalarNode {
			k.Default = e.Default.Value
		}
		r.keys = append(r.keys, k)
		r.add(own, e)
	}
}

// entry decodes a part of the schema, or what it refers to.
func (r *reference) entry(node *yaml.Node) *entry {
	var e entry
	if err := node.Decode(&e); err != nil {
		panic("config: the embedded schema is broken: " + err.Error())
	}
	if e.Ref != "" {
		return r.defs[strings.TrimPrefix(e.Ref, "#/$defs/")]
	}
	return &e
}

func (e *entry) typeName() string {
	name := e.Type.Value
	if e.Type.Kind == yaml.SequenceNode {
		var names []string
		for _, n := range e.Type.Content {
			names = append(names, n.Value)
		}
		name = strings.Join(names, " or ")
	}
	if name == "array" && e.Items != nil {
		return "list of " + e.Items.typeName() + "s"
	}
	return name
}

// span says in words which values are valid.
func (e *entry) span() string {
	var low string
	switch {
	case e.Enum != nil:
		return strings.Join(e.Enum, ", ")
	case e.More != nil:
		low = fmt.Sprintf("more than %.0f", *e.More)
	case e.Minimum != nil && e.Maximum != nil:
		return fmt.Sprintf("%.0f to %.0f", *e.Minimum, *e.Maximum)
	case e.Minimum != nil:
		return fmt.Sprintf("%.0f or more", *e.Minimum)
	}
	if e.Maximum != nil {
		return strings.TrimPrefix(fmt.Sprintf("%s, at most %.0f", low, *e.Maximum), ", ")
	}
	return low
}
