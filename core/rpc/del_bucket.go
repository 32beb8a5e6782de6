package rpc

// delBucket [bucket, options]: END.
func delBucket(c *call) error { return c.Buckets.Delete(c.ctx, c.text(0)) }
