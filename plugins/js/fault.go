package js

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dop251/goja"

	"github.com/kaizengarden/moray/hooks/sdk"
)

// refusal is what PostgreSQL said of a statement, and the error that the trigger got for it.
type refusal struct {
	object *goja.Object
	err    *sdk.StatementError
}

// refused makes the error that a trigger gets for a statement that PostgreSQL refused.
func (r *request) refused(err *sdk.StatementError) *goja.Object {
	o := r.engine.newError(err.Message)
	for _, m := range []struct{ name, value string }{
		{"name", "error"},
		{"code", err.Code},
		{"detail", err.Detail},
		{"hint", err.Hint},
		{"table", err.Table},
		{"column", err.Column},
		{"constraint", err.Constraint},
	} {
		if m.value != "" {
			must(o.Set(m.name, m.value))
		}
	}
	r.refusals = append(r.refusals, refusal{object: o, err: err})
	return o
}

// Errors of the server for the key that a trigger leaves. The original leaves an absent one to PostgreSQL.
func noKey(bucket string) error {
	return sdk.Reject("error", `null value in column "_key" of relation "%s" violates not-null constraint`, strings.ToLower(bucket))
}

func badKey() error { return sdk.Reject("AssertionError", "key (string) is required") }

// tooDeep is the error of a trigger whose functions call each other too deep.
func tooDeep() error { return sdk.Reject("RangeError", "Maximum call stack size exceeded") }

// unevaluated is the error of a trigger that cannot be called, because its text gives no function, and unreadable that of one
// whose event is not what it should be. Neither was thrown by the trigger.
func unevaluated(err error) error { return notThrown("its text cannot be evaluated", err) }
func unreadable(err error) error  { return notThrown("the event cannot be read", err) }

func notThrown(what string, err error) error {
	if ex := (*goja.Exception)(nil); errors.As(err, &ex) {
		return fmt.Errorf("%s: %s", what, ex.Error())
	}
	return fmt.Errorf("%s: %w", what, err)
}

// newError makes an Error.
func (e *engine) newError(message string) *goja.Object {
	o, err := e.vm.New(e.errorClass, e.vm.ToValue(message))
	must(err)
	return o
}

// rethrown returns what a function of the host panics with, so that the engine throws err.
func (e *engine) rethrown(err error) any {
	if ex := (*goja.Exception)(nil); errors.As(err, &ex) {
		return ex.Value()
	}
	if uncatchable(err) {
		return err
	}
	return e.newError(err.Error())
}

// thrown returns what an error of the engine means for the client.
func (r *request) thrown(err error) error {
	if ex := (*goja.Exception)(nil); errors.As(err, &ex) {
		return r.fault(ex.Value())
	}
	return err
}

// fault returns what the client gets for a value that a trigger passed to its callback, or threw. The original knew only its own
// errors, and ended with all others.
func (r *request) fault(v goja.Value) error {
	o, ok := v.(*goja.Object)
	if !ok {
		return &sdk.Rejection{Name: "Error", Message: v.String()}
	}
	for _, known := range r.refusals {
		if known.object == o {
			return known.err
		}
	}
	f := &sdk.Rejection{Name: "Error"}
	failed := r.engine.vm.Try(func() {
		if name := o.Get("name"); name != nil && name.ToBoolean() {
			f.Name = name.String()
		}
		if message := o.Get("message"); message != nil && !goja.IsUndefined(message) {
			f.Message = message.String()
		} else if text, ok, err := r.engine.json(o); ok && err == nil {
			f.Message = text
		}
		f.Context = r.part(o, "context", false)
		f.Errors = r.part(o, "ase_errors", true)
	})
	if failed != nil {
		f.Message = "the error that the trigger failed with cannot be read"
	}
	return f
}

// part returns the JSON text of a member that is an array, or another object, or nil.
func (r *request) part(o *goja.Object, name string, array bool) []byte {
	m, ok := o.Get(name).(*goja.Object)
	if !ok {
		return nil
	}
	text, ok, err := r.engine.json(m)
	if !ok || err != nil || (text[0] == '[') != array || !array && text[0] != '{' {
		return nil
	}
	return []byte(text)
}
