package rpc

import (
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
)

// getHandled are the options that getObject acknowledges to clients that ask.
var getHandled = jsvalue.Value(`{"_handledOptions":["noBucketCache","noCache","req_id","requireOnlineReindexing","timeout"]}`)

// getObject [bucket, key, options]: [DATA handled options,] DATA record, END.
func getObject(c *call) error {
	g := &object.Get{Bucket: c.caller.Bucket, Key: c.text(1), Fresh: c.options.fresh}
	if c.options.sendHandled {
		g.Loaded = func() error { return c.send(getHandled) }
	}
	record, err := c.Objects.Get(c.ctx, g)
	if err != nil {
		return err
	}
	return c.send(record)
}
