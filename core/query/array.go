package query

import "strings"

var arrayEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// TextArray is the literal of an array of texts; nil is NULL.
func TextArray(elements [][]byte) []byte {
	var b strings.Builder
	b.WriteByte('{')
	for i, e := range elements {
		if i > 0 {
			b.WriteByte(',')
		}
		if e == nil {
			b.WriteString(`NULL`)
			continue
		}
		b.WriteByte('"')
		arrayEscapes.WriteString(&b, string(e)) //nolint:errcheck // because a Builder does not fail
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return []byte(b.String())
}
