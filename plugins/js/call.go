package js

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/dop251/goja"

	"github.com/kaizengarden/moray/hooks/sdk"
)

// call is one call of a trigger. What stands below wake is for who has the turn of the engine.
type call struct {
	engine *engine
	event  *sdk.Event
	over   atomic.Bool   // nobody waits for it any longer
	wake   chan struct{} // holds a token when something changed, perhaps on behalf of another call

	realm    *realm
	request  *request
	answered bool  // the callback was called
	failed   error // what the trigger failed with
}

// run calls the trigger and does what it asks for, until it has called back and all its statements are done. The error is what it
// failed with, or says why it could not do its work.
func (c *call) run(ctx context.Context, t *trigger) error {
	defer c.over.Store(true)
	next, done, err := c.step(ctx, c, func() error { return c.start(t) })
	for err == nil && !done {
		if next != nil {
			next, done, err = c.execute(ctx, next)
			continue
		}
		select {
		case <-c.wake:
			next, done, err = c.step(ctx, c, func() error { return nil })
		case <-ctx.Done():
			err = fmt.Errorf("it did not call back: %w", context.Cause(ctx))
		}
	}
	if err != nil {
		return err
	}
	return c.failed
}

// start calls the function of the trigger.
func (c *call) start(t *trigger) (err error) {
	if c.realm, err = c.engine.realm(t); err != nil {
		return unevaluated(err)
	}
	if c.request == nil {
		c.request, err = c.engine.newRequest(c.event)
	} else {
		err = c.request.again(c.event)
	}
	if err != nil {
		return err
	}
	c.engine.enter(c)
	c.request.call = c
	_, err = c.realm.function(c.realm.this, c.request.object, c.engine.vm.ToValue(c.callback))
	return err
}

// callback is the function that the trigger calls in the end. Only its first call counts.
func (c *call) callback(args goja.FunctionCall) goja.Value {
	if c.answered || c.failed != nil {
		return goja.Undefined()
	}
	c.answered = true
	if err := args.Argument(0); err.ToBoolean() {
		c.fail(c.request.fault(err))
	} else if c.event.Phase == sdk.Pre {
		c.fail(c.request.take())
	}
	c.notify()
	return goja.Undefined()
}

// fail ends the call with an error, unless another did.
func (c *call) fail(err error) {
	if c.failed == nil && err != nil {
		c.failed = err
		c.notify()
	}
}

// notify makes run look again.
func (c *call) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// within runs code on behalf of a call of the same request, and then what is to follow under the same turn. What the code throws
// fails this call.
func (c *call) within(ctx context.Context, on *call, code func() error, then func()) error {
	return c.engine.do(ctx, on, func() error {
		err := code()
		if ex := (*goja.Exception)(nil); errors.As(err, &ex) {
			c.event.Log.Warn("a trigger has thrown", "err", ex.String())
			c.fail(c.request.fault(ex.Value()))
			err = nil
		}
		c.engine.unhandled()
		if err == nil {
			then()
		}
		return err
	})
}

// step runs code as within does, and says what comes next: a statement to be executed, the end, or neither as long as others have
// to do something first.
func (c *call) step(ctx context.Context, on *call, code func() error) (next *statement, done bool, err error) {
	err = c.within(ctx, on, code, func() { next, done = c.next() })
	return next, done, err
}

// next returns what is to be done for the call. What it asked for before it called back is done all the same.
func (c *call) next() (s *statement, done bool) {
	r := c.request
	switch {
	case c.failed != nil:
		r.call = nil
		return nil, true
	case len(r.statements) > 0:
		s, r.statements = r.statements[0], r.statements[1:]
		return s, false
	case c.answered:
		r.call = nil
		return nil, true
	}
	return nil, false
}
