package js

import (
	"context"
	"errors"
	"sync"

	"github.com/dop251/goja"

	"github.com/kaizengarden/moray/hooks/sdk"
)

// definition is what a bucket's definition has of triggers. They share an engine as long as the server keeps the definition,
// unless it has to be replaced: then they begin anew, and calls that are under way end in the old one.
type definition struct {
	id       string
	watch    *watch
	triggers int // that use it; guarded by the plugin

	mu     sync.Mutex // guards engine
	engine *engine
}

// current returns the engine in which calls begin.
func (d *definition) current() *engine {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.engine == nil || d.engine.spent.Load() {
		d.engine = newEngine(d.watch)
	}
	return d.engine
}

// discard makes calls begin in a new engine.
func (d *definition) discard() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.engine = nil
}

// trigger is a function of a bucket's definition, compiled.
type trigger struct {
	id         string // of its place in the definition
	plugin     *plugin
	program    *goja.Program
	definition *definition
}

var _ sdk.Handler = (*trigger)(nil)

// Close implements io.Closer.
func (t *trigger) Close() error {
	t.plugin.release(t.definition)
	return nil
}

// Handle calls the trigger for an event. All triggers of a definition that see an event get the same object.
func (t *trigger) Handle(ctx context.Context, e *sdk.Event) error {
	req, ok := e.Shared.(*request)
	c := &call{event: e, request: req, wake: make(chan struct{}, 1)}
	if ok {
		c.engine = req.engine
	} else {
		c.engine = t.definition.current()
	}
	err := c.run(ctx, t)
	if err != nil {
		return answer(ctx, e, err)
	}
	e.Shared = c.request
	if e.Phase == sdk.Pre {
		e.Key, e.Value = c.request.key, c.request.value
	}
	return nil
}

// answer returns what the server is told about an error: what the trigger failed with, or why it could not do its work.
func answer(ctx context.Context, e *sdk.Event, err error) error {
	switch {
	case errors.As(err, new(*sdk.Rejection)), errors.As(err, new(*sdk.StatementError)):
		return err
	case ctx.Err() != nil: // nobody hears it
		e.Log.Warn("the time of a trigger is up", "reason", err.Error())
		return err
	}
	return sdk.Failed(err)
}
