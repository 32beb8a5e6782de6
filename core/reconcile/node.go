package reconcile

import (
	"fmt"
	"math"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kaizengarden/moray/core/jsvalue"
)

const (
	maxDepth = 200     // of a document: deeper ones are a mistake or an attack
	maxText  = 8 << 20 // bytes of the JSON that a document stands for: aliases can make much of little
)

// reader turns the nodes of one file into JSON and collects what is wrong.
type reader struct {
	file     string
	problems []Problem
	full     bool // maxText was reached
}

func (r *reader) say(n *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, Problem{r.file, n.Line, n.Column, fmt.Sprintf(format, args...)})
}

// value appends the JSON text of a node. What JSON cannot say is a problem, and null in the text.
func (r *reader) value(dst []byte, n *yaml.Node, depth int) []byte {
	switch {
	case depth > maxDepth:
		r.say(n, "nested deeper than %d levels", maxDepth)
		return append(dst, "null"...)
	case len(dst) > maxText:
		if !r.full {
			r.full = true
			r.say(n, "the document is longer than %d bytes when its aliases are written out", maxText)
		}
		return append(dst, "null"...)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return r.value(dst, n.Alias, depth+1)
	case yaml.MappingNode:
		return r.mapping(dst, n, depth)
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, e := range n.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = r.value(dst, e, depth+1)
		}
		return append(dst, ']')
	}
	return r.scalar(dst, n)
}

func (r *reader) mapping(dst []byte, n *yaml.Node, depth int) []byte {
	dst = append(dst, '{')
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := scalarNode(n.Content[i])
		switch {
		case key == nil:
			r.say(n.Content[i], "a key should be a word, not a list or an object")
			continue
		case key.ShortTag() == "!!merge":
			r.say(key, "merge keys (<<) are not supported: write the members out")
			continue
		case seen[key.Value] != nil:
			r.say(n.Content[i], "the key '%s' is there twice, first in line %d", key.Value, seen[key.Value].Line)
			continue
		}
		if len(seen) > 0 {
			dst = append(dst, ',')
		}
		seen[key.Value] = key
		dst = jsvalue.AppendString(dst, key.Value)
		dst = r.value(append(dst, ':'), n.Content[i+1], depth+1)
	}
	return append(dst, '}')
}

// scalarNode returns n, or what it is an alias of, if that is a scalar, else nil.
func scalarNode(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		return nil
	}
	return n
}

func (r *reader) scalar(dst []byte, n *yaml.Node) []byte {
	switch tag := n.ShortTag(); tag {
	case "!!null":
		return append(dst, "null"...)
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err == nil {
			return fmt.Append(dst, b)
		}
	case "!!int", "!!float":
		var f float64
		if err := n.Decode(&f); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return jsvalue.AppendNumber(dst, f)
		}
	case "!!str", "!!timestamp", "!!merge": // JSON has no dates, and << is a word like another where it is a value
		return jsvalue.AppendString(dst, n.Value)
	default:
		r.say(n, "the tag %s is not supported", tag)
		return append(dst, "null"...)
	}
	r.say(n, "%s is nothing that JSON can say", short(n.Value))
	return append(dst, "null"...)
}

// short cuts a text that is quoted in a message.
func short(text string) string {
	if len(text) > 60 {
		return strings.ToValidUTF8(text[:60], "") + "…"
	}
	return text
}

// at returns the node of the value at the place that a JSON pointer names below n, and the node of its key; where there is
// no such place, the last one on the way.
func at(n *yaml.Node, pointer string) (key, value *yaml.Node) {
	key, value = n, n
	for _, name := range strings.Split(pointer, "/")[1:] {
		name = unescape(name)
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		switch value.Kind {
		case yaml.MappingNode:
			k, v := member(value, name)
			if k == nil {
				return key, value
			}
			key, value = k, v
		case yaml.SequenceNode:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i < 0 || i >= len(value.Content) {
				return key, value
			}
			key, value = value.Content[i], value.Content[i]
		default:
			return key, value
		}
	}
	return key, value
}

// member returns the nodes of a member of a mapping, or nil.
func member(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := scalarNode(n.Content[i]); k != nil && k.Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

var pointerEscapes = strings.NewReplacer("~1", "/", "~0", "~")

// unescape returns the name that a token of a JSON pointer stands for.
func unescape(token string) string { return pointerEscapes.Replace(token) }
