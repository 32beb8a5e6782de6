// Package sdk is what the author of a moray plugin imports. A plugin is a program with hooks, which buckets bind to run before
// an object is written or after it was written or deleted, inside the transaction that does it:
//
//	func main() {
//		sdk.Serve(sdk.Plugin{Version: "1.0.0", Hooks: []sdk.Hook{{
//			Name:   "lower",
//			Phases: []sdk.Phase{sdk.Pre},
//			Bind:   sdk.Always(func(ctx context.Context, e *sdk.Event) error { ... }),
//		}}})
//	}
//
// A hook that returns nil lets the operation go on. An error of [Reject] ends it, undoes it, and goes to the client as it is; any
// other error does too, as HookRejectedError. A panic is caught, and is HookUnavailableError: the hook is broken, not the object.
//
// What a plugin prints, and what its hooks log, goes to the log of the server.
package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"
)

// Plugin is the hooks of a program.
type Plugin struct {
	// Version is for people.
	Version string
	Hooks   []Hook
	// Check, if it is set, looks at all bindings that a bucket is to have to hooks of the plugin, instead of each Hook's Bind: first
	// those of post, then those of pre. It may return a configuration for each of them, which is stored in place of the one that was
	// sent. An error of [Reject] refuses the definition of the bucket and goes to the client as it is.
	Check func(ctx context.Context, bucket string, bindings []*Binding) ([]json.RawMessage, error)
}

// Hook is one hook that buckets can bind.
type Hook struct {
	Name    string // letters, digits, dots, dashes and underscores
	Summary string // one line for people
	Phases  []Phase

	WantsPrevious bool // events have Previous
	WantsSchema   bool // events have Schema
	WithoutValue  bool // events need no Value: it need not travel
	// Pure says that what the hook does depends on the event alone: it runs no SQL, and does not look at Update, which is false, or
	// Previous. A put whose hooks are all Pure needs no transaction around them: it is quicker, and shares its way to the database
	// with others. The hook may be called again for a put that has to be tried again.
	Pure bool

	// Bind makes the handler of one binding. It is called before a bucket is created or changed, to check the configuration, and
	// again at the first event; that handler is then kept for further events. Its error refuses the definition of the bucket.
	//
	// A handler that is an io.Closer is closed when it is not kept any longer: after one that was only checked, or when there was no
	// event for [KeepUnused].
	Bind func(b *Binding) (Handler, error)
}

// KeepUnused is how long the handler of a binding is kept without an event.
const KeepUnused = 5 * time.Minute

// Binding says how a bucket binds a hook.
type Binding struct {
	Bucket  string
	Phase   Phase
	Hook    string
	Config  json.RawMessage // as the bucket's owner wrote it; nil for nothing
	ID      string          // stands for this binding of this definition of the bucket; empty while it is only checked
	Timeout time.Duration   // how long the hook may take; 0 while it is only checked
	// Definition stands for the definition of the bucket: it is the same for all its bindings. It is empty while they are only checked.
	Definition string
}

// Decode reads the configuration into v as [json.Unmarshal] does, and refuses members that v does not have. Without a
// configuration v stays as it is.
func (b *Binding) Decode(v any) error {
	if b.Config == nil {
		return nil
	}
	return decodeStrictly(b.Config, v)
}

// Handler handles the events of a binding. It is called by several goroutines at once, and must return when ctx ends: then
// the time is up, the event has failed, and what is returned goes nowhere.
type Handler interface {
	Handle(ctx context.Context, e *Event) error
}

// HandlerFunc is a function that is a Handler.
type HandlerFunc func(ctx context.Context, e *Event) error

// Handle implements Handler.
func (f HandlerFunc) Handle(ctx context.Context, e *Event) error { return f(ctx, e) }

// Always is a [Hook.Bind] for a hook without configuration: every binding has the same handler. It refuses a configuration.
func Always(handle func(ctx context.Context, e *Event) error) func(*Binding) (Handler, error) {
	return func(b *Binding) (Handler, error) {
		if b.Config != nil {
			return nil, errors.New("it takes no config")
		}
		return HandlerFunc(handle), nil
	}
}

// Phase says when a hook runs.
type Phase int

// The phases.
const (
	Pre  Phase = 1 // before an object is written
	Post Phase = 2 // after it was written or deleted, before the commit
)

// Operation is what is done to the object.
type Operation int

// The operations.
const (
	Put    Operation = 1
	Delete Operation = 2
)

// String returns "pre" or "post", as in the definition of a bucket.
func (p Phase) String() string {
	switch p {
	case Pre:
		return "pre"
	case Post:
		return "post"
	}
	return "phase " + strconv.Itoa(int(p))
}

// String returns "put" or "delete".
func (o Operation) String() string {
	switch o {
	case Put:
		return "put"
	case Delete:
		return "delete"
	}
	return "operation " + strconv.Itoa(int(o))
}
