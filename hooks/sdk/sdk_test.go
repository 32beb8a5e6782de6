package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kaizengarden/moray/hooks/hooktest"
	"github.com/kaizengarden/moray/hooks/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var both = []sdk.Phase{sdk.Pre, sdk.Post}

// one is a plugin with a hook that every phase can have.
func one(name string, handle func(context.Context, *sdk.Event) error) sdk.Plugin {
	return sdk.Plugin{Hooks: []sdk.Hook{{Name: name, Phases: both, Bind: sdk.Always(handle)}}}
}

func pre(hooks ...string) (bindings []hooktest.Binding) {
	for _, h := range hooks {
		bindings = append(bindings, hooktest.Binding{Phase: sdk.Pre, Hook: h})
	}
	return bindings
}

func TestEvent(t *testing.T) {
	t.Parallel()
	var seen *sdk.Event
	see := sdk.Always(func(_ context.Context, e *sdk.Event) error {
		copied := *e
		copied.Tx, copied.Log = nil, nil
		seen = &copied
		return nil
	})
	p := hooktest.Start(t, sdk.Plugin{Hooks: []sdk.Hook{
		{Name: "h", Phases: both, Bind: see, WantsPrevious: true, WantsSchema: true},
		{Name: "little", Phases: both, Bind: see, WithoutValue: true},
	}})
	show := func() string {
		text, err := json.Marshal(seen)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, c := range []struct {
		event hooktest.Event
		want  string
	}{
		{
			hooktest.Event{Bucket: "b", Key: "k", Value: `{"a":1}`, Bindings: pre("h"), RequestID: "r"},
			`{"Phase":1,"Operation":1,"Bucket":"b","Key":"k","Value":{"a":1},"ID":0,"Headers":null,"Update":false,"Previous":null,` +
				`"Schema":null,"RequestID":"r","Tx":null,"Log":null,"Shared":null}`,
		},
		{
			hooktest.Event{
				Bucket: "b", Key: "k", Operation: sdk.Delete, ID: 7, Headers: `{"x":"y"}`, Update: true, Previous: `{"a":0}`,
				Schema: `{"a":{"type":"number"}}`, Bindings: []hooktest.Binding{{Phase: sdk.Post, Hook: "h"}},
			},
			`{"Phase":2,"Operation":2,"Bucket":"b","Key":"k","Value":null,"ID":7,"Headers":{"x":"y"},"Update":true,"Previous":{"a":0},` +
				`"Schema":{"a":{"type":"number"}},"RequestID":"","Tx":null,"Log":null,"Shared":null}`,
		},
		{
			hooktest.Event{Bucket: "b", Key: "k", Value: `{}`, Previous: `{"a":0}`, Schema: `{"a":{"type":"number"}}`, Bindings: pre("little")},
			`{"Phase":1,"Operation":1,"Bucket":"b","Key":"k","Value":null,"ID":0,"Headers":null,"Update":false,"Previous":null,` +
				`"Schema":null,"RequestID":"","Tx":null,"Log":null,"Shared":null}`,
		},
	} {
		if r := p.Fire(c.event); r.Err != nil || r.Answered != 1 {
			t.Fatalf("answered %d: %v", r.Answered, r.Err)
		}
		if got := show(); got != c.want {
			t.Errorf("the hook sees\n%s\nit should be\n%s", got, c.want)
		}
	}
}

// TestChain shows what hooks of one call hand on to each other.
func TestChain(t *testing.T) {
	t.Parallel()
	note := func(e *sdk.Event, name string) {
		list, _ := e.Shared.([]string)
		e.Shared = append(list, name+" sees "+e.Key+string(e.Value))
	}
	var last any
	p := hooktest.Start(t, sdk.Plugin{Hooks: []sdk.Hook{
		{Name: "key", Phases: both, Bind: sdk.Always(func(_ context.Context, e *sdk.Event) error {
			note(e, "key")
			return e.SetKey(e.Key + "'")
		})},
		{Name: "member", Phases: both, Bind: sdk.Always(func(_ context.Context, e *sdk.Event) error {
			note(e, "member")
			return e.SetMember("b", "<2>")
		})},
		{Name: "last", Phases: both, Bind: sdk.Always(func(_ context.Context, e *sdk.Event) error {
			note(e, "last")
			last = e.Shared
			e.Key, e.Value = "changed", nil
			return nil
		})},
		{Name: "no", Phases: both, Bind: sdk.Always(func(context.Context, *sdk.Event) error { return errors.New("no") })},
	}})
	r := p.Fire(hooktest.Event{Key: "k", Value: `{ "a" : 1 }`, Bindings: pre("key", "member", "key")})
	if r.Err != nil || r.Key != "k''" || r.Value != `{ "a" : 1 ,"b":"<2>"}` {
		t.Errorf("got %s %s, %v", r.Key, r.Value, r.Err)
	}
	r = p.Fire(hooktest.Event{Key: "k", Value: `{"b":1}`, Bindings: []hooktest.Binding{{Phase: sdk.Post, Hook: "last"}, {Phase: sdk.Post, Hook: "last"}}})
	if got := fmt.Sprint(last); r.Err != nil || r.Key != "k" || got != `[last sees k{"b":1} last sees k{"b":1}]` {
		t.Errorf("got %s %s, %v", r.Key, got, r.Err)
	}
	for _, h := range []string{"key", "member"} {
		r = p.Fire(hooktest.Event{Key: "k", Value: `{}`, Bindings: []hooktest.Binding{{Phase: sdk.Post, Hook: h}}})
		if want := "the object is written already: only a hook bound to pre can change it"; fmt.Sprint(r.Err) != want {
			t.Errorf("%s after the write: %v, not %s", h, r.Err, want)
		}
	}
	r = p.Fire(hooktest.Event{Key: "k", Value: `{}`, Bindings: pre("key", "no", "key")})
	if fmt.Sprint(r.Err) != "no" || r.Answered != 1 || r.Key != "k'" {
		t.Errorf("got %d answers, %s, %v", r.Answered, r.Key, r.Err)
	}
}

// TestVerdicts shows what becomes of the errors of a handler.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	refused := &sdk.StatementError{Code: "23505", Message: "duplicate"}
	run := func(_ context.Context, e *sdk.Event) error {
		switch e.Key {
		case "named":
			return sdk.Reject("QuotaError", "%d are too many", 3).With(map[string]int{"limit": 2})
		case "wrapped":
			return fmt.Errorf("check: %w", &sdk.Rejection{Name: "A", Message: "b", Errors: json.RawMessage(`[{"message":"c"}]`)})
		case "plain":
			return errors.New("not this one")
		case "statement":
			_, err := e.Tx.Exec("INSERT 1")
			if err == nil {
				t.Error("the first statement is not refused")
			}
			_, err = e.Tx.Exec("INSERT 2")
			return fmt.Errorf("insert: %w", err)
		case "failed":
			return sdk.Failed(errors.New("the other service is down"))
		case "panic":
			panic("nil map")
		}
		return nil
	}
	p := hooktest.Start(t, one("h", run))
	for _, c := range []struct {
		key, want string
	}{
		{"named", `*sdk.Rejection QuotaError: 3 are too many {"limit":2}`},
		{"wrapped", `*sdk.Rejection A: b [{"message":"c"}]`},
		{"plain", `*sdk.Rejection not this one`},
		{"statement", `*sdk.StatementError duplicate`},
		{"failed", `*trial.Failure the other service is down`},
		{"panic", `*trial.Failure panic: nil map`},
		{"", `<nil> <nil>`},
	} {
		r := p.Fire(hooktest.Event{Key: c.key, Value: `{}`, Bindings: pre("h"), SQL: func(s hooktest.Statement) hooktest.Reply {
			if s.SQL == "INSERT 1" {
				return hooktest.Reply{Err: &sdk.StatementError{Code: "25P02", Message: "first"}}
			}
			return hooktest.Reply{Err: refused}
		}})
		got := fmt.Sprintf("%T %v", r.Err, r.Err)
		if rejection := (*sdk.Rejection)(nil); errors.As(r.Err, &rejection) {
			got = strings.TrimSpace(fmt.Sprintf("%s %s%s", got, rejection.Context, rejection.Errors))
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.key, got, c.want)
		}
		if c.key == "panic" && (len(r.Log) != 1 || !strings.Contains(r.Log[0].Fields, "sdk_test.go")) {
			t.Errorf("a panic logs %v, not where it was", r.Log)
		}
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	ended := make(chan bool, 1)
	p := hooktest.Start(t, one("h", func(ctx context.Context, e *sdk.Event) error {
		if e.Key == "quick" {
			return nil
		}
		_, bounded := ctx.Deadline()
		<-ctx.Done()
		ended <- bounded
		return ctx.Err()
	}))
	r := p.Fire(hooktest.Event{Bindings: []hooktest.Binding{{Phase: sdk.Pre, Hook: "h", Limit: 20 * time.Millisecond}}})
	if !errors.Is(r.Err, hooktest.ErrTimeout) {
		t.Errorf("got %v", r.Err)
	}
	if !<-ended {
		t.Error("the context of the handler has no deadline")
	}
	if r := p.Fire(hooktest.Event{Key: "quick", Bindings: pre("h")}); r.Err != nil {
		t.Errorf("the next event: %v", r.Err)
	}
}

// TestLong sends values that are longer than what gRPC takes by default.
func TestLong(t *testing.T) {
	t.Parallel()
	p := hooktest.Start(t, one("h", func(_ context.Context, e *sdk.Event) error { return e.SetMember("b", 1) }))
	value := `{"a":"` + strings.Repeat("x", 9<<20) + `"`
	if r := p.Fire(hooktest.Event{Value: value + "}", Bindings: pre("h")}); r.Err != nil || r.Value != value+`,"b":1}` {
		t.Errorf("%d bytes, %v", len(r.Value), r.Err)
	}
}

// TestInterleaving has two events wait for each other.
func TestInterleaving(t *testing.T) {
	t.Parallel()
	meet := make(chan string)
	p := hooktest.Start(t, one("h", func(ctx context.Context, e *sdk.Event) error {
		select {
		case meet <- e.Key:
		case other := <-meet:
			return e.SetKey(e.Key + " met " + other)
		case <-ctx.Done():
		}
		return nil
	}))
	var all sync.WaitGroup
	var met atomic.Int32
	for _, key := range []string{"a", "b"} {
		all.Go(func() {
			r := p.Fire(hooktest.Event{Key: key, Value: `{}`, Bindings: pre("h")})
			if r.Err != nil {
				t.Errorf("%s: %v", key, r.Err)
			}
			if strings.Contains(r.Key, " met ") {
				met.Add(1)
			}
		})
	}
	all.Wait()
	if met.Load() != 1 {
		t.Errorf("%d events met another one, not 1", met.Load())
	}
}

func TestMember(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ value, name, set, want, was string }{
		{`{}`, "a", `1`, `{"a":1}`, ""},
		{`{"a":0,"b":[1,2]}`, "b", `null`, `{"a":0,"b":null}`, `[1,2]`},
		{`{"a":{"b":1}}`, "b", `2`, `{"a":{"b":1},"b":2}`, ""},
		{`{"é\"":1}`, `é"`, `2`, `{"é\"":2}`, "1"},
		{`{"a":1,"a":2}`, "a", `3`, `{"a":1,"a":3}`, "2"},
		{`[{}]`, "a", `1`, "value of the object \"\": it has no members", ""},
		{`{}`, "a", `{`, "member a of the object \"\": \"{\" is not JSON", ""},
	} {
		e := &sdk.Event{Phase: sdk.Pre, Value: json.RawMessage(c.value)}
		if got := string(e.Member(c.name)); got != c.was {
			t.Errorf("member %s of %s is %s, want %s", c.name, c.value, got, c.was)
		}
		err := e.SetMember(c.name, json.RawMessage(c.set))
		got := string(e.Value)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s with %s=%s is %s, want %s", c.value, c.name, c.set, got, c.want)
		}
	}
}

func FuzzSetMember(f *testing.F) {
	f.Add(`{"a":1,"b":{"c":[]}}`, "b")
	f.Add(`{ "a" : 1 }`, "x")
	f.Fuzz(func(t *testing.T, value, name string) {
		var before map[string]json.RawMessage
		if json.Unmarshal([]byte(value), &before) != nil || before == nil {
			return
		}
		e := &sdk.Event{Phase: sdk.Pre, Value: json.RawMessage(strings.TrimSpace(value))}
		if err := e.SetMember(name, json.RawMessage(`"set"`)); err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		var after map[string]json.RawMessage
		if err := json.Unmarshal(e.Value, &after); err != nil {
			t.Fatalf("%s became %s: %v", value, e.Value, err)
		}
		for n := range before {
			if string(after[n]) != string(before[n]) && string(after[n]) != `"set"` {
				t.Errorf("%s became %s: %q is another", value, e.Value, n)
			}
		}
	})
}
