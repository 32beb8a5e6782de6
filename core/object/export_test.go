package object

import (
	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/filter"
)

// Match reports whether memory accepts a row of a find, as [Service.Find] does.
func Match(b *bucket.Bucket, n filter.Node, row Row) (bool, error) {
	m, err := merge(b, row)
	if err != nil {
		return false, err
	}
	return n.Match(newFound(m, row, nil)), nil
}
