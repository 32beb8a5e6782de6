package rpc

// ping [options]: END. With deep the database has to answer too.
func ping(c *call) error {
	if !c.options.deep {
		return nil
	}
	return c.Database.Ping(c.ctx)
}
