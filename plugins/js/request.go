package js

import (
	"bytes"

	"github.com/dop251/goja"

	"github.com/kaizengarden/moray/hooks/sdk"
)

// request is the object that the triggers of an event get, one after the other, and what belongs to it. It is for who has the turn
// of the engine.
type request struct {
	engine     *engine
	bucket     string
	object     *goja.Object
	call       *call // that it is handed to; nil between two calls
	lines      int   // logged
	statements []*statement
	refusals   []refusal

	// What was left before the write, as the server knows it.
	key   string
	value []byte
}

// newRequest makes the object for an event. Triggers can see the order of its members.
func (e *engine) newRequest(ev *sdk.Event) (*request, error) {
	vm := e.vm
	r := &request{engine: e, bucket: ev.Bucket, object: vm.NewObject(), key: ev.Key, value: ev.Value}
	pg, err := e.database(goja.Undefined(), vm.ToValue(r.query))
	if err != nil {
		return nil, unreadable(err)
	}
	log, err := e.logger(goja.Undefined(), vm.ToValue(r.write))
	if err != nil {
		return nil, unreadable(err)
	}
	if e.schema == nil {
		if e.schema, err = e.value(ev.Schema); err != nil {
			return nil, unreadable(err)
		}
	}
	value, headers := goja.Undefined(), goja.Value(vm.NewObject())
	if ev.Value != nil {
		if value, err = e.value(ev.Value); err != nil {
			return nil, unreadable(err)
		}
	}
	if len(ev.Headers) > len(`{}`) {
		if headers, err = e.value(ev.Headers); err != nil {
			return nil, unreadable(err)
		}
	}
	for _, m := range []struct {
		name  string
		value any
	}{
		{"bucket", ev.Bucket},
		{"id", ev.ID},
		{"key", ev.Key},
		{"log", log},
		{"pg", pg},
		{"schema", e.schema},
		{"value", value},
		{"headers", headers},
		{"update", ev.Update},
	} {
		if m.name == "id" && ev.Phase == sdk.Pre {
			continue
		}
		if err := r.object.Set(m.name, m.value); err != nil {
			return nil, unreadable(err)
		}
	}
	return r, nil
}

// again makes a request that another trigger had fit an event that a hook of another plugin may have changed since.
func (r *request) again(ev *sdk.Event) error {
	if r.key != ev.Key {
		r.key = ev.Key
		if err := r.object.Set("key", ev.Key); err != nil {
			return unreadable(err)
		}
	}
	if !bytes.Equal(r.value, ev.Value) {
		value, err := r.engine.value(ev.Value)
		if err != nil {
			return unreadable(err)
		}
		r.value = ev.Value
		if err := r.object.Set("value", value); err != nil {
			return unreadable(err)
		}
	}
	return nil
}

// take takes over the key and the value that a trigger left. Where the server would refuse them, the errors are the server's.
func (r *request) take() (err error) {
	ex := r.engine.vm.Try(func() {
		switch key := r.object.Get("key"); {
		case key == nil || goja.IsUndefined(key):
			err = noKey(r.bucket)
		case !goja.IsString(key):
			err = badKey()
		default:
			r.key = key.String()
		}
		if err != nil {
			return
		}
		value := r.object.Get("value")
		if value == nil {
			value = goja.Undefined()
		}
		var text string
		var ok bool
		if text, ok, err = r.engine.json(value); !ok {
			text = "null" // which is no object either
		}
		r.value = []byte(text)
	})
	if ex != nil {
		err = ex
	}
	return r.thrown(err)
}
