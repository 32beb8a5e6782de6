package bucket

import (
	"slices"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// nextReindexing returns the text of reindex_active after an update, or nil if it stays NULL: added are listed under the
// version if reindex says so, and settled leave all lists, because they are gone or were filled by the update itself. The list
// of the version stays also if it is empty: it asks for one pass over the rows.
func nextReindexing(stored []byte, version float64, reindex bool, added, settled []Column) []byte {
	if stored == nil && !reindex {
		return nil
	}
	lists := map[string][]string{}
	var versions []string
	if active, err := jsvalue.ParseObject(stored); err == nil {
		for i := range active.Len() {
			v, names := active.At(i)
			versions = append(versions, v)
			lists[v] = without(names, settled)
		}
	}
	if reindex {
		v := string(jsvalue.AppendNumber(nil, version))
		if !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
		for _, c := range added {
			if !slices.Contains(lists[v], c.Name) {
				lists[v] = append(lists[v], c.Name)
			}
		}
	}
	return printReindexing(versions, lists)
}

// without returns the strings of an array but for the names of columns.
func without(names jsvalue.Value, columns []Column) []string {
	if names.Kind() != jsvalue.KindArray {
		return nil
	}
	var rest []string
	for e := range names.Elements() {
		if e.Kind() != jsvalue.KindString {
			continue
		}
		name := e.Text()
		if !slices.ContainsFunc(columns, func(c Column) bool { return c.Name == name }) {
			rest = append(rest, name)
		}
	}
	return rest
}

func printReindexing(versions []string, lists map[string][]string) []byte {
	text := []byte{'{'}
	for i, v := range versions {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(jsvalue.AppendString(text, v), ":["...)
		for j, name := range lists[v] {
			if j > 0 {
				text = append(text, ',')
			}
			text = jsvalue.AppendString(text, name)
		}
		text = append(text, ']')
	}
	return jsvalue.AppendPrinted(nil, append(text, '}')) // versions are numbers: a JavaScript object sorts them
}
