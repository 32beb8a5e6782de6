package tools

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kaizengarden/moray/core/jsvalue"
)

var findobjects = &Tool{
	Name:     "findobjects",
	Synopsis: "[-Hins] [-a attr] [-d attr] [-l limit] [-o offset] BUCKET FILTER",
	Summary:  "fetch objects from Moray matching a filter",
	Help: `Options:
  -a FIELD  sort by FIELD, ascending
  -d FIELD  sort by FIELD, descending
  -H        JSON on one line for each object
  -i        fail unless every field of the filter has a usable index
  -l LIMIT  how many objects at most; the server's default is 1000
  -n        do not count the objects that fit
  -o OFFSET how many objects to leave out at the start
  -s        print the SQL instead of running it
`,
	Example:  "findobjects accounts '(&(uid>=500)(country=USA))'\nfindobjects -Hn -d uid -l 10 accounts 'uid>=0'",
	options:  "a:d:Hil:no:s",
	operands: []string{"bucket", "filter"}, plural: true,
	run: (*call).findObjects,
}

func (c *call) findObjects() error {
	page, err := c.page()
	if err != nil {
		return err
	}
	needsIndexes := c.opts.has('i')
	args := newArguments().text(c.operands[0]).text(c.operands[1]).objectOptions(func(m *members) {
		if c.opts.has('n') {
			m.bool("no_count", true)
		}
		if c.opts.has('s') {
			m.bool("sql_only", true)
		}
		page(m)
		c.sort(m)
		m.bool("requireIndexes", needsIndexes).bool("requireOnlineReindexing", false)
		if needsIndexes {
			m.raw("internalOpts", `{"sendHandledOptions":true}`)
		}
	})
	p := &printer{c: c, compact: c.opts.has('H')}
	first := needsIndexes
	err = c.rpc("findObjects", args, func(record jsvalue.Value) error {
		if first {
			first = false
			return handled(record)
		}
		return p.add(record)
	})
	return errors.Join(err, p.end())
}

// handled checks the record with which a server acknowledges the options that it knows.
func handled(record jsvalue.Value) error {
	if list := record.Member("_handledOptions"); list.Kind() == jsvalue.KindArray {
		for name := range list.Elements() {
			if name.Kind() == jsvalue.KindString && name.Text() == "requireIndexes" {
				return nil
			}
		}
	}
	return errors.New("Unhandled options: [ 'requireIndexes' ]") //nolint:staticcheck // because the text is the original's
}

// page returns what adds limit and offset to options.
func (c *call) page() (func(*members), error) {
	limit, limited, err := c.number('l')
	if err != nil {
		return nil, err
	}
	offset, moved := 0, false
	if strings.Contains(c.options, "o:") {
		if offset, moved, err = c.number('o'); err != nil {
			return nil, err
		}
	}
	return func(m *members) {
		if limited {
			m.number("limit", limit)
		}
		if moved {
			m.number("offset", offset)
		}
	}, nil
}

// sort adds the order that the last of -a and -d asks for.
func (c *call) sort(m *members) {
	for _, o := range c.opts.given {
		switch o.letter {
		case 'a':
			m.raw("sort", string(new(members).text("order", "ASC").text("attribute", o.value).end()))
		case 'd':
			m.raw("sort", string(new(members).text("order", "DESC").text("attribute", o.value).end()))
		}
	}
}

var updatemany = &Tool{
	Name: "updatemany", Synopsis: "[-d data] [-l limit] BUCKET FILTER", Summary: "update objects in Moray matching a filter",
	Help: `Options:
  -d DATA   a JSON object: indexed fields and their new values
  -l LIMIT  how many objects at most; the server's default is 1000
`,
	Example:  `updatemany -d '{"country":"CH"}' accounts '(uid>=800)'`,
	options:  "d:l:",
	operands: []string{"bucket", "filter"}, plural: true,
	run: func(c *call) error {
		page, err := c.page()
		if err != nil {
			return err
		}
		fields, err := c.data()
		if err != nil {
			return err
		}
		args := newArguments().text(c.operands[0]).value(fields).text(c.operands[1]).objectOptions(page)
		return c.rpc("updateObjects", args, func(answer jsvalue.Value) error {
			if c.opts.output != "" {
				return c.print(answer, false)
			}
			return c.write([]byte(literal(answer) + "\n"))
		})
	},
}

var delmany = &Tool{
	Name: "delmany", Synopsis: "[-l limit] [-o offset] BUCKET FILTER", Summary: "delete objects from Moray matching a filter",
	Help: `Options:
  -l LIMIT   how many objects at most; the server's default is 1000
  -o OFFSET  how many objects to leave out at the start
`,
	Example:  "delmany -l 100 accounts '(country=USA)'",
	options:  "l:o:",
	operands: []string{"bucket", "filter"}, plural: true,
	run: func(c *call) error {
		page, err := c.page()
		if err != nil {
			return err
		}
		args := newArguments().text(c.operands[0]).text(c.operands[1]).objectOptions(page)
		return c.rpc("deleteMany", args, func(answer jsvalue.Value) error {
			if c.opts.output != "" {
				return c.print(answer, false)
			}
			return c.write(fmt.Appendf(nil, "%s records deleted\n", answer.Member("count")))
		})
	},
}

var reindexobjects = &Tool{
	Name: "reindexobjects", Synopsis: "BUCKET [COUNT]", Summary: "reindex objects in a Moray bucket",
	Help:     "COUNT is how many objects are reindexed at a time; 100 if not given.\n",
	Example:  "reindexobjects accounts 500",
	operands: []string{"bucket"}, plural: true,
	run: (*call).reindexObjects,
}

func (c *call) reindexObjects() error {
	name, count := c.operands[0], 100
	if len(c.operands) > 1 {
		var ok bool
		if count, ok = leadingNumber(c.operands[1]); !ok || count < 1 {
			return c.usage("unsupported value for COUNT: %q", c.operands[1])
		}
	}
	b, err := c.bucket(newArguments(), name)
	if err != nil {
		return err
	}
	pending := false
	if active := b.Member("reindex_active"); active.Kind() == jsvalue.KindObject {
		for range active.Members() {
			pending = true
		}
	}
	if !pending {
		fmt.Fprintf(c.Err, "bucket %q: no reindexing required\n", name)
		return nil
	}
	for {
		processed := 0.0
		args := newArguments().text(name).number(count).objectOptions(nil)
		err := c.rpc("reindexObjects", args, func(answer jsvalue.Value) error {
			processed = answer.Member("processed").Float()
			return nil
		})
		switch {
		case err != nil:
			return err
		case processed == 0:
			fmt.Fprintf(c.Err, "bucket %q: all objects processed\n", name)
			return nil
		}
		plural := "s"
		if processed == 1 {
			plural = ""
		}
		fmt.Fprintf(c.Err, "bucket %q: %.0f object%s processed (continuing)\n", name, processed, plural)
	}
}
