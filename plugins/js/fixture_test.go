package js

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kaizengarden/moray/hooks/hooktest"
	"github.com/kaizengarden/moray/hooks/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

// bench is a running plugin with a bucket that has triggers.
type bench struct {
	t      testing.TB
	plugin *plugin
	server *hooktest.Plugin
	source []string
	sql    func(hooktest.Statement) hooktest.Reply
	limit  time.Duration
	log    []hooktest.Line
}

const bucket = "Bucket"

// load starts a plugin, and gives it a bucket with triggers.
func load(t testing.TB, sources ...string) *bench {
	t.Helper()
	p := newPlugin(1 << 30)
	return &bench{t: t, plugin: p, server: hooktest.Start(t, p.hooks()), source: sources}
}

// with returns the same plugin with another bucket.
func (b *bench) with(sources ...string) *bench {
	other := *b
	other.source = sources
	return &other
}

// definition returns that of the bucket, after its first event.
func (b *bench) definition() *definition {
	b.plugin.mu.Lock()
	defer b.plugin.mu.Unlock()
	return b.plugin.definitions[bucket]
}

// bindings returns the triggers as a server binds them.
func (b *bench) bindings(phase sdk.Phase) []hooktest.Binding {
	var all []hooktest.Binding
	for i, source := range b.source {
		all = append(all, hooktest.Binding{Phase: phase, Hook: "trigger", Config: quote(source), ID: fmt.Sprint(phase, i, source), Limit: b.limit})
	}
	return all
}

// put is what a trigger sees before an object is put.
func put(key, value string) hooktest.Event {
	return hooktest.Event{Bucket: bucket, Key: key, Value: value, Schema: `{"s":{"type":"string"}}`}
}

// fire passes an event to the triggers, and returns what they leave: key and value, or the error.
func (b *bench) fire(e hooktest.Event) string {
	b.t.Helper()
	phase := sdk.Pre
	if e.ID != 0 {
		phase = sdk.Post
	}
	e.Bindings, e.SQL = b.bindings(phase), b.sql
	r := b.server.Fire(e)
	b.log = append(b.log, r.Log...)
	if r.Err != nil {
		return describe(r.Err)
	}
	return r.Key + " " + r.Value
}

func describe(err error) string {
	if refused := (*sdk.StatementError)(nil); errors.As(err, &refused) {
		return "refused: " + refused.Code
	}
	r := (*sdk.Rejection)(nil)
	if !errors.As(err, &r) {
		return "failed: " + err.Error()
	}
	s := r.Error()
	if r.Context != nil {
		s += " " + string(r.Context)
	}
	if r.Errors != nil {
		s += " " + string(r.Errors)
	}
	return s
}

func (b *bench) want(e hooktest.Event, want string) {
	b.t.Helper()
	if got := b.fire(e); got != want {
		b.t.Errorf("got  %s\nwant %s", got, want)
	}
}

// answers is a database that answers statements from a list, and remembers what it was asked.
type answers struct {
	mu     sync.Mutex
	asked  []string
	answer map[string]hooktest.Reply
	wait   map[string]chan struct{} // a statement is answered when its channel is closed
}

// answers lets the triggers ask a database.
func (b *bench) answers(answer map[string]hooktest.Reply) *answers {
	a := &answers{answer: answer}
	b.sql = a.run
	return a
}

func (a *answers) run(s hooktest.Statement) hooktest.Reply {
	a.mu.Lock()
	line := s.SQL
	for _, arg := range s.Args {
		if arg == hooktest.Null {
			line += " NULL"
		} else {
			line += " <" + arg + ">"
		}
	}
	a.asked = append(a.asked, line)
	reply, wait := a.answer[s.SQL], a.wait[s.SQL]
	a.mu.Unlock()
	if wait != nil {
		<-wait
	}
	if reply.Command == "" {
		reply.Command, _, _ = strings.Cut(s.SQL, " ")
	}
	return reply
}

// take returns what was asked since the last call.
func (a *answers) take() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked := strings.Join(a.asked, "\n")
	a.asked = nil
	return asked
}

// quote returns a text as a JSON string.
func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}
