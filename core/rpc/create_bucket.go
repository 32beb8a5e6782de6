package rpc

// createBucket [bucket, config, options]: END.
func createBucket(c *call) error { return c.Buckets.Create(c.ctx, c.text(0), c.args[1]) }
