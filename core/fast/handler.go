package fast

import (
	"context"
	"errors"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// Handler answers requests.
type Handler interface {
	// ServeFast answers one request with the values that it sends through w, and by returning: nil ends the answer with
	// END; an *[Error] in the chain of what it returns is sent as an ERROR; for any other error, and for a panic, the
	// client gets an InternalError that says nothing more, and the error is logged. Values sent before an error are
	// delivered. [ErrGone] in the chain leaves the answer without an end: the client learns from the end of the connection
	// that it is not complete.
	//
	// Each request has a goroutine of its own, unless [Server.Inline] says otherwise: see there for what its handler must heed. A client that disconnects cancels nothing: ctx ends with the server, after
	// the grace period, and then ServeFast must return. Neither w nor r, nor what r refers to, may be used afterwards.
	ServeFast(ctx context.Context, w Sender, r *Request) error
}

// HandlerFunc is a function as a [Handler].
type HandlerFunc func(ctx context.Context, w Sender, r *Request) error

// ServeFast calls f.
func (f HandlerFunc) ServeFast(ctx context.Context, w Sender, r *Request) error { return f(ctx, w, r) }

// Sender sends the values of an answer, in order. It is for one goroutine.
type Sender interface {
	// Send sends one value, which must not be null; stock clients expect objects. The value is copied, so its memory is
	// free when Send returns. Send waits while the client does not read and too much waits for it. The error is [ErrGone].
	//
	// A value leaves with whatever the connection sends next: at the latest with the end of the answer, when 16 KiB have
	// gathered, or after 5 ms. So an answer of one value leaves in one write, and rows that come quickly leave in batches.
	// A value of a standing request leaves at once.
	Send(value jsvalue.Value) error
}

// ErrGone says that a value could not be sent because the connection is gone. A handler may then stop, and return it. A
// handler also returns it that has to stop in the middle of an answer because the server does.
var ErrGone = errors.New("the client's connection is gone")

// Trace holds functions that observe a server; nil ones are left out. They are called from many goroutines.
type Trace struct {
	// RequestDone is called for each request that has ended, before its END or ERROR is sent. Elapsed is the time since
	// the request was received; err is what the handler returned. Requests without a method (Method "") are among them.
	RequestDone func(r *Request, elapsed time.Duration, err error)
}
