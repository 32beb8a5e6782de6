package reconcile

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Exported is a bucket as a document in the canonical form.
type Exported struct {
	Bucket string
	YAML   []byte
}

// Export returns the live buckets as documents, in the order of their names: of the named ones, or of all. A plan for these
// documents has no changes.
func (p *Planner) Export(ctx context.Context) ([]Exported, error) {
	live, err := p.live(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range p.Only {
		if live[name].Record == nil {
			return nil, fmt.Errorf("there is no bucket %s", name)
		}
	}
	var all []Exported
	for _, name := range slices.Sorted(maps.Keys(live)) {
		l := live[name]
		if l.Record == nil || !p.wants(name) {
			continue
		}
		o := outline{name: name, index: l.Record.Index, pre: l.Record.Pre, post: l.Record.Post, options: l.Record.Options}
		if l.Owner != nil {
			d := parseDocument(l.Owner.Document)
			o.labels, o.Settings = d.Text.Member("metadata").Member("labels"), d.Settings
		}
		text, err := o.yaml(provenance(l))
		if err != nil {
			return nil, fmt.Errorf("export bucket %s: %w", name, err)
		}
		all = append(all, Exported{name, text})
	}
	return all, nil
}

// provenance says in a comment where a definition comes from.
func provenance(l bucket.Live) string {
	switch {
	case l.Owner == nil:
		return "# Not managed: a client defined it."
	case drift(l) != "":
		return "# Drift: " + drift(l) + "."
	}
	return "# " + applied(l.Owner) + "."
}

// Diff returns the difference from the live buckets to the documents as that of their canonical forms, in the unified format.
// It is empty if there is none.
func (p *Planner) Diff(ctx context.Context, documents []*Document) ([]byte, error) {
	live, err := p.live(ctx)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, d := range documents {
		if !p.wants(d.Name) {
			continue
		}
		l := live[d.Name]
		var before []byte
		if l.Record != nil {
			o := outline{
				name: d.Name, index: sortedObject(l.Record.Index), pre: l.Record.Pre, post: l.Record.Post, options: sortedObject(l.Record.Options),
			}
			if l.Owner != nil {
				o.Settings = parseDocument(l.Owner.Document).Settings
			}
			if before, err = o.yaml(""); err != nil {
				return nil, fmt.Errorf("bucket %s: %w", d.Name, err)
			}
		}
		o := outline{
			name: d.Name, index: sortedObject(d.Config.Index), pre: d.Config.Pre, post: d.Config.Post, options: sortedObject(d.Config.Options),
			Settings: d.Settings,
		}
		after, err := o.yaml("")
		if err != nil {
			return nil, fmt.Errorf("bucket %s: %w", d.Name, err)
		}
		difference := diff.Diff("live "+d.Name, before, d.Where(), after)
		if difference != nil {
			_, body, _ := strings.Cut(string(difference), "\n") // the first line repeats the names
			if what := drift(l); what != "" {
				fmt.Fprintf(&out, "# drift: %s\n", what)
			}
			out.WriteString(body)
		}
	}
	return out.Bytes(), nil
}

func sortedObject(text []byte) []byte { return jsvalue.AppendSorted(nil, asObject(text)) }

// outline is what a document is made of.
type outline struct {
	name                      string
	labels                    jsvalue.Value
	index, pre, post, options []byte
	Settings
}

// yaml returns the document in the canonical form, without what is as it is by default.
func (o *outline) yaml(comment string) ([]byte, error) {
	text, err := o.json()
	if err != nil {
		return nil, err
	}
	node := yamlNode(text)
	node.HeadComment = comment
	return encode(node)
}

func (o *outline) json() ([]byte, error) {
	text := jsvalue.AppendString([]byte(`{"apiVersion":"moray/v1","kind":"Bucket","metadata":{"name":`), o.name)
	if o.labels != nil {
		text = append(append(text, `,"labels":`...), o.labels...)
	}
	text = append(text, `},"spec":{`...)
	first := true
	add := func(name string, value []byte) {
		if !first {
			text = append(text, ',')
		}
		first = false
		text = append(append(jsvalue.AppendString(text, name), ':'), value...)
	}
	options := asObject(o.options)
	if v := options.Member("version"); v.Truthy() {
		add("version", v)
	}
	if index := indexes(o.index); len(index) > 2 {
		add("index", index)
	}
	for name, list := range map[string][]byte{"pre": o.pre, "post": o.post} {
		hooks, err := hookList(list)
		if err != nil {
			return nil, err
		}
		if len(hooks) > 2 {
			add(name, hooks)
		}
	}
	if rest := without(options, "version", "schema"); len(rest) > 2 {
		add("options", rest)
	}
	if schema := options.Member("schema"); schema != nil && !schema.IsNull() {
		add("schema", jsvalue.AppendPrinted(nil, schema))
	}
	if o.Pace != nil {
		add("reindex", fmt.Appendf(nil, `{"rate":%d,"batch":%d}`, o.Pace.Rate, o.Pace.Batch))
	}
	if o.Delete {
		add("deletionPolicy", []byte(`"delete"`))
	}
	if o.Protect {
		add("protect", []byte("true"))
	}
	return append(text, `}}`...), nil
}

// indexes returns an index object without unique where it is false.
func indexes(text []byte) []byte {
	index := []byte{'{'}
	for name, definition := range asObject(text).Members() {
		if len(index) > 1 {
			index = append(index, ',')
		}
		index = append(jsvalue.AppendString(index, name), `:{"type":`...)
		index = append(index, definition.Member("type")...)
		if definition.Member("unique").IsTrue() {
			index = append(index, `,"unique":true`...)
		}
		index = append(index, '}')
	}
	return append(index, '}')
}

// hookList returns a stored list of hooks as documents write it.
func hookList(text []byte) ([]byte, error) {
	triggers, err := bucket.ParseTriggers(text)
	if err != nil {
		return nil, err
	}
	list := []byte{'['}
	for i, t := range triggers {
		if i > 0 {
			list = append(list, ',')
		}
		if t.Source {
			list = append(list, t.Config...)
		} else {
			list = append(list, t.Binding()...)
		}
	}
	return append(list, ']'), nil
}

// without returns an object without some members.
func without(v jsvalue.Value, names ...string) []byte {
	text := []byte{'{'}
	for name, value := range v.Members() {
		if slices.Contains(names, name) {
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(append(jsvalue.AppendString(text, name), ':'), value...)
	}
	return jsvalue.AppendPrinted(nil, append(text, '}'))
}
