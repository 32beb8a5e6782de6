package bucket

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// Fingerprint returns a text that two definitions share if they mean the same: neither the order of the members of objects
// counts, nor whether a default is written out. The arguments are JSON texts as they are stored; options may be nil.
func Fingerprint(index, pre, post, options []byte) string {
	sum := sha256.New()
	part := func(text []byte) {
		sum.Write(text)
		sum.Write([]byte{'\n'}) // no JSON text that is printed has a line break
	}
	part(canonicalIndex(index))
	part(sorted(pre, "[]"))
	part(sorted(post, "[]"))
	part(canonicalOptions(options))
	return hex.EncodeToString(sum.Sum(nil))
}

// sorted returns a JSON text with sorted members; what is not JSON stays as it is.
func sorted(text []byte, fallback string) []byte {
	if len(text) == 0 {
		return []byte(fallback)
	}
	v, err := jsvalue.Parse(text)
	if err != nil {
		return text
	}
	return jsvalue.AppendSorted(nil, v)
}

func canonicalIndex(text []byte) []byte {
	columns, err := parseIndex(text)
	if err != nil {
		return sorted(text, "{}")
	}
	index := []byte{'{'}
	for i, c := range columns {
		if i > 0 {
			index = append(index, ',')
		}
		index = append(jsvalue.AppendString(index, c.Name), `:{"type":`...)
		index = jsvalue.AppendString(index, c.Type.String())
		if c.Unique {
			index = append(index, `,"unique":true`...)
		}
		index = append(index, '}')
	}
	return sorted(append(index, '}'), "{}")
}

func canonicalOptions(text []byte) []byte {
	options := jsvalue.Value("{}")
	if v, err := jsvalue.Parse(text); err == nil && v.Kind() == jsvalue.KindObject {
		options = v
	}
	return sorted(withVersion(options), "{}")
}

// Fingerprint is that of the definition.
func (c *Config) Fingerprint() string { return Fingerprint(c.Index, c.Pre, c.Post, c.Options) }

// Fingerprint is that of the stored definition.
func (r *Record) Fingerprint() string { return Fingerprint(r.Index, r.Pre, r.Post, r.Options) }
