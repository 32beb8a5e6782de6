package config

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/kaizengarden/moray/core/spelling"
)

// problems returns what the schema finds wrong, in the words of the original's validator: config<path> <problem>. What a
// section lacks comes first, then what it has too much, then its members in the order of their names.
func (d *draft) problems() []string {
	var invalid *jsonschema.ValidationError // the only kind for a value of encoding/json and a schema without loops
	if !errors.As(serverSchema().Validate(d.root), &invalid) {
		return nil
	}
	var all []problem
	d.collect(invalid, &all)
	slices.SortFunc(all, problem.compare)
	texts := make([]string, len(all))
	for i, p := range all {
		texts[i] = p.path + " " + p.text
		if source := d.sources[p.path]; strings.HasPrefix(source, variablePrefix) {
			texts[i] += " (from " + source + ")"
		}
	}
	return texts
}

type problem struct {
	path string // config.standalone.url
	rank int
	text string
}

func (p problem) compare(q problem) int {
	if c := strings.Compare(p.path, q.path); c != 0 {
		return c
	}
	if p.rank != q.rank {
		return p.rank - q.rank
	}
	return strings.Compare(p.text, q.text)
}

// collect appends the problems at the leaves of v. The alternatives of an anyOf are one problem.
func (d *draft) collect(v *jsonschema.ValidationError, all *[]problem) {
	keyword := path.Base(v.KeywordLocation)
	if len(v.Causes) > 0 && keyword != "anyOf" {
		for _, cause := range v.Causes {
			d.collect(cause, all)
		}
		return
	}
	rank := slices.Index([]string{"required", "anyOf", "additionalProperties"}, keyword)
	if rank < 0 {
		rank = 3
	}
	s, value := d.at(v.InstanceLocation)
	for _, text := range describe(s, keyword, value) {
		*all = append(*all, problem{strings.Join(append([]string{"config"}, namesOf(v.InstanceLocation)...), "."), rank, text})
	}
}

// namesOf returns the names in a JSON pointer, in the form in which the validator writes it: escaped as in a URL besides.
func namesOf(pointer string) []string {
	names := strings.Split(pointer, "/")[1:]
	for i, name := range names {
		if plain, err := url.PathUnescape(name); err == nil {
			name = plain
		}
		names[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
	}
	return names
}

// at returns the value at the place that a JSON pointer names, and its schema.
func (d *draft) at(pointer string) (*jsonschema.Schema, any) {
	s, value := serverSchema(), d.root
	for _, name := range namesOf(pointer) {
		property := s.Properties[name]
		switch v := value.(type) {
		case object:
			value = v[name]
			if others, ok := s.AdditionalProperties.(*jsonschema.Schema); ok && property == nil {
				property = others
			}
		case []any:
			property, value = s.Items2020, nil
			if i, err := strconv.Atoi(name); err == nil && i < len(v) {
				value = v[i]
			}
		}
		s = resolve(property)
	}
	return s, value
}

// describe says how value breaks keyword of s. There is one text for each name that is missing or unknown.
func describe(s *jsonschema.Schema, keyword string, value any) []string {
	o, _ := value.(object)
	var texts []string
	say := func(format string, args ...any) { texts = append(texts, fmt.Sprintf(format, args...)) }
	switch keyword {
	case "type":
		say("should be %s", strings.Join(s.Types, ","))
	case "required":
		for _, name := range s.Required {
			if _, ok := o[name]; !ok {
				say("should have required property '%s'", name)
			}
		}
	case "anyOf":
		var names []string
		for _, alternative := range s.AnyOf {
			names = append(names, alternative.Required...)
		}
		say("should have required property '%s'", strings.Join(names, "' or '"))
	case "additionalProperties":
		for _, name := range slices.Sorted(maps.Keys(o)) {
			if s.Properties[name] == nil {
				say("should NOT have additional properties (%s)", spelling.Unknown(name, maps.Keys(s.Properties)))
			}
		}
	case "enum":
		var allowed []string
		for _, v := range s.Enum {
			allowed = append(allowed, fmt.Sprintf("%q", v))
		}
		say("should be equal to one of the allowed values (%s)", strings.Join(allowed, ", "))
	case "minimum":
		say("should be >= %s", s.Minimum.RatString())
	case "exclusiveMinimum":
		if f, _ := value.(float64); s.Minimum == nil || s.Minimum.Cmp(new(big.Rat).SetFloat64(f)) <= 0 { // else said already
			say("should be > %s", s.ExclusiveMinimum.RatString())
		}
	case "maximum":
		say("should be <= %s", s.Maximum.RatString())
	case "minLength":
		say("should NOT be shorter than %d characters", s.MinLength)
	case "pattern":
		if s.Title != "" {
			say("should match pattern \"%s\" (unknown %s: %q)", s.Pattern, s.Title, value)
			break
		}
		say("should match pattern \"%s\"", s.Pattern)
	default:
		say("breaks the rule %s", keyword)
	}
	return texts
}
