package tools

import (
	"errors"
	"fmt"

	"github.com/kaizengarden/moray/core/jsvalue"
)

var getobject = &Tool{
	Name: "getobject", Synopsis: "[-Hs] BUCKET KEY", Summary: "fetch an object from Moray by key",
	Help:     "Options:\n  -H  JSON on one line\n  -s  accepted, without effect\n",
	Example:  "getobject accounts lisa\ngetobject --output yaml accounts lisa",
	options:  "Hs",
	operands: []string{"bucket", "key"}, plural: true,
	run: func(c *call) error {
		args := newArguments().text(c.operands[0]).text(c.operands[1]).objectOptions(func(m *members) {
			m.bool("requireOnlineReindexing", false)
		})
		return c.rpc("getObject", args, func(record jsvalue.Value) error { return c.print(record, c.opts.has('H')) })
	},
}

var putobject = &Tool{
	Name: "putobject", Synopsis: "[-d DATA] [-e ETAG] BUCKET KEY", Summary: "create or update an object in Moray",
	Help: `Options:
  -d DATA  the value, a JSON object; {} if not given
  -e ETAG  the etag that the object must have
`,
	Example:  `putobject -d '{"loginName":"lisa","uid":800}' accounts lisa`,
	options:  "d:e:",
	operands: []string{"bucket", "key"}, plural: true,
	run: func(c *call) error {
		value, err := c.data()
		if err != nil {
			return err
		}
		args := newArguments().text(c.operands[0]).text(c.operands[1]).value(value).objectOptions(func(m *members) {
			m.text("_value", string(value))
			if etag, given := c.opts.value('e'); given {
				m.text("etag", etag)
			}
		})
		return c.rpc("putObject", args, nil)
	},
}

// data returns the value of -d as JSON.stringify prints it. An array is left to the server to refuse.
func (c *call) data() (jsvalue.Value, error) {
	text, given := c.opts.value('d')
	if !given {
		return jsvalue.Value("{}"), nil
	}
	v, err := jsvalue.Parse([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("parsing value for -d: %w", err)
	}
	if k := v.Kind(); k != jsvalue.KindObject && k != jsvalue.KindArray {
		return nil, errors.New("parsing value for -d: it is not an object")
	}
	return jsvalue.Sanitize(jsvalue.AppendPrinted(nil, v)), nil
}

var delobject = &Tool{
	Name: "delobject", Synopsis: "BUCKET KEY", Summary: "delete an object from Moray by key",
	Example:  "delobject accounts lisa",
	operands: []string{"bucket", "key"}, plural: true,
	run: func(c *call) error {
		return c.rpc("delObject", newArguments().text(c.operands[0]).text(c.operands[1]).objectOptions(nil), nil)
	},
}
