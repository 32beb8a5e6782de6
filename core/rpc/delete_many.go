package rpc

import (
	"strconv"

	"github.com/kaizengarden/moray/core/object"
)

// deleteMany [bucket, filter, options]: DATA {"count"}, END.
func deleteMany(c *call) error {
	count, err := c.Objects.DeleteMany(c.ctx, &object.DeleteMany{
		Bucket: c.caller.Bucket, Filter: c.text(1), Page: c.options.page(), Fresh: c.options.fresh,
	})
	if err != nil {
		return err
	}
	return c.send(append(strconv.AppendInt([]byte(`{"count":`), count, 10), '}'))
}
