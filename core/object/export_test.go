package object

import (
	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/filter"
)

// Match reports whether memory accepts a row of a find, as [Service.Find] does.
func Match(b *bucket.Bucket, n filter.Node, row Row) (bool, error) {
	f := &found{row: row}
	if err := f.read(b, row); err != nil {
		return false, err
	}
	return n.Match(f), nil
}
