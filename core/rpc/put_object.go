package rpc

import (
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
)

// putObject [bucket, key, value, options]: DATA {"etag"}, END.
func putObject(c *call) error {
	value, err := c.object(2)
	if err != nil {
		return err
	}
	etag, err := c.Objects.Put(c.ctx, &object.Put{
		Bucket: c.caller.Bucket, Key: c.text(1), Value: value, Expects: c.options.precondition(), Fresh: c.options.fresh,
		Headers: c.options.headers,
	})
	if err != nil {
		return err
	}
	answer := jsvalue.AppendString(append(make([]byte, 0, 24), `{"etag":`...), etag)
	return c.send(append(answer, '}'))
}
