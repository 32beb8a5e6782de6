// Package js is the plugin that runs triggers written in JavaScript, which stock clients send and which databases of the original
// Moray have. They run in its process, on github.com/dop251/goja, and see what they saw in the original.
//
// All triggers of a bucket's definition share an engine, which one call uses at a time: as in the original, calls come between each
// other only where they wait for SQL. Triggers of other buckets run beside them. What a trigger does wrong costs its own call;
// where an engine has to be stopped for that, the next call gets a new one.
package js

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/kaizengarden/moray/hooks/sdk"
)

// Bounds of the process. Of its memory the server tells in GOMEMLIMIT what it may use.
const (
	defaultMemory = 400 << 20        // bytes
	maxStack      = 128 << 20        // bytes of one goroutine: text that is made of deep arrays needs it
	grace         = 30 * time.Second // for what was interrupted, such as a regular expression
)

// Serve runs the plugin until the server ends it.
func Serve() {
	memory := debug.SetMemoryLimit(-1)
	if memory == math.MaxInt64 {
		memory = defaultMemory
		debug.SetMemoryLimit(memory)
	}
	debug.SetMaxStack(maxStack)
	p := newPlugin(uint64(memory) / 3 * 2)
	go func() { // as long as the process
		if err := p.watch.Run(context.Background()); err != nil {
			sdk.Log().Error("the plugin gives up", "err", err.Error())
			os.Exit(1)
		}
	}()
	sdk.Serve(p.hooks())
}

// plugin is the process: its definitions of buckets, by their ids.
type plugin struct {
	watch *watch

	mu          sync.Mutex // guards definitions, and the counts in them
	definitions map[string]*definition
}

func newPlugin(maxHeap uint64) *plugin {
	p := &plugin{definitions: map[string]*definition{}}
	p.watch = &watch{limit: maxHeap, grace: grace, discard: p.discard, runs: map[*run]struct{}{}}
	return p
}

// hooks returns what the plugin offers. Its one hook is configured with the text of a function, a JSON string.
func (p *plugin) hooks() sdk.Plugin {
	return sdk.Plugin{
		Version: "1",
		Check:   p.check,
		Hooks: []sdk.Hook{{
			Name:        "trigger",
			Summary:     "runs a JavaScript function (req, cb)",
			Phases:      []sdk.Phase{sdk.Pre, sdk.Post},
			WantsSchema: true,
			Bind:        p.bind,
		}},
	}
}

// Faults of definitions, as the original words them.
var errNotCompiled = sdk.Reject("NotFunctionError", "trigger not function must be [Function]")

func errOtherThanFunction(phase sdk.Phase) error {
	return sdk.Reject("NotFunctionError", "%s must be [Function]", phase)
}

// check evaluates what a bucket is to have as triggers, and returns the texts of the functions. First everything has to be an
// expression, then those of post have to give functions, then those of pre.
func (p *plugin) check(ctx context.Context, bucket string, bindings []*sdk.Binding) ([]json.RawMessage, error) {
	configs := make([]json.RawMessage, len(bindings))
	var other error
	for i, b := range bindings {
		text, err := sourceOf(b)
		if err != nil {
			return nil, err
		}
		source, err := evaluate(ctx, p.watch, text)
		switch {
		case errors.Is(err, errNotFunction):
			if other == nil {
				other = errOtherThanFunction(b.Phase)
			}
			continue
		case err != nil:
			sdk.Log().Info("a trigger is refused", "bucket", bucket, "phase", b.Phase.String(), "reason", err.Error())
			return nil, errNotCompiled
		}
		if configs[i], err = json.Marshal(source); err != nil {
			return nil, fmt.Errorf("text of a trigger: %w", err)
		}
	}
	return configs, other
}

// sourceOf returns the text that a binding is configured with.
func sourceOf(b *sdk.Binding) (text string, err error) {
	if json.Unmarshal(b.Config, &text) != nil {
		return "", sdk.Reject("InvalidBucketConfigError", "the config of the hook trigger of the plugin js should be the text of a function")
	}
	return text, nil
}

// bind compiles a trigger of a definition that is stored.
func (p *plugin) bind(b *sdk.Binding) (sdk.Handler, error) {
	text, err := sourceOf(b)
	if err != nil {
		return nil, err
	}
	program, err := compileStored(text)
	if err != nil {
		return nil, fmt.Errorf("the trigger cannot be compiled: %w", err)
	}
	return &trigger{id: b.ID, plugin: p, program: program, definition: p.acquire(b.Definition)}, nil
}

// acquire returns a definition, which is kept until everyone who acquired it has released it.
func (p *plugin) acquire(id string) *definition {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.definitions[id]
	if d == nil {
		d = &definition{id: id, watch: p.watch}
		p.definitions[id] = d
	}
	d.triggers++
	return d
}

func (p *plugin) release(d *definition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.triggers--; d.triggers == 0 {
		delete(p.definitions, d.id)
	}
}

// discard gives up the engines of all definitions. Calls that are under way end in them.
func (p *plugin) discard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.definitions {
		d.discard()
	}
}
