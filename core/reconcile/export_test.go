package reconcile

import "github.com/kaizengarden/moray/core/jsvalue"

// FromJSON returns the document that a JSON text says.
func FromJSON(text []byte) (*Document, []Problem) {
	d := parseDocument(jsvalue.AppendPrinted(nil, text))
	return d, d.parse()
}
