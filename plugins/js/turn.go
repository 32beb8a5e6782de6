package js

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/dop251/goja"

	"github.com/kaizengarden/moray/hooks/sdk"
)

// do runs code that uses the engine, when its turn has come, on behalf of c. When ctx ends the wait is over, or the code is
// interrupted.
func (e *engine) do(ctx context.Context, c *call, code func() error) (err error) {
	if ctx.Err() != nil {
		return fmt.Errorf("it did not get its turn: %w", context.Cause(ctx))
	}
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return fmt.Errorf("it did not get its turn: %w", context.Cause(ctx))
	}
	defer e.watch.begin(ctx, e)()
	e.enter(c)
	defer func() {
		if p := recover(); p != nil {
			var ok bool
			if err, ok = p.(error); !ok || !uncatchable(err) {
				sdk.Log().Error("the JavaScript engine panics", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				err = fmt.Errorf("the JavaScript engine failed: %v", p)
				e.spend()
			}
		}
		e.running = nil
		err = e.ended(err)
	}()
	return code()
}

// uncatchable reports whether an error ends what runs, whether or not that catches errors.
func uncatchable(err error) bool {
	return errors.As(err, new(*goja.InterruptedError)) || errors.As(err, new(*goja.StackOverflowError))
}

// ended returns an error with which the engine ended what ran, in the words of this package.
func (e *engine) ended(err error) error {
	if interrupted := (*goja.InterruptedError)(nil); errors.As(err, &interrupted) {
		return fmt.Errorf("it was interrupted: %w", interrupted.Unwrap())
	}
	if deep := (*goja.StackOverflowError)(nil); errors.As(err, &deep) {
		return tooDeep()
	}
	return err
}

// unhandled fails the calls whose promises were rejected without anybody who asked for them since.
func (e *engine) unhandled() {
	for _, r := range e.rejected {
		if of := r.call.request; of.call != nil && !of.call.over.Load() {
			of.call.fail(of.fault(r.promise.Result()))
		}
	}
	e.rejected = nil
}
