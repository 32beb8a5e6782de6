package reconcile

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// Modeline is the first line of a file with which editors find the schema of documents.
const Modeline = "# yaml-language-server: $schema=https://raw.githubusercontent.com/kaizengarden/moray/main/schemas/bucket.json\n"

// YAML returns the document in the canonical form.
func (d *Document) YAML() ([]byte, error) { return encode(yamlNode(d.Text)) }

// yamlNode returns the node that stands for a JSON value.
func yamlNode(v jsvalue.Value) *yaml.Node {
	switch v.Kind() {
	case jsvalue.KindObject:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for name, member := range v.Members() {
			n.Content = append(n.Content, textNode(name), yamlNode(member))
		}
		return flat(n)
	case jsvalue.KindArray:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for e := range v.Elements() {
			n.Content = append(n.Content, yamlNode(e))
		}
		return flat(n)
	case jsvalue.KindString:
		return textNode(v.Text())
	case jsvalue.KindNumber:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: string(v)} // every number of JSON is one of YAML
	case jsvalue.KindBool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: string(v)}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}

// flat puts what is empty into one line.
func flat(n *yaml.Node) *yaml.Node {
	if len(n.Content) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

// textNode leaves to the library whether a text of one line needs quotes.
func textNode(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if text == "<<" || strings.Contains(text, "\n") && !literal(text) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}
