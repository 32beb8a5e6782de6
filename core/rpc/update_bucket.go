package rpc

// updateBucket [name, config, options]: END.
func updateBucket(c *call) error {
	return c.Buckets.Update(c.ctx, c.text(0), c.args[1], c.options.noReindex)
}
