package rpc

import (
	"strconv"

	"github.com/kaizengarden/moray/core/object"
)

// reindexObjects [bucket, count, options]: DATA {"processed"[,"remaining"]}, END.
func reindexObjects(c *call) error {
	done, err := c.Objects.Reindex(c.ctx, &object.Reindex{
		Bucket: c.caller.Bucket, Count: c.args[1].Float(), NoCount: c.options.noCount,
	})
	if err != nil {
		return err
	}
	answer := strconv.AppendInt([]byte(`{"processed":`), done.Processed, 10)
	if done.Remaining >= 0 {
		answer = strconv.AppendInt(append(answer, `,"remaining":`...), done.Remaining, 10)
	}
	return c.send(append(answer, '}'))
}
