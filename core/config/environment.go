package config

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/kaizengarden/moray/core/spelling"
)

// variablePrefix begins the names of environment variables that stand for keys.
const variablePrefix = "MORAY_CONFIG__"

// WithEnvironment lets variables of an environment, which are NAME=value, count instead of what the file says:
// MORAY_CONFIG__STANDALONE__PG__MAXCONNECTIONS is config.standalone.pg.maxConnections. Two underscores stand between the names of
// keys; case, and single underscores, do not matter. Texts are taken as they are; everything else is JSON, where a list of texts may
// also be written as a,b,c.
func WithEnvironment(environ []string) Override {
	return func(d *draft) {
		order := func(a, b string) int { return strings.Compare(fold(a), fold(b)) } // so that a section comes before its members
		for _, entry := range slices.SortedStableFunc(slices.Values(environ), order) {
			name, value, _ := strings.Cut(entry, "=")
			path, ours := strings.CutPrefix(name, variablePrefix)
			if !ours {
				continue
			}
			if err := d.set(name, strings.Split(path, "__"), value); err != nil {
				d.wrong = append(d.wrong, fmt.Sprintf("the environment variable %s %v", name, err))
			}
		}
	}
}

// set gives the key at the end of path the value that text stands for.
func (d *draft) set(variable string, path []string, text string) error {
	s := serverSchema()
	o, ok := d.root.(object)
	if !ok {
		return nil // the schema says more
	}
	place := []string{"config"}
	for i, word := range path {
		name, property, err := find(s, o, word)
		if err != nil {
			return err
		}
		place = append(place, name)
		if i == len(path)-1 {
			value, err := fromText(property, text)
			if err == nil {
				o[name] = value
				d.from(place, variable)
			}
			return err
		}
		inner, ok := o[name].(object)
		if !ok {
			inner = object{}
			o[name] = inner
		}
		s, o = property, inner
	}
	return nil
}

// find returns the key of s that a word of a variable's name means. Where the names of keys are free, one that o has already, or
// the word itself.
func find(s *jsonschema.Schema, o object, word string) (string, *jsonschema.Schema, error) {
	for name, property := range s.Properties {
		if fold(name) == fold(word) {
			return name, resolve(property), nil
		}
	}
	if others, ok := s.AdditionalProperties.(*jsonschema.Schema); ok && word != "" {
		for name := range o {
			if fold(name) == fold(word) {
				return name, resolve(others), nil
			}
		}
		return word, resolve(others), nil
	}
	return "", nil, fmt.Errorf("names no key of the configuration: %s", spelling.Unknown(word, upper(maps.Keys(s.Properties))))
}

func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

func upper(names iter.Seq[string]) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range names {
			if !yield(strings.ToUpper(name)) {
				return
			}
		}
	}
}

// fromText returns the value of s that a text stands for.
func fromText(s *jsonschema.Schema, text string) (any, error) {
	isText := slices.Contains(s.Types, "string")
	if isText && len(s.Types) == 1 {
		return text, nil
	}
	if slices.Contains(s.Types, "array") && !strings.HasPrefix(strings.TrimSpace(text), "[") {
		list := []any{}
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		return list, nil
	}
	var v any
	switch err := json.Unmarshal([]byte(text), &v); {
	case err == nil:
		return v, nil
	case isText:
		return text, nil
	}
	return nil, fmt.Errorf("should be %s", strings.Join(s.Types, ","))
}
