package tools

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
)

var morayping = &Tool{
	Name: "morayping", Synopsis: "-dF", Summary: "check whether Moray is online",
	Help:    "Options:\n  -d  the server's database has to answer too\n  -F  wait until there is a server, however long it takes\n",
	Example: "morayping -d && echo ready",
	options: "dF",
	run: func(c *call) error {
		if c.opts.has('F') {
			if err := c.awaitConnection(); err != nil {
				return err
			}
		}
		a := newArguments()
		options := new(members).bool("deep", c.opts.has('d')).text("req_id", a.id)
		return c.rpc("ping", a.value(options.end()), nil)
	},
}

var morayversion = &Tool{
	Name: "morayversion", Summary: "report the version of a Moray server",
	Example: "morayversion",
	run: func(c *call) error {
		err := c.rpc("version", newArguments().requestID(), func(answer jsvalue.Value) error {
			if v := answer.Member("version"); c.opts.output == "" {
				return c.write(append(append([]byte{}, v...), '\n'))
			}
			return c.print(answer, false)
		})
		if err != nil && errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%w (note: very old Moray versions do not respond to this RPC)", err)
		}
		return err
	},
}

var gettokens = &Tool{
	Name: "gettokens", Summary: "fetch list of shards from electric-moray",
	Example: "gettokens",
	run: func(c *call) error {
		return c.rpc("getTokens", newArguments().requestID(), func(answer jsvalue.Value) error { return c.print(answer, false) })
	},
}

var sql = &Tool{
	Name: "sql", Synopsis: "SQL", Summary: "execute raw SQL on Moray-backed database",
	Help:     "Line breaks are removed before the text is run, so a comment with -- hides all that follows.\n",
	Example:  "sql 'SELECT count(*) FROM accounts'\nsql --output table 'SELECT _key, uid FROM accounts'",
	operands: []string{"sql"},
	run: func(c *call) error {
		p := &printer{c: c}
		err := c.rpc("sql", statement(c.operands[0], "[]"), p.add)
		return errors.Join(err, p.end())
	},
}

// statement returns the arguments of sql.
func statement(text, values string) *arguments {
	a := newArguments().text(text).value(jsvalue.Value(values))
	return a.value(a.options().bool("readOnlyOverride", false).end())
}

var moraynotify = &Tool{
	Name: "moraynotify", Synopsis: "CHANNEL PAYLOAD", Summary: "send a Moray notification",
	Example:  "moraynotify news 'hello'",
	operands: []string{"channel", "payload"},
	run: func(c *call) error {
		values := jsvalue.AppendString([]byte{'['}, c.operands[0])
		values = append(jsvalue.AppendString(append(values, ','), c.operands[1]), ']')
		return c.rpc("sql", statement("SELECT pg_notify($1, $2)", string(values)), nil)
	},
}

var moraylisten = &Tool{
	Name: "moraylisten", Synopsis: "CHANNEL", Summary: "listen for Moray notifications",
	Help:    "Each payload is printed as it comes, until the tool is interrupted.\n",
	Example: "moraylisten news",
	options: "c",
	run:     (*call).listen,
}

// unlistenTimeout bounds the wait for the end of a listen.
const unlistenTimeout = 2 * time.Second

func (c *call) listen() error {
	switch {
	case c.opts.has('c'): // the original knows it, and knows nothing to do with it
		return &usageError{}
	case len(c.operands) == 0:
		return c.missing("channel")
	}
	if err := c.connect(); err != nil {
		return err
	}
	fmt.Fprintf(c.Err, "Connected - listening for %q notifications\n", c.operands[0])
	args := newArguments().text(c.operands[0])
	id := args.id
	err := c.rpc("listen", args.requestID(), func(n jsvalue.Value) error {
		if c.opts.output != "" {
			return c.print(n, true)
		}
		payload := n.Member("payload")
		if payload.Kind() != jsvalue.KindString {
			return fmt.Errorf("the server sent a notification without a payload")
		}
		return c.write([]byte(payload.Text() + "\n"))
	})
	if c.ctx.Err() == nil {
		return err
	}
	fmt.Fprintln(c.Err, "Caught interrupt signal - shutting down")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), unlistenTimeout)
	defer cancel()
	return c.conn.call(ctx, "unlisten", (&arguments{id: id}).text(id).requestID(), nil)
}
