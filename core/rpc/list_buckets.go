package rpc

// listBuckets [options]: DATA record for each bucket, END.
func listBuckets(c *call) error { return c.Buckets.List(c.ctx, c.send) }
