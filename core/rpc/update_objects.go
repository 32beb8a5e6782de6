package rpc

import (
	"strconv"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
)

// updateObjects [bucket, fields, filter, options]: DATA {"count","etag"}, END.
func updateObjects(c *call) error {
	fields, err := c.object(1)
	if err != nil {
		return err
	}
	count, etag, err := c.Objects.Update(c.ctx, &object.Update{
		Bucket: c.caller.Bucket, Fields: fields, Filter: c.text(2), Page: c.options.page(), Fresh: c.options.fresh,
	})
	if err != nil {
		return err
	}
	answer := strconv.AppendInt([]byte(`{"count":`), count, 10)
	answer = jsvalue.AppendString(append(answer, `,"etag":`...), etag)
	return c.send(append(answer, '}'))
}
