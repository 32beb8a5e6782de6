package reconcile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"go.yaml.in/yaml/v3"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/spelling"
	"github.com/kaizengarden/moray/schemas"
)

// documentSchema is the compiled [schemas.Bucket], and its text as encoding/json decodes it.
var documentSchema = sync.OnceValues(func() (*jsonschema.Schema, map[string]any) {
	var raw map[string]any
	if err := json.Unmarshal([]byte(schemas.Bucket), &raw); err != nil {
		panic("reconcile: the embedded schema is broken: " + err.Error())
	}
	return jsonschema.MustCompileString("bucket.json", schemas.Bucket), raw
})

// check says what the schema of documents finds wrong with a document, whose JSON is text.
func (r *reader) check(root *yaml.Node, text []byte) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil { // text was made by value, so it is JSON
		r.say(root, "%v", err)
		return
	}
	schema, _ := documentSchema()
	invalid := (*jsonschema.ValidationError)(nil)
	if errors.As(schema.Validate(v), &invalid) {
		r.collect(root, v, invalid)
	}
}

// collect says what is wrong at the leaves of a validation error: they say what is wrong, the others only where.
func (r *reader) collect(root *yaml.Node, v any, e *jsonschema.ValidationError) {
	for _, cause := range e.Causes {
		r.collect(root, v, cause)
	}
	if len(e.Causes) > 0 {
		return
	}
	b := breach{keyword: path.Base(e.KeywordLocation), place: decoded(e.InstanceLocation)}
	_, location, _ := strings.Cut(e.AbsoluteKeywordLocation, "#")
	_, raw := documentSchema()
	b.rule, _ = lookUp(raw, decoded(path.Dir(location))).(map[string]any)
	b.value = lookUp(v, b.place)
	key, value := at(root, b.place)
	switch b.keyword {
	case "additionalProperties":
		o, _ := b.value.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(o)) {
			if known := b.properties(); !slices.Contains(slices.Collect(known), name) {
				key, _ := at(root, b.place+"/"+escaper.Replace(name))
				r.say(key, "%sunknown key %s", b.where(), spelling.Unknown(name, known))
			}
		}
	case "required":
		o, _ := b.value.(map[string]any)
		for _, name := range words(b.rule["required"]) {
			if _, ok := o[name]; !ok {
				r.say(key, "%slacks the key '%s'", b.where(), name)
			}
		}
	case "pattern":
		if strings.Contains(e.KeywordLocation, "/propertyNames/") {
			if o, _ := b.value.(map[string]any); o[""] != nil { // the validator leaves an empty name out of the place
				b.place += "/"
				key, _ = at(root, b.place)
			}
			tokens := strings.Split(b.place, "/")
			r.say(key, "%s", b.pattern(unescape(tokens[len(tokens)-1])))
			break
		}
		r.say(value, "%s%s", b.where(), b.pattern(b.value))
	case "not":
		r.say(key, "%s%v", b.where(), b.rule["x-rule"])
	default:
		r.say(value, "%s%s", b.where(), b.text())
	}
}

// breach is a rule of the schema that a document breaks.
type breach struct {
	keyword string
	place   string         // JSON pointer of the value
	rule    map[string]any // the schema that the keyword stands in
	value   any
}

// where is the beginning of a message that says which value is meant.
func (b *breach) where() string {
	if b.place == "" {
		return ""
	}
	return unescape(strings.ReplaceAll(b.place[1:], "/", ".")) + ": "
}

func (b *breach) properties() iter.Seq[string] {
	properties, _ := b.rule["properties"].(map[string]any)
	return maps.Keys(properties)
}

func (b *breach) pattern(value any) string {
	return fmt.Sprintf("'%s' is no %v: %v", short(fmt.Sprint(value)), b.rule["title"], b.rule["x-rule"])
}

// text says how the value breaks the rule.
func (b *breach) text() string {
	switch b.keyword {
	case "type":
		names := words(b.rule["type"])
		for i, name := range names {
			names[i] = kinds[name]
		}
		return fmt.Sprintf("should be %s, not %s", strings.Join(names, " or "), kindOf(b.value))
	case "const":
		return fmt.Sprintf("should be %v", b.rule["const"])
	case "enum":
		known := words(b.rule["enum"])
		text, isText := b.value.(string)
		switch near := spelling.Nearest(text, slices.Values(known)); {
		case !isText && slices.Contains(known, bracketed(b.value)):
			return fmt.Sprintf("should be the text \"%s\", in quotes", bracketed(b.value))
		case !isText:
			return fmt.Sprintf("should be %s, not %s", strings.Join(known, ", "), kindOf(b.value))
		case near != "":
			return fmt.Sprintf("unknown %v '%s', did you mean '%s'?", b.rule["title"], text, near)
		default:
			return fmt.Sprintf("unknown %v '%s': it should be %s", b.rule["title"], short(text), strings.Join(known, ", "))
		}
	case "minimum", "maximum":
		bound, _ := b.rule[b.keyword].(float64)
		word := map[string]string{"minimum": "least", "maximum": "most"}[b.keyword]
		return fmt.Sprintf("should be at %s %s", word, jsvalue.AppendNumber(nil, bound))
	}
	return "breaks the rule " + b.keyword
}

// kinds are the types of JSON in the words that people use for YAML.
var kinds = map[string]string{
	"string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
	"array": "a list", "object": "an object", "null": "null",
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return kinds["null"]
	case string:
		return kinds["string"]
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	case []any:
		return kinds["array"]
	}
	return kinds["object"]
}

// bracketed returns what the name of an array type becomes in YAML without quotes.
func bracketed(v any) string {
	if list, ok := v.([]any); ok && len(list) == 1 {
		return fmt.Sprintf("[%v]", list[0])
	}
	return ""
}

// words returns the texts of a list, or the one text.
func words(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		list := make([]string, len(v))
		for i := range v {
			list[i] = fmt.Sprint(v[i])
		}
		return list
	}
	return nil
}

var escaper = strings.NewReplacer("~", "~0", "/", "~1")

// decoded undoes the percent signs that the validator puts into its JSON pointers.
func decoded(pointer string) string {
	if plain, err := url.PathUnescape(pointer); err == nil {
		return plain
	}
	return pointer
}

// lookUp returns the value at a JSON pointer, or nil.
func lookUp(v any, pointer string) any {
	if pointer == "" || pointer == "." || pointer == "/" {
		return v
	}
	for _, token := range strings.Split(pointer, "/")[1:] {
		switch parent := v.(type) {
		case map[string]any:
			v = parent[unescape(token)]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(parent) {
				return nil
			}
			v = parent[i]
		default:
			return nil
		}
	}
	return v
}
