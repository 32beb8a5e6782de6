// Package tools are the command-line tools of the stock client, node-moray 4.1: the same options, environment, output and exit
// status, so that scripts cannot tell. They run as subcommands of moray, or under their own names through links to it.
//
// Beyond the original they take --output, --help, names of hosts from the system's resolver, and values that are checked here
// instead of ending in an exception. What the tools are is in the table [All]; there is one file a tool.
package tools

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// Tool is one command-line tool.
type Tool struct {
	Name     string
	Synopsis string // what follows the common options, as the original spells it
	Summary  string
	Help     string // what its own options mean, a line each; shown by --help
	Example  string
	options  string // getopt's, beside the common ones
	operands []string
	plural   bool // says "missing required arguments"
	run      func(*call) error
}

// All are the tools, sorted by name.
var All = []*Tool{
	delbucket, delmany, delobject, findobjects, getbucket, getobject, gettokens, listbuckets, moraylisten, moraynotify,
	morayping, morayversion, putbucket, putobject, reindexobjects, sql, updatemany,
}

// Find returns the tool called name, or nil.
func Find(name string) *Tool {
	for _, t := range All {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Streams are where a tool reads and prints.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// call is one run of a tool.
type call struct {
	*Tool
	Streams
	ctx      context.Context
	opts     *options
	operands []string
	conn     *connection // nil before connect
	log      *logger
}

// Run runs the tool with its arguments and returns the exit status: 0, 1 for what went wrong, 2 for wrong usage.
func (t *Tool) Run(ctx context.Context, args []string, s Streams) int {
	c := &call{Tool: t, Streams: s, ctx: ctx}
	err := c.start(args)
	if err == nil {
		err = t.run(c)
	}
	if c.conn != nil {
		c.conn.close()
	}
	var usage *usageError
	switch {
	case err == nil:
		if c.conn != nil && c.opts.has('A') {
			c.conn.printMetrics(s.Err)
		}
		return 0
	case errors.Is(err, errHelp):
		t.WriteHelp(s.Out)
		return 0
	case errors.As(err, &usage):
		usage.print(s.Err, t)
		return 2
	case errors.Is(err, errSilent):
		return 1
	}
	fmt.Fprintf(s.Err, "%s: %s\n", t.Name, err)
	return 1
}

// errSilent ends a tool whose output nobody reads any more.
var errSilent = errors.New("the output is closed")

// start reads the options and operands. It connects to nothing.
func (c *call) start(args []string) (err error) {
	if c.opts, c.operands, err = parseOptions(args, c.options); err != nil {
		return err
	}
	if c.log, err = newLogger(c.Name, c.opts.count('v'), c.Err); err != nil {
		return err
	}
	for i, name := range c.Tool.operands {
		if i >= len(c.operands) {
			return c.missing(name)
		}
	}
	return c.opts.checkOutput()
}

func (c *call) missing(operand string) error {
	argument := "argument"
	if c.plural {
		argument = "arguments"
	}
	return c.usage("missing required %s: %q", argument, operand)
}

// usage returns an error about how the tool was called.
func (c *call) usage(format string, args ...any) error {
	return &usageError{c.Name + ": " + fmt.Sprintf(format, args...)}
}

// usageError is answered with the tool's usage. Its message, if any, is printed before that as it is.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func (e *usageError) print(w io.Writer, t *Tool) {
	if e.message != "" {
		fmt.Fprintln(w, e.message)
	}
	t.WriteUsage(w)
}

const commonSynopsis = "[-A] [-b domain] [-h host] [-p port] [-S service] [-v]"

// WriteUsage prints the synopsis and what the tool is for.
func (t *Tool) WriteUsage(w io.Writer) {
	synopsis := commonSynopsis
	switch {
	case t == findobjects || t == updatemany: // so the original prints them, without the blank
		synopsis += t.Synopsis
	case t.Synopsis != "":
		synopsis += " " + t.Synopsis
	}
	fmt.Fprintf(w, "usage: %s %s\n%s\n", t.Name, synopsis, t.Summary)
}

// WriteHelp prints all that there is to know about the tool.
func (t *Tool) WriteHelp(w io.Writer) {
	t.WriteUsage(w)
	if t.Help != "" {
		fmt.Fprintf(w, "\n%s", t.Help)
	}
	fmt.Fprint(w, "\n"+commonHelp)
	if t.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n  %s\n", strings.ReplaceAll(t.Example, "\n", "\n  "))
	}
}

const commonHelp = `Common options:
  -h, --host HOST          the server's address or name
  -p, --port PORT          the server's port; 2020 if not given
  -S, --service DOMAIN     find servers by the SRV records of _moray._tcp.DOMAIN
  -b, --bootstrap-domain DOMAIN
                           ask the name servers that are found under DOMAIN
  -A                       print the client's metrics at the end
  -v                       log more; may be repeated
      --output FORMAT      print results as json, yaml or table
      --help               this text

Environment:
  MORAY_URL                tcp://HOST[:PORT], used where -h and -p say nothing; tls://HOST[:PORT] is encrypted,
                           unix:///PATH is a Unix socket
  MORAY_TLS_CA, MORAY_TLS_CERT, MORAY_TLS_KEY
                           files in PEM form: authorities to trust instead of the system's, and a certificate
                           to show with its key
  MORAY_SERVICE, MORAY_BOOTSTRAP_DOMAIN
                           used where -S and -b say nothing
  LOG_LEVEL                the level of the log that -v starts from; fatal if not set
`

// rpc makes a request, connecting first if need be, and passes the values of the answer to each; nil ignores them.
func (c *call) rpc(method string, args *arguments, each func(jsvalue.Value) error) error {
	if c.conn == nil {
		if err := c.connect(); err != nil {
			return err
		}
	}
	return c.conn.call(c.ctx, method, args, each)
}

// env returns an environment variable.
func env(name string) string { return os.Getenv(name) }
