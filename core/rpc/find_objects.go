package rpc

import (
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
)

// findHandled are the options that findObjects acknowledges to clients that ask.
var findHandled = jsvalue.Value(`{"_handledOptions":["req_id","limit","offset","sort","noLimit","no_count","sql_only",` +
	`"noBucketCache","timeout","requireOnlineReindexing","requireIndexes"]}`)

// findObjects [bucket, filter, options]: [DATA handled options,] DATA record for each object, END. With sql_only the only
// record shows the statement.
func findObjects(c *call) error {
	f := &object.Find{
		Bucket: c.caller.Bucket, Filter: c.text(1), Page: c.options.page(),
		NoCount: c.options.noCount, OnlySQL: c.options.onlySQL, RequireIndexes: c.options.indexesOnly, Fresh: c.options.fresh,
	}
	if c.options.sendHandled {
		f.Accepted = func() error { return c.send(findHandled) }
	}
	return c.Objects.Find(c.ctx, f, c.send)
}
