package reconcile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The order of the keys in the canonical form, by the place of their object; * stands for any key.
var keyOrder = map[string][]string{
	"":             {"apiVersion", "kind", "metadata", "spec"},
	"metadata":     {"name", "labels"},
	"spec":         {"version", "index", "pre", "post", "options", "schema", "reindex", "deletionPolicy", "protect", "allow"},
	"spec.index.*": {"type", "unique"},
	"spec.pre.*":   {"plugin", "hook", "config", "timeout", "onError"},
	"spec.post.*":  {"plugin", "hook", "config", "timeout", "onError"},
	"spec.reindex": {"rate", "batch"},
}

// Format returns a file in the canonical form: known keys in the order of the documentation, two blanks of indentation, an
// index a line. Comments stay where they are, and so do empty lines before keys. The error is an *[InvalidError] if the file
// has problems; a file whose comments would not survive is refused too.
func Format(name string, text []byte) ([]byte, error) {
	before, problems := ReadFile(name, text)
	if problems != nil {
		return nil, invalid(problems)
	}
	if len(before) == 0 { // comments alone
		return text, nil
	}
	formatted, err := format(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if lost := lostLine(text, formatted); lost != "" {
		return nil, fmt.Errorf("%s: the comment %q would be lost: move it to a line of its own before a key", name, lost)
	}
	after, problems := ReadFile(name, formatted)
	if problems != nil || !slices.EqualFunc(before, after, func(a, b *Document) bool { return a.Hash() == b.Hash() }) {
		return nil, fmt.Errorf("%s: the file would not say the same afterwards", name)
	}
	if again, err := format(formatted); err != nil || !bytes.Equal(again, formatted) {
		return nil, fmt.Errorf("%s: a comment would not stay where it is: move comments to lines of their own before keys", name)
	}
	return formatted, nil
}

func format(text []byte) ([]byte, error) {
	var out bytes.Buffer
	lines := strings.Split(string(text), "\n")
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var node yaml.Node
		if err := d.Decode(&node); errors.Is(err, io.EOF) {
			return out.Bytes(), nil
		} else if err != nil {
			return nil, err
		}
		keepBlankLines(&node, lines)
		if out.Len() > 0 {
			out.WriteString("---\n")
		}
		formatted, err := encode(&node)
		if err != nil {
			return nil, err
		}
		out.Write(formatted)
	}
}

// encode prints a document in the canonical form. It changes the node.
func encode(node *yaml.Node) ([]byte, error) {
	root := node
	if node.Kind == yaml.DocumentNode {
		root = node.Content[0]
	}
	canonical(root, "")
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(node); err != nil {
		return nil, err
	}
	if err := e.Close(); err != nil {
		return nil, err
	}
	return blankLines(out.Bytes()), nil
}

// canonical orders the keys of a mapping and sets the styles of what is below it. Place is its path.
func canonical(n *yaml.Node, place string) {
	switch n.Kind {
	case yaml.SequenceNode:
		for _, e := range n.Content {
			canonical(e, place+".*")
		}
		return
	case yaml.ScalarNode:
		if strings.Contains(n.Value, "\n") && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 && literal(n.Value) {
			n.Style = yaml.LiteralStyle
		}
		return
	case yaml.MappingNode:
	default:
		return
	}
	if order := keyOrder[place]; order != nil {
		sortKeys(n, order)
	}
	switch {
	case place == "spec.index.*" && !commented(n):
		n.Style |= yaml.FlowStyle
	case place == "" || place == "spec" || place == "spec.index":
		n.Style &^= yaml.FlowStyle
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		inner := n.Content[i].Value
		if place == "spec.index" {
			inner = "*"
		}
		canonical(n.Content[i+1], strings.TrimPrefix(place+"."+inner, "."))
	}
}

// commented reports whether there are comments below n, which a line of its own cannot hold.
func commented(n *yaml.Node) bool {
	return slices.ContainsFunc(n.Content, func(c *yaml.Node) bool {
		return c.HeadComment != "" || c.FootComment != "" || c.LineComment != "" && c != n.Content[len(n.Content)-1] || commented(c)
	})
}

// literal reports whether a text of several lines can be printed line by line as it is.
func literal(text string) bool {
	if strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\t") || strings.HasPrefix(text, "\n") || strings.Contains(text, " \n") {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r == '\x7f' || r == '\u0085' || r == '\u2028' || r == '\u2029' || r == '\ufeff' || r == '\ufffd'
	})
}

// sortKeys moves known keys to the front, in their order.
func sortKeys(n *yaml.Node, order []string) {
	type pair struct {
		key, value *yaml.Node
		rank       int
	}
	var pairs []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		rank := slices.Index(order, n.Content[i].Value)
		if rank < 0 {
			rank = len(order)
		}
		pairs = append(pairs, pair{n.Content[i], n.Content[i+1], rank})
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return a.rank - b.rank })
	for i, p := range pairs {
		n.Content[2*i], n.Content[2*i+1] = p.key, p.value
	}
}

// blank stands for an empty line while a document is printed: the library keeps comments, and no empty lines.
const blank = "#\u2063blank"

// keepBlankLines notes the empty lines before keys and elements in their comments.
func keepBlankLines(n *yaml.Node, lines []string) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			keepBlankLines(c, lines)
			continue
		}
		first := c.Line - 1 // from 0
		if c.HeadComment != "" {
			first -= strings.Count(c.HeadComment, "\n") + 1
		}
		if i > 0 && n.Style&yaml.FlowStyle == 0 && n.Kind != yaml.DocumentNode && first > 0 && first <= len(lines) && strings.TrimSpace(lines[first-1]) == "" {
			c.HeadComment = strings.TrimSuffix(blank+"\n"+c.HeadComment, "\n")
		}
		keepBlankLines(c, lines)
	}
}

// blankLines puts the empty lines back.
func blankLines(text []byte) []byte {
	lines := bytes.Split(text, []byte("\n"))
	for i, line := range lines {
		if string(bytes.TrimSpace(line)) == blank {
			lines[i] = nil
		}
	}
	return bytes.Join(lines, []byte("\n"))
}

// lostLine returns a line of comment that is not in the result, or "".
func lostLine(text, result []byte) string {
	count := map[string]int{}
	for line := range strings.SplitSeq(string(result), "\n") {
		count[strings.TrimSpace(line)]++
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "#") {
			continue
		}
		if count[line]--; count[line] < 0 {
			return line
		}
	}
	return ""
}
