package rpc

import "github.com/kaizengarden/moray/core/jsvalue"

// version [options]: DATA {"version":2}, END. It is the version of the API, not of the program.
func version(c *call) error { return c.send(jsvalue.Value(`{"version":2}`)) }
