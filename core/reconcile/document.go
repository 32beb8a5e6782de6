package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Document is the definition of one bucket, and how it is managed.
type Document struct {
	Name string
	File string // where it stands, from the directory on
	Line int    // where it begins
	// Text is the whole document as JSON.
	Text jsvalue.Value
	// Definition is what it says about the bucket, in the form of the argument of createBucket.
	Definition jsvalue.Value
	Config     *bucket.Config // of Definition; nobody has looked at the hooks
	Settings
	// Allow are consents: what may be changed although it loses something.
	Allow []string

	node *yaml.Node // nil if it was not read from YAML
}

// Settings are what a document says about the management of its bucket. They are no part of the bucket's definition, and
// need no new version.
type Settings struct {
	Pace    *bucket.Pace // how servers fill new indexes; nil: clients do it
	Protect bool         // refuse clients that want to change or delete the bucket
	Delete  bool         // the bucket may go when the document is gone
}

// How fast servers fill new indexes if a document does not say.
const (
	defaultRate  = 1000
	defaultBatch = 100
)

// Hash returns a text that two documents share if they say the same.
func (d *Document) Hash() string {
	sum := sha256.Sum256(jsvalue.AppendSorted(nil, d.Text))
	return hex.EncodeToString(sum[:])
}

// Fingerprint is that of the definition.
func (d *Document) Fingerprint() string { return d.Config.Fingerprint() }

// Version is the version of the definition; 0 for none.
func (d *Document) Version() float64 { return d.Config.Version }

// Where names the place of the document.
func (d *Document) Where() string { return fmt.Sprintf("%s:%d", d.File, d.Line) }

// Problem returns a problem of the value at a JSON pointer in the document.
func (d *Document) Problem(pointer, text string) Problem {
	p := Problem{File: d.File, Line: d.Line, Column: 1, Text: text}
	if d.node != nil {
		_, n := at(d.node, pointer)
		p.Line, p.Column = n.Line, n.Column
	}
	return p
}

// parseDocument returns the document that a JSON text says, which the schema of documents has accepted.
func parseDocument(text jsvalue.Value) *Document {
	metadata, spec := text.Member("metadata"), text.Member("spec")
	d := &Document{Name: metadata.Member("name").Text(), Text: text}
	d.Definition = definition(spec)
	d.Protect = spec.Member("protect").IsTrue()
	if policy := spec.Member("deletionPolicy"); policy != nil {
		d.Delete = policy.Text() == "delete"
	}
	d.Pace = parsePace(spec.Member("reindex"))
	if allow := spec.Member("allow"); allow != nil {
		for consent := range allow.Elements() {
			d.Allow = append(d.Allow, consent.Text())
		}
	}
	return d
}

func parsePace(v jsvalue.Value) *bucket.Pace {
	r := &bucket.Pace{Rate: defaultRate, Batch: defaultBatch}
	switch v.Kind() {
	case jsvalue.KindObject:
		if rate := v.Member("rate"); rate != nil {
			r.Rate = int(rate.Float())
		}
		if batch := v.Member("batch"); batch != nil {
			r.Batch = int(batch.Float())
		}
		return r
	case jsvalue.KindBool:
		if v.IsTrue() {
			return r
		}
	}
	return nil
}

// definition returns what createBucket takes of a spec.
func definition(spec jsvalue.Value) jsvalue.Value {
	text := []byte{'{'}
	for _, name := range []string{"index", "pre", "post"} {
		if m := spec.Member(name); m != nil {
			text = append(append(jsvalue.AppendString(text, name), ':'), m...)
			text = append(text, ',')
		}
	}
	text = append(text, `"options":{`...)
	for name, value := range members(spec.Member("options")) {
		text = append(append(jsvalue.AppendString(text, name), ':'), value...)
		text = append(text, ',')
	}
	version := spec.Member("version")
	if version == nil {
		version = jsvalue.Value("0")
	}
	text = append(append(text, `"version":`...), version...)
	if schema := spec.Member("schema"); schema != nil {
		text = append(append(text, `,"schema":`...), schema...)
	}
	return append(text, `}}`...)
}

// members returns the members of v, none if it is absent.
func members(v jsvalue.Value) iter.Seq2[string, jsvalue.Value] {
	if v == nil {
		v = jsvalue.Value("{}")
	}
	return v.Members()
}

// parse fills in Config, after checks that only the files are needed for. The problems say what no bucket can be defined with.
func (d *Document) parse() []Problem {
	var problems []Problem
	if err := bucket.CheckName(d.Name); err != nil {
		problems = append(problems, d.Problem("/metadata/name", said(err)))
	}
	idents := map[string]string{}
	for name := range members(d.Definition.Member("index")) {
		place := "/spec/index/" + escaper.Replace(name)
		if err := bucket.CheckIndexName(name); err != nil {
			problems = append(problems, d.keyProblem(place, said(err)))
			continue
		}
		ident := strings.ToLower(name)
		if before, ok := idents[ident]; ok {
			problems = append(problems, d.keyProblem(place,
				fmt.Sprintf("the indexes '%s' and '%s' would have the same column '%s'", before, name, ident)))
		}
		idents[ident] = name
	}
	if problems != nil {
		return problems
	}
	config, err := bucket.ParseConfig(context.Background(), unchecked{}, d.Name, d.Definition)
	if err != nil {
		return []Problem{d.refused(err)}
	}
	d.Config = config
	return nil
}

// keyProblem is a problem of a key, not of its value.
func (d *Document) keyProblem(pointer, text string) Problem {
	p := d.Problem(pointer, text)
	if d.node != nil {
		key, _ := at(d.node, pointer)
		p.Line, p.Column = key.Line, key.Column
	}
	return p
}

// refused returns the problem that the definition is refused, at the place that the error is about.
func (d *Document) refused(err error) Problem {
	text := said(err)
	if rest, ok := strings.CutPrefix(text, "bucket.options.schema"); ok {
		place, _, _ := strings.Cut(rest, ":")
		return d.Problem("/spec/schema"+strings.ReplaceAll(place, ".", "/"), "spec.schema"+rest)
	}
	if m := placed.FindStringSubmatch(text); m != nil {
		return d.Problem("/spec/"+m[1]+"/"+m[2], "spec"+strings.TrimPrefix(text, "bucket"))
	}
	return d.Problem("/spec", text)
}

// placed finds the member that the text of a fault about a definition begins with, and the number of its element.
var placed = regexp.MustCompile(`^bucket\.(pre|post|options)(?:\[(\d+)\])?`)

// said is what an error says to people: without the name of a fault.
func said(err error) string {
	if f := fault.From(err); f != nil {
		return f.Message
	}
	return err.Error()
}

// unchecked takes hooks as they are, where nobody is there who could check them.
type unchecked struct{}

// Check implements bucket.Triggers.
func (unchecked) Check(context.Context, string, []bucket.Trigger, []bucket.Trigger) error { return nil }
