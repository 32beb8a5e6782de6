package js

import (
	_ "embed"
	"fmt"
	"sync/atomic"

	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"
)

// maxCalls bounds how deep functions call each other. The time to come back from there grows with its square.
const maxCalls = 2000

// engine is a JavaScript engine with the triggers of one definition of a bucket. As in the original, where one thread ran
// everything, a trigger has it for itself until it waits for SQL. What it holds is for who has the turn; see do.
type engine struct {
	turn  chan struct{} // holds a token while somebody has the turn
	watch *watch
	spent atomic.Bool // no further call may begin here

	vm               *goja.Runtime
	base             *goja.Object      // which the global objects of all realms inherit from
	realms           map[string]*realm // by the ids of triggers
	schema           goja.Value        // of the bucket, as its triggers see it; nil before the first call
	running          *call             // whose code runs
	rejected         []rejectedPromise
	stringify        goja.Callable // of JSON
	database, logger goja.Callable // these and what follows are of prelude.js
	emit, date       goja.Callable
	rowDate          *goja.Object
	errorClass       goja.Value
}

// rejectedPromise is a promise that was rejected before anybody asked for it.
type rejectedPromise struct {
	promise *goja.Promise
	call    *call
}

// realm is where one trigger lives. Of what the others of its engine have, it shares the built-ins only.
type realm struct {
	global   *goja.Object
	function goja.Callable
	this     *goja.Object
}

//go:embed prelude.js
var preludeText string

var prelude = goja.MustCompile("prelude.js", preludeText, true)

// newEngine makes an engine. That runs nothing of a trigger.
func newEngine(w *watch) *engine {
	vm := goja.New()
	vm.SetMaxCallStackSize(maxCalls)
	vm.SetParserOptions(parser.WithDisableSourceMaps)
	e := &engine{
		turn: make(chan struct{}, 1), watch: w,
		vm: vm, base: vm.GlobalObject(), realms: map[string]*realm{},
	}
	vm.SetAsyncContextTracker(e)
	vm.SetPromiseRejectionTracker(e.rejection)

	e.errorClass = e.base.Get("Error")
	e.stringify = function(e.base.Get("JSON").ToObject(vm).Get("stringify"))
	must(e.base.Delete("GoError")) // the engine's own
	install, err := vm.RunProgram(prelude)
	must(err)
	made, err := function(install)(goja.Undefined(), e.base, natives(vm))
	must(err)
	o := made.ToObject(vm)
	e.database, e.logger = function(o.Get("database")), function(o.Get("logger"))
	e.emit, e.date = function(o.Get("emit")), function(o.Get("date"))
	e.rowDate = o.Get("rowDate").ToObject(vm)
	return e
}

// must is for what cannot fail: a script of our own, and members of new objects.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("plugins/js: %v", err))
	}
}

// function returns a value that is known to be a function.
func function(v goja.Value) goja.Callable {
	f, ok := goja.AssertFunction(v)
	if !ok {
		panic(fmt.Sprintf("plugins/js: %v is not a function", v))
	}
	return f
}

// newGlobal makes the global object of a realm.
func (e *engine) newGlobal() *goja.Object {
	global := e.vm.CreateObject(e.base)
	must(global.DefineDataProperty("globalThis", global, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE))
	return global
}

// spend makes further calls begin elsewhere.
func (e *engine) spend() { e.spent.Store(true) }

// realm returns the realm of a trigger, in which it is evaluated the first time.
func (e *engine) realm(t *trigger) (*realm, error) {
	if r := e.realms[t.id]; r != nil {
		return r, nil
	}
	v, err := e.alone(t.program)
	if err != nil {
		return nil, err
	}
	r := &realm{global: e.vm.GlobalObject(), function: function(v), this: e.vm.NewObject()}
	must(r.this.Set("run", v))
	e.realms[t.id] = r
	return r, nil
}

// enter makes c the call whose code runs.
func (e *engine) enter(c *call) {
	e.running = c
	if c != nil && c.realm != nil {
		e.vm.SetGlobalObject(c.realm.global)
	}
}

// Grab, Resumed and Exited are a [goja.AsyncContextTracker]: what waits for a promise runs on behalf of the call that waits.
func (e *engine) Grab() any { return e.running }

// Resumed is called before what has waited for a promise runs.
func (e *engine) Resumed(waiting any) {
	c, _ := waiting.(*call)
	e.enter(c)
}

// Exited is called after it, but before its promise is rejected if it has thrown; so the call goes on running until another
// does.
func (e *engine) Exited() {}

// rejection hears of promises that are rejected without anybody who asks, and of those that are asked for later.
func (e *engine) rejection(p *goja.Promise, operation goja.PromiseRejectionOperation) {
	if operation == goja.PromiseRejectionReject && e.running != nil {
		e.rejected = append(e.rejected, rejectedPromise{promise: p, call: e.running})
		return
	}
	for i, r := range e.rejected {
		if r.promise == p {
			e.rejected = append(e.rejected[:i], e.rejected[i+1:]...)
			return
		}
	}
}
