package rpc

// getBucket [options, bucket]: DATA record, END. The order of the arguments is the original's.
func getBucket(c *call) error { return c.Buckets.Get(c.ctx, c.text(1), c.send) }
