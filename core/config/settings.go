package config

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"go.yaml.in/yaml/v3"
)

// Setting is one key with its value. Lists, and sections without members, are values.
type Setting struct {
	Path   []string // names of keys, the outermost first
	Value  any      // as encoding/json decodes it; secrets are hidden
	Source string   // "default", the name of an environment variable, "command line", or "" for the file

	secret any // the value, not hidden
}

// Name returns the path in the form of problems: config.standalone.url.
func (s *Setting) Name() string { return strings.Join(append([]string{"config"}, s.Path...), ".") }

// Settings returns what counts, key by key, in the order of their names.
func (c *Config) Settings() []Setting { return c.settings }

// Sources of settings.
const (
	sourceDefault     = "default"
	sourceCommandLine = "command line"
)

// from notes where the value at path comes from.
func (d *draft) from(path []string, source string) {
	if d.sources == nil {
		d.sources = map[string]string{}
	}
	d.sources[strings.Join(path, ".")] = source
}

// settings lists what is in the draft.
func (d *draft) settings() (all []Setting) {
	var list func(path []string, s *jsonschema.Schema, v any, source string)
	list = func(path []string, s *jsonschema.Schema, v any, source string) {
		if own, ok := d.sources["config."+strings.Join(path, ".")]; ok {
			source = own
		}
		o, ok := v.(object)
		if !ok || len(o) == 0 {
			all = append(all, Setting{Path: path, Value: shown(path, s, v), Source: source, secret: v})
			return
		}
		for _, name := range slices.Sorted(maps.Keys(o)) {
			var property *jsonschema.Schema
			if s != nil {
				property = s.Properties[name]
				if others, ok := s.AdditionalProperties.(*jsonschema.Schema); ok && property == nil {
					property = others
				}
			}
			if property != nil {
				property = resolve(property)
			}
			list(append(slices.Clip(path), name), property, o[name], source)
		}
	}
	list(nil, serverSchema(), d.root, "")
	return all
}

// hidden stands for a secret.
const hidden = "(hidden)"

// shown returns v, or what is shown of it if it is or has a secret.
func shown(path []string, s *jsonschema.Schema, v any) any {
	text, ok := v.(string)
	switch {
	case s == nil || !s.WriteOnly || !ok:
		return v
	case path[len(path)-1] == "url":
		return withoutPassword(text)
	}
	return hidden
}

// withoutPassword hides the passwords in a URL: that of the user, and those of parameters.
func withoutPassword(text string) string {
	if _, err := ParseURL(text); err != nil {
		return hidden // where a part of a URL that is wrong begins cannot be said
	}
	place, query, hasQuery := strings.Cut(text, "?")
	if scheme, rest, ok := strings.Cut(place, "://"); ok {
		authority, path, slash := strings.Cut(rest, "/")
		at := strings.LastIndexByte(authority, '@')
		if user, _, ok := strings.Cut(authority[:max(at, 0)], ":"); ok {
			authority = user + ":" + hidden + authority[at:]
		}
		if slash {
			path = "/" + path
		}
		place = scheme + "://" + authority + path
	}
	if !hasQuery {
		return place
	}
	parameters := strings.Split(query, "&")
	for i, p := range parameters {
		name, _, _ := strings.Cut(p, "=")
		if strings.Contains(strings.ToLower(unescape(name)), "password") {
			parameters[i] = name + "=" + hidden
		}
	}
	return place + "?" + strings.Join(parameters, "&")
}

// JSON returns the settings as one object, with the secrets hidden.
func (c *Config) JSON() ([]byte, error) {
	root := object{}
	for _, s := range c.settings {
		o := root
		for _, name := range s.Path[:len(s.Path)-1] {
			inner, ok := o[name].(object)
			if !ok {
				inner = object{}
				o[name] = inner
			}
			o = inner
		}
		o[s.Path[len(s.Path)-1]] = s.Value
	}
	return json.MarshalIndent(root, "", "  ")
}

// YAML returns the settings as a document in which a comment tells where each one is from, unless that is the file. Secrets are
// hidden.
func (c *Config) YAML() ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	sections := map[string]*yaml.Node{"": root}
	for _, s := range c.settings {
		at := root
		for i := range len(s.Path) - 1 {
			name := strings.Join(s.Path[:i+1], ".")
			inner, ok := sections[name]
			if !ok {
				inner = &yaml.Node{Kind: yaml.MappingNode}
				sections[name] = inner
				at.Content = append(at.Content, textNode(s.Path[i]), inner)
			}
			at = inner
		}
		var value yaml.Node
		if err := value.Encode(plain(s.Value)); err != nil {
			return nil, err
		}
		value.LineComment = s.Source
		if value.Kind != yaml.ScalarNode {
			value.Style = yaml.FlowStyle
		}
		at.Content = append(at.Content, textNode(s.Path[len(s.Path)-1]), &value)
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := e.Encode(root)
	return b.Bytes(), err
}

func textNode(text string) *yaml.Node {
	var n yaml.Node
	n.SetString(text)
	return &n
}

// plain returns a whole number as an integer, which YAML writes without an exponent.
func plain(v any) any {
	if f, ok := v.(float64); ok && f == float64(int64(f)) {
		return int64(f)
	}
	return v
}

// Changes returns the names of the settings that next has otherwise than c, in the order of their names.
func (c *Config) Changes(next *Config) []string {
	before, after := c.secrets(), next.secrets()
	names := map[string]bool{}
	for name, value := range before {
		if other, ok := after[name]; !ok || !reflect.DeepEqual(value, other) {
			names[name] = true
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			names[name] = true
		}
	}
	sorted := slices.Sorted(maps.Keys(names))
	return slices.DeleteFunc(sorted, func(name string) bool { // a section that is empty in one of them and not in the other
		return slices.ContainsFunc(sorted, func(other string) bool { return strings.HasPrefix(other, name+".") })
	})
}

func (c *Config) secrets() map[string]any {
	values := map[string]any{}
	for _, s := range c.settings {
		values[s.Name()] = s.secret
	}
	return values
}

// reloadable are the keys, sections among them, whose changes a server takes over while it runs.
var reloadable = []string{"config.access", "config.bunyan.level", "config.requests"}

// Reloadable reports whether a server takes over changes of the setting while it runs.
func Reloadable(name string) bool {
	return slices.ContainsFunc(reloadable, func(key string) bool { return name == key || strings.HasPrefix(name, key+".") })
}
