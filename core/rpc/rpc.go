// Package rpc is the catalogue of Moray's methods: it checks the arguments of a request, hands it to the operation that it
// asks for, and turns the outcome into an answer. There is one file a method; methods.go is the table of them.
//
// The argument checks, their order and their texts are the original's, see its RPC catalogue. What the operations do is in
// core/bucket and core/object.
package rpc

import (
	"context"
	"log/slog"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
)

// Database is what methods ask of PostgreSQL beyond buckets and objects. The contexts carry an [object.Caller].
type Database interface {
	// SQL runs a text in a transaction and passes its rows to row as JSON objects. Without values the text may hold several
	// statements. With readOnly it is one statement that cannot change anything. row may block; the object is valid during the
	// call.
	SQL(ctx context.Context, text string, values []jsvalue.Value, readOnly bool, row func(jsvalue.Value) error) error
	// Listen passes the notifications of a channel to notify until ctx ends; then it returns nil. notify may block.
	Listen(ctx context.Context, channel string, notify func(channel, payload string) error) error
	// Ping reads something from the database.
	Ping(ctx context.Context) error
}

// Handler answers the requests of clients. It implements [fast.Handler] and is safe for concurrent use.
type Handler struct {
	Buckets  *bucket.Service
	Objects  *object.Service
	Database Database
	Log      *slog.Logger
	Journal  *Journal // may be nil

	listens listens
}

var _ fast.Handler = (*Handler)(nil)

// call is one request after its arguments were checked.
type call struct {
	*Handler
	ctx     context.Context
	w       fast.Sender
	request *fast.Request
	args    []jsvalue.Value
	options options
	caller  object.Caller // what ctx carries
	trail   object.Trail
}

// ServeFast implements fast.Handler.
func (h *Handler) ServeFast(ctx context.Context, w fast.Sender, r *fast.Request) error {
	c := &call{Handler: h, w: w, request: r, args: r.Args}
	var err error
	if m, ok := methods[r.Method]; ok {
		err = c.serve(ctx, m)
	} else {
		err = fast.Unsupported(r)
	}
	h.Journal.done(c, err)
	return reply(err)
}

// serve checks the arguments and does what is asked for.
func (c *call) serve(ctx context.Context, m *method) error {
	r := c.request
	if err := m.check(r.Method, c); err != nil {
		return err
	}
	c.Journal.begin(c)
	c.caller = object.Caller{
		Client:  r.Conn(),
		Find:    m.find,
		Timeout: c.options.timeoutDuration(),
		Request: c.options.requestID,
		Trail:   &c.trail,
		Strand:  r.Strand(),
	}
	if m.bucket >= 0 {
		c.caller.Bucket = c.text(m.bucket)
	}
	c.ctx = object.WithCaller(ctx, &c.caller)
	err := c.authorize(m)
	if err == nil {
		err = m.run(c)
	}
	c.audit(m, err)
	return err
}

// text returns the i-th argument, a string. A lone surrogate in it is U+FFFD: PostgreSQL has only valid UTF-8.
func (c *call) text(i int) string { return text(c.args[i]) }

func text(v jsvalue.Value) string { return jsvalue.SanitizeString(v.Text()) }

// object returns the i-th argument, an object.
func (c *call) object(i int) (*jsvalue.Object, error) {
	if c.request.Printed {
		return jsvalue.IndexObject(c.args[i]), nil
	}
	return jsvalue.ParseObject(c.args[i])
}

// send sends one value of the answer.
func (c *call) send(v jsvalue.Value) error { return c.w.Send(v) }
