package rpc

import (
	"maps"
	"slices"

	"github.com/kaizengarden/moray/core/access"
	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/shape"
)

// method is one method: what it takes, and what it does.
type method struct {
	args    []argument
	run     func(*call) error
	bucket  int         // which argument names a bucket, or -1
	verb    access.Verb // what a client must be permitted to do; methods without one see to it themselves, or need nothing
	find    bool        // may hold a connection for long
	audited bool        // is noted in the audit log
	inline  bool        // waits for nothing but PostgreSQL and for the client to take its answer
}

// methods are all methods, sorted by name.
var methods = map[string]*method{
	"batch":          {args: args(requestsArg, optionsArg), run: batch, bucket: -1},
	"createBucket":   {args: args(bucketArg, configArg, optionsArg), run: createBucket, bucket: 0, verb: access.Admin, audited: true},
	"delBucket":      {args: args(bucketArg, optionsArg), run: delBucket, bucket: 0, verb: access.Admin, audited: true},
	"delObject":      {args: args(bucketArg, keyArg, optionsArg), run: delObject, bucket: 0, verb: access.Write, inline: true},
	"deleteMany":     {args: args(bucketArg, filterArg, optionsArg), run: deleteMany, bucket: 0, verb: access.Write},
	"findObjects":    {args: args(bucketArg, filterArg, optionsArg), run: findObjects, bucket: 0, verb: access.Read, find: true, inline: true},
	"getBucket":      {args: args(optionsArg, bucketArg), run: getBucket, bucket: 1, verb: access.Read},
	"getObject":      {args: args(bucketArg, keyArg, optionsArg), run: getObject, bucket: 0, verb: access.Read, inline: true},
	"getTokens":      {args: args(optionsArg), run: getTokens, bucket: -1},
	"listBuckets":    {args: args(optionsArg), run: listBuckets, bucket: -1, verb: access.Read},
	"listen":         {args: args(channelArg, optionsArg), run: listen, bucket: -1, verb: access.Read},
	"ping":           {args: args(optionsArg), run: ping, bucket: -1},
	"putObject":      {args: args(bucketArg, keyArg, valueArg, optionsArg), run: putObject, bucket: 0, verb: access.Write, inline: true},
	"reindexObjects": {args: args(bucketArg, countArg, optionsArg), run: reindexObjects, bucket: 0, verb: access.Write},
	"sql":            {args: args(statementArg, valuesArg, optionsArg), run: sql, bucket: -1, audited: true},
	"unlisten":       {args: args(idArg, optionsArg), run: unlisten, bucket: -1},
	"updateBucket":   {args: args(nameArg, configArg, optionsArg), run: updateBucket, bucket: 0, verb: access.Admin, audited: true},
	"updateObjects":  {args: args(bucketArg, fieldsArg, filterArg, optionsArg), run: updateObjects, bucket: 0, verb: access.Write},
	"version":        {args: args(optionsArg), run: version, bucket: -1},
}

// Inline reports whether a request may run in the goroutine that has read it: its method waits through the Store alone, which parks or
// detaches it, and for room for its answer. It fits [fast.Server].
func Inline(r *fast.Request) bool {
	m := methods[r.Method]
	return m != nil && m.inline
}

// Methods returns the names of all methods, sorted.
func Methods() []string { return slices.Sorted(maps.Keys(methods)) }

// argument is one positional argument of a method.
type argument struct {
	name string
	kind *kind
}

// kind is what an argument must be.
type kind struct {
	description string
	shape       shape.Shape
}

var (
	nonempty = &kind{"a nonempty string", shape.String{MinLength: 1}}
	integer  = &kind{"a nonnegative integer", shape.Integer{}}
	array    = &kind{"an array", shape.Array{}}
	anObject = &kind{"an object", shape.Object{}}
	optional = &kind{"a valid options object", optionsShape}

	requestsKind = &kind{"an array of valid request objects", requestsShape}
)

var (
	bucketArg    = argument{"bucket", nonempty}
	nameArg      = argument{"name", nonempty}
	keyArg       = argument{"key", nonempty}
	filterArg    = argument{"filter", nonempty}
	statementArg = argument{"statement", nonempty}
	channelArg   = argument{"channel", nonempty}
	idArg        = argument{"id", nonempty}
	countArg     = argument{"count", integer}
	fieldsArg    = argument{"fields", anObject}
	requestsArg  = argument{"requests", requestsKind}
	valueArg     = argument{"value", anObject}
	configArg    = argument{"config", anObject}
	valuesArg    = argument{"values", array}
	optionsArg   = argument{"options", optional}
)

func args(list ...argument) []argument { return list }

// check checks the number of arguments, and then each of them from left to right. It reads the options.
func (m *method) check(name string, c *call) error {
	if len(c.args) != len(m.args) {
		plural := "s"
		if len(m.args) == 1 {
			plural = ""
		}
		return fault.New(fault.Invocation, "%s expects %d argument%s", name, len(m.args), plural)
	}
	for i, a := range m.args {
		if problem := shape.Check(a.kind.shape, a.name, c.args[i]); problem != "" {
			return fault.New(fault.Invocation, `%s expects "%s" (args[%d]) to be %s: %s`, name, a.name, i, a.kind.description, problem)
		}
		if a.kind == optional {
			c.options.read(c.args[i])
		}
	}
	return nil
}
