package rpc

import "github.com/kaizengarden/moray/core/jsvalue"

// sql [statement, values, options]: DATA row for each row, END.
func sql(c *call) error {
	var values []jsvalue.Value
	for v := range c.args[1].Elements() {
		values = append(values, v)
	}
	return c.Database.SQL(c.ctx, c.text(0), values, c.send)
}
