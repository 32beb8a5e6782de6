package tools

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// print prints a value of the answer, on one line or indented, or as --output says.
func (c *call) print(v jsvalue.Value, compact bool) error {
	var text []byte
	switch {
	case c.opts.output == "yaml":
		var err error
		if text, err = yamlOf(v); err != nil {
			return err
		}
	case c.opts.output == "table":
		return c.printTable([]jsvalue.Value{v})
	case compact:
		text = append(jsvalue.AppendPrinted(nil, v), '\n')
	default:
		text = append(appendIndented(nil, v, "\n"), '\n')
	}
	return c.write(text)
}

func (c *call) write(text []byte) error {
	if _, err := c.Out.Write(text); err != nil {
		return errSilent // whoever read it has seen enough
	}
	return nil
}

// appendIndented appends v as JSON.stringify(v, null, 2) prints it.
func appendIndented(dst []byte, v jsvalue.Value, newline string) []byte {
	inner := newline + "  "
	first := true
	next := func() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, inner...)
	}
	switch v.Kind() {
	case jsvalue.KindArray:
		dst = append(dst, '[')
		for e := range v.Elements() {
			next()
			dst = appendIndented(dst, e, inner)
		}
		if !first {
			dst = append(dst, newline...)
		}
		return append(dst, ']')
	case jsvalue.KindObject:
		dst = append(dst, '{')
		for name, m := range v.Members() {
			next()
			dst = append(jsvalue.AppendString(dst, name), ": "...)
			dst = appendIndented(dst, m, inner)
		}
		if !first {
			dst = append(dst, newline...)
		}
		return append(dst, '}')
	}
	return append(dst, v...)
}

var identifier = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*$`)

// literal is a flat object as node prints it for people: { count: 1, etag: 'x' }.
func literal(v jsvalue.Value) string {
	var all []string
	for name, m := range v.Members() {
		if !identifier.MatchString(name) {
			name = "'" + name + "'"
		}
		text := string(m)
		if m.Kind() == jsvalue.KindString {
			text = "'" + strings.ReplaceAll(m.Text(), "'", `\'`) + "'"
		}
		all = append(all, name+": "+text)
	}
	if all == nil {
		return "{}"
	}
	return "{ " + strings.Join(all, ", ") + " }"
}

// yamlOf returns v as a YAML document, its members in their order.
func yamlOf(v jsvalue.Value) ([]byte, error) {
	var n yaml.Node
	if err := yaml.Unmarshal(v, &n); err != nil { // JSON is YAML
		return nil, fmt.Errorf("print as YAML: %w", err)
	}
	block(&n)
	var out bytes.Buffer
	out.WriteString("---\n")
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(&n); err != nil {
		return nil, fmt.Errorf("print as YAML: %w", err)
	}
	return out.Bytes(), nil
}

// block takes the style of JSON from a node and those under it.
func block(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		block(c)
	}
}

// printTable prints objects as a table. The columns are the members of the first one; what is not text stands as JSON.
func (c *call) printTable(rows []jsvalue.Value) error {
	if len(rows) == 0 {
		return nil
	}
	var out bytes.Buffer
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	if rows[0].Kind() != jsvalue.KindObject {
		for _, r := range rows {
			fmt.Fprintln(t, cell(r))
		}
	} else {
		var names []string
		for name := range rows[0].Members() {
			names = append(names, name)
		}
		fmt.Fprintln(t, strings.ToUpper(strings.Join(names, "\t")))
		for _, r := range rows {
			for i, name := range names {
				if i > 0 {
					io.WriteString(t, "\t") //nolint:errcheck // because it goes to memory
				}
				io.WriteString(t, cell(r.Member(name))) //nolint:errcheck // because it goes to memory
			}
			fmt.Fprintln(t)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return c.write(out.Bytes())
}

// cell is a value on one line.
func cell(v jsvalue.Value) string {
	switch v.Kind() {
	case jsvalue.KindUndefined, jsvalue.KindNull:
		return "-"
	case jsvalue.KindString:
		return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(v.Text())
	}
	return string(v)
}

// printer prints records as they come, but for a table, which needs all of them.
type printer struct {
	c       *call
	compact bool
	rows    []jsvalue.Value
}

func (p *printer) add(v jsvalue.Value) error {
	if p.c.opts.output == "table" {
		p.rows = append(p.rows, bytes.Clone(v))
		return nil
	}
	return p.c.print(v, p.compact)
}

func (p *printer) end() error { return p.c.printTable(p.rows) }
