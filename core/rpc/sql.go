package rpc

import (
	"github.com/kaizengarden/moray/core/access"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// sql [statement, values, options]: DATA row for each row, END.
func sql(c *call) error {
	mode, err := c.client().SQL()
	if err != nil {
		return denied(err)
	}
	var values []jsvalue.Value
	for v := range c.args[1].Elements() {
		values = append(values, v)
	}
	return c.Database.SQL(c.ctx, c.text(0), values, mode == access.SQLReadOnly, c.send)
}
