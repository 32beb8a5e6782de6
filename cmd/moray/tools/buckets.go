package tools

import (
	"fmt"

	"github.com/kaizengarden/moray/core/jsvalue"
)

var getbucket = &Tool{
	Name: "getbucket", Synopsis: "BUCKET", Summary: "fetch bucket information from Moray",
	Example:  "getbucket accounts",
	operands: []string{"bucket"},
	run: func(c *call) error {
		b, err := c.bucket(newArguments(), c.operands[0])
		if err != nil {
			return err
		}
		return c.print(b, false)
	},
}

// bucket returns the definition of a bucket as the tools show it.
func (c *call) bucket(id *arguments, name string) (b jsvalue.Value, err error) {
	args := (&arguments{id: id.id}).requestID().text(name)
	err = c.rpc("getBucket", args, func(record jsvalue.Value) error {
		b, err = definition(record)
		return err
	})
	if err == nil && b == nil {
		err = fmt.Errorf("the server answered without a bucket")
	}
	return b, err
}

var listbuckets = &Tool{
	Name: "listbuckets", Summary: "fetch all bucket information from Moray",
	Example: "listbuckets\nlistbuckets --output table",
	run: func(c *call) error {
		list := []byte{'['}
		var rows []jsvalue.Value
		err := c.rpc("listBuckets", newArguments().requestID(), func(record jsvalue.Value) error {
			b, err := definition(record)
			if err != nil {
				return err
			}
			if rows = append(rows, b); len(rows) > 1 {
				list = append(list, ',')
			}
			list = append(list, b...)
			return nil
		})
		switch {
		case err != nil:
			return err
		case c.opts.output == "table":
			return c.printTable(rows)
		}
		return c.print(append(list, ']'), false)
	},
}

// definition makes of a record, whose columns are JSON in strings, what the tools show of a bucket.
func definition(record jsvalue.Value) (jsvalue.Value, error) {
	var b members
	for _, name := range []string{"name", "index", "pre", "post", "options", "mtime", "reindex_active"} {
		switch m := record.Member(name); {
		case name == "name" || name == "mtime":
			b.raw(name, string(m))
		case m.Kind() == jsvalue.KindString:
			v, err := jsvalue.Parse([]byte(m.Text()))
			if err != nil {
				return nil, fmt.Errorf("the server's record of a bucket: %s: %w", name, err)
			}
			b.raw(name, string(v))
		case name != "reindex_active":
			return nil, fmt.Errorf("the server's record of a bucket has no %s", name)
		}
	}
	return b.end(), nil
}

var delbucket = &Tool{
	Name: "delbucket", Synopsis: "BUCKET", Summary: "delete a bucket from Moray",
	Example:  "delbucket accounts",
	operands: []string{"bucket"},
	run: func(c *call) error {
		a := newArguments().text(c.operands[0])
		return c.rpc("delBucket", a.value(a.options().text("bucket", c.operands[0]).end()), nil)
	},
}
