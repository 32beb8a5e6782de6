package query

import (
	"slices"
	"strings"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/field"
	"github.com/kaizengarden/moray/core/filter"
)

// RequireIndexes refuses a filter with an attribute that is neither a usable index nor one of the columns that every bucket
// has. written is the filter as the client sent it; the fault is NotIndexed.
func RequireIndexes(b *bucket.Bucket, n filter.Node, written string) error {
	var reindexing, unindexed []string
	note := func(list *[]string, attribute string) {
		if !slices.Contains(*list, attribute) {
			*list = append(*list, attribute)
		}
	}
	walk(n, func(attribute string) {
		if _, internal := field.Internal(attribute); internal || usable(b, attribute) != nil {
			return
		}
		if c := b.Column(attribute); c != nil && c.Reindexing {
			note(&reindexing, attribute)
			return
		}
		note(&unindexed, attribute)
	})
	if reindexing == nil && unindexed == nil {
		return nil
	}
	return NotIndexed(b, written, reindexing, unindexed)
}

// NotIndexed is the fault that lists the fields of a filter, or of an update, which filters cannot rely on.
func NotIndexed(b *bucket.Bucket, written string, reindexing, unindexed []string) error {
	return fault.New(fault.NotIndexed, "%s does not have indexes that support %s. Reindexing fields: %s. Unindexed fields: %s",
		b.Name, written, inspect(reindexing), inspect(unindexed))
}

// walk calls leaf with the attribute of every leaf, from left to right.
func walk(n filter.Node, leaf func(attribute string)) {
	switch n := n.(type) {
	case *filter.And:
		for _, child := range n.Children {
			walk(child, leaf)
		}
	case *filter.Or:
		for _, child := range n.Children {
			walk(child, leaf)
		}
	case *filter.Not:
		walk(n.Child, leaf)
	default:
		leaf(attributeOf(n))
	}
}

// inspect prints a list as Node.js shows arrays of strings: consumers compare these texts.
func inspect(list []string) string {
	if len(list) == 0 {
		return "[]"
	}
	quoted := make([]string, len(list))
	length := 0
	for i, s := range list {
		quoted[i] = `'` + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + `'`
		length += len(quoted[i]) + 1
	}
	separator := ", "
	if length > 60 {
		separator = ",\n  "
	}
	return "[ " + strings.Join(quoted, separator) + " ]"
}
