package rpc

import (
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
)

// delObject [bucket, key, options]: DATA {}, END. An etag that is null or empty expects nothing; _etag counts where etag is
// so.
func delObject(c *call) error {
	err := c.Objects.Delete(c.ctx, &object.Delete{
		Bucket: c.caller.Bucket, Key: c.text(1), Etag: expectedEtag(c.options.etag, c.options.oldEtag), Fresh: c.options.fresh,
		Headers: c.options.headers,
	})
	if err != nil {
		return err
	}
	return c.send(jsvalue.Value("{}"))
}

// expectedEtag returns the first that is a string and not empty, or "".
func expectedEtag(etags ...jsvalue.Value) string {
	for _, e := range etags {
		if e.Kind() == jsvalue.KindString && e.Truthy() {
			return text(e)
		}
	}
	return ""
}
