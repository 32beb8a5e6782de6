package tools

import (
	"fmt"
	"io"
	"strings"

	"github.com/kaizengarden/moray/core/jsvalue"
)

var putbucket = &Tool{
	Name:     "putbucket",
	Synopsis: "[-i field:type ...] [-u field:type ...] [-x version] [-st] BUCKET",
	Summary:  "create or update a Moray bucket",
	Help: `Options:
  -i FIELD[:TYPE]  an index; TYPE is string if not given; may be repeated
  -u FIELD[:TYPE]  a unique index; may be repeated
  -x VERSION       the version of the definition
  -s               read the definition from stdin: {"index":…,"options":…,"pre":[…],"post":[…]}
  -t               sets options.trackModification, which servers refuse

A bucket that has a version is changed only by a higher one; the same version changes nothing.
Indexes that are not named are removed.
`,
	Example:  "putbucket -u loginName -i uid:number -x 2 accounts\nputbucket -s accounts <accounts.json",
	options:  "i:u:x:st",
	operands: []string{"bucket"},
	run:      (*call).putBucket,
}

// maxDefinition bounds what is read from stdin, in bytes.
const maxDefinition = 64 << 20

// putBucket creates the bucket or changes it. It is not atomic: somebody else may come between.
func (c *call) putBucket() error {
	config, err := c.bucketConfig()
	if err != nil {
		return err
	}
	name := c.operands[0]
	id := newArguments()
	current, err := c.bucket(id, name)
	method := "updateBucket"
	switch {
	case answered(err, "BucketNotFoundError"):
		method = "createBucket"
	case err != nil:
		return err
	default:
		stored, wanted := current.Member("options").Member("version"), config.Member("options").Member("version")
		if stored.Truthy() && wanted.Kind() == jsvalue.KindNumber && stored.Float() == wanted.Float() {
			return nil
		}
	}
	err = c.rpc(method, (&arguments{id: id.id}).text(name).value(config).requestID(), nil)
	if answered(err, "BucketConflictError") {
		return nil // somebody else created it meanwhile
	}
	return err
}

// bucketConfig returns the definition that the options ask for.
func (c *call) bucketConfig() (jsvalue.Value, error) {
	version, versioned, err := c.number('x')
	if err != nil {
		return nil, err
	}
	if c.opts.has('s') {
		return c.readConfig()
	}
	var index, options members
	for _, o := range c.opts.given {
		if o.letter != 'i' && o.letter != 'u' {
			continue
		}
		field, kind, _ := strings.Cut(o.value, ":")
		if kind, _, _ = strings.Cut(kind, ":"); kind == "" {
			kind = "string"
		}
		index.raw(field, string(new(members).text("type", kind).bool("unique", o.letter == 'u').end()))
	}
	if versioned {
		options.number("version", version)
	}
	if c.opts.has('t') {
		options.bool("trackModification", true)
	}
	var config members
	config.raw("index", string(index.end())).raw("options", string(options.end())).raw("pre", "[]").raw("post", "[]")
	return config.end(), nil
}

// readConfig reads a definition from stdin.
func (c *call) readConfig() (jsvalue.Value, error) {
	text, err := io.ReadAll(io.LimitReader(c.In, maxDefinition+1))
	if err != nil {
		return nil, fmt.Errorf("read the definition from stdin: %w", err)
	}
	if len(text) > maxDefinition {
		return nil, fmt.Errorf("the definition on stdin is longer than %d bytes", maxDefinition)
	}
	o, err := jsvalue.ParseObject(text)
	if err != nil {
		return nil, fmt.Errorf("the definition on stdin: %w", err)
	}
	var config members
	for i := range o.Len() {
		name, v := o.At(i)
		config.raw(name, string(v))
	}
	for _, name := range []string{"pre", "post"} {
		if o.Get(name) == nil {
			config.raw(name, "[]")
		}
	}
	return config.end(), nil
}
