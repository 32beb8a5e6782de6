package reconcile

import (
	"encoding/json"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// JSON writes the plan for machines. It can be read again with [LoadPlan].
func (p *Plan) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(p)
}

// LoadPlan reads a plan that was kept as JSON, and the documents that it was made for.
func LoadPlan(text []byte) (*Plan, []*Document, error) {
	var p Plan
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, nil, fmt.Errorf("not a plan: %w", err)
	}
	if p.Format != planFormat {
		return nil, nil, fmt.Errorf("not a plan of the form %d that this program writes", planFormat)
	}
	var documents []*Document
	for _, o := range p.Documents {
		d, problems := loadDocument(o)
		if problems != nil {
			return nil, nil, invalid(problems)
		}
		documents = append(documents, d)
	}
	return &p, documents, nil
}

// loadDocument reads a document of a plan, and trusts it as little as a file.
func loadDocument(o Original) (*Document, []Problem) {
	text, err := jsvalue.Parse(o.Text)
	if err != nil {
		return nil, []Problem{{File: o.File, Line: o.Line, Column: 1, Text: err.Error()}}
	}
	r := &reader{file: o.File}
	if r.check(&yaml.Node{Line: o.Line, Column: 1}, text); r.problems != nil {
		return nil, r.problems
	}
	d := parseDocument(jsvalue.AppendPrinted(nil, text))
	d.File, d.Line = o.File, o.Line
	return d, d.parse()
}
