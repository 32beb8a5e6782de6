package js

import (
	"context"
	"errors"
	"time"

	"github.com/dop251/goja"
)

// maxEvaluation bounds how long the evaluation of a text takes.
const maxEvaluation = 2 * time.Second

var errEvaluation = errors.New("its evaluation takes too long")

// evaluate evaluates a text that a client sent as a trigger, and returns the text of the function that it gives. The error is
// errNotFunction if it gives something else.
func evaluate(ctx context.Context, w *watch, text string) (source string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, maxEvaluation, errEvaluation)
	defer cancel()
	e := newEngine(w)
	err = e.do(ctx, nil, func() error {
		x, err := compileSent(text)
		if err != nil {
			return err
		}
		v, err := e.alone(x.program)
		if err != nil {
			return err
		}
		if source, err = x.source(v); err != nil {
			return err
		}
		// What is stored has to give a function too. The text of a method does not, nor that of a built-in function.
		stored, err := compileStored(source)
		if err != nil {
			return err
		}
		if _, err = e.alone(stored); errors.Is(err, errNotFunction) {
			return errors.New("the text of the function gives something else")
		}
		return err
	})
	return source, err
}

// alone runs a program in a realm of its own, and returns the function that it gives.
func (e *engine) alone(p *goja.Program) (goja.Value, error) {
	e.vm.SetGlobalObject(e.newGlobal())
	v, err := e.vm.RunProgram(p)
	if err != nil {
		return nil, err
	}
	if _, ok := goja.AssertFunction(v); !ok {
		return nil, errNotFunction
	}
	return v, nil
}
