package js

import (
	"context"
	"errors"

	"github.com/dop251/goja"

	"github.com/kaizengarden/moray/hooks/sdk"
)

// statement is SQL that a trigger asked for, and that waits for those before it.
type statement struct {
	sql     string
	params  []any // strings, or nil for NULL
	emitter goja.Value
	call    *call // whose code asked for it
}

// query is what prelude.js calls for req.pg.query: emitter, sql, params.
func (r *request) query(args goja.FunctionCall) goja.Value {
	if r.call == nil || r.call.over.Load() {
		panic(r.engine.newError("the request is over: its database handle cannot be used any longer"))
	}
	s := &statement{sql: args.Argument(1).String(), emitter: args.Argument(0), call: r.engine.running}
	if list, ok := args.Argument(2).(*goja.Object); ok {
		var err error
		if s.params, err = r.engine.params(list); err != nil {
			panic(r.engine.rethrown(err))
		}
	}
	r.statements = append(r.statements, s)
	r.call.notify()
	return goja.Undefined()
}

// errOver ends the reading of rows for a call that is over.
var errOver = errors.New("the call is over")

// execute runs a statement and tells the trigger what it gives.
func (c *call) execute(ctx context.Context, s *statement) (next *statement, done bool, err error) {
	r := &rows{ctx: ctx, call: c, statement: s}
	err = r.read()
	refused := (*sdk.StatementError)(nil)
	switch {
	case errors.Is(err, errOver):
		return nil, true, nil
	case err != nil && !errors.As(err, &refused):
		return nil, false, err
	}
	return c.step(ctx, s.call, func() error {
		if err := r.tell(); err != nil {
			return err
		}
		if refused != nil {
			return c.engine.tell(s, "error", c.request.refused(refused))
		}
		return c.engine.tell(s, "end", r.result())
	})
}

// tell emits an event to the listeners of a statement.
func (e *engine) tell(s *statement, event string, value goja.Value) error {
	_, err := e.emit(s.emitter, e.vm.ToValue(event), value)
	return err
}
