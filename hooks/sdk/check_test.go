package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/kaizengarden/moray/hooks/hooktest"
	"github.com/kaizengarden/moray/hooks/sdk"
)

// counting is a handler that counts how often one is made and closed.
type counting struct{ open *atomic.Int32 }

func (c *counting) Handle(_ context.Context, e *sdk.Event) error { return e.SetKey(e.Key + "!") }

func (c *counting) Close() error {
	c.open.Add(-1)
	return nil
}

func TestCheck(t *testing.T) {
	t.Parallel()
	var open, made atomic.Int32
	p := hooktest.Start(t, sdk.Plugin{Hooks: []sdk.Hook{
		{Name: "count", Phases: []sdk.Phase{sdk.Pre}, Bind: func(b *sdk.Binding) (sdk.Handler, error) {
			config := struct{ Members []string }{Members: []string{"all"}}
			if err := b.Decode(&config); err != nil {
				return nil, err
			}
			if len(config.Members) == 0 {
				return nil, sdk.Reject("MembersError", "no members")
			}
			open.Add(1)
			made.Add(1)
			return &counting{&open}, nil
		}},
		{Name: "plain", Phases: both, Bind: sdk.Always(func(context.Context, *sdk.Event) error { return nil })},
		{Name: "panic", Phases: both, Bind: func(*sdk.Binding) (sdk.Handler, error) { panic("oh") }},
	}})
	for _, c := range []struct {
		bindings []hooktest.Binding
		want     string
	}{
		{pre("count", "plain"), `[null null]`},
		{[]hooktest.Binding{{Phase: sdk.Pre, Hook: "count", Config: `{"members":["a"]}`}}, `[{"members":["a"]}]`},
		{[]hooktest.Binding{{Phase: sdk.Pre, Hook: "count", Config: `{"members":[]}`}}, `MembersError: no members`},
		{[]hooktest.Binding{{Phase: sdk.Pre, Hook: "count", Config: `{"member":["a"]}`}}, `json: unknown field "member"`},
		{[]hooktest.Binding{{Phase: sdk.Pre, Hook: "plain", Config: `1`}}, `it takes no config`},
		{[]hooktest.Binding{{Phase: sdk.Post, Hook: "count"}}, `it cannot be bound to post`},
		{pre("nope"), `there is no hook "nope"`},
		{pre("panic"), `panic: oh`},
	} {
		configs, err := p.Check("b", c.bindings...)
		if got := shown(configs, err); got != c.want {
			t.Errorf("%+v: got %s, want %s", c.bindings, got, c.want)
		}
	}
	if open.Load() != 0 {
		t.Errorf("%d handlers that were only checked are open", open.Load())
	}

	made.Store(0)
	for range 3 {
		if r := p.Fire(hooktest.Event{Key: "k", Bindings: pre("count", "count")}); r.Err != nil || r.Key != "k!!" {
			t.Fatalf("got %s, %v", r.Key, r.Err)
		}
	}
	if made.Load() != 1 {
		t.Errorf("one binding got %d handlers", made.Load())
	}
	r := p.Fire(hooktest.Event{Key: "k", Bindings: pre("panic")})
	if failure := (*hooktest.Failure)(nil); !errors.As(r.Err, &failure) || failure.Message != "panic: oh" {
		t.Errorf("a hook that cannot be bound any more: %v", r.Err)
	}
}

func shown(configs []json.RawMessage, err error) string {
	if err != nil {
		return err.Error()
	}
	texts := make([]string, len(configs))
	for i, c := range configs {
		texts[i] = string(c)
		if c == nil {
			texts[i] = "null"
		}
	}
	return fmt.Sprint(texts)
}

// TestCheckOfAll lets the plugin look at all bindings at once.
func TestCheckOfAll(t *testing.T) {
	t.Parallel()
	plugin := one("h", func(context.Context, *sdk.Event) error { return nil })
	plugin.Check = func(_ context.Context, bucket string, bindings []*sdk.Binding) ([]json.RawMessage, error) {
		var configs []json.RawMessage
		for i, b := range bindings {
			switch string(b.Config) {
			case `"bad"`:
				return nil, sdk.Reject("NotFunctionError", "%s must be [Function]", b.Phase)
			case `"panic"`:
				panic("oh")
			}
			configs = append(configs, json.RawMessage(fmt.Sprintf(`"%s %d %s"`, bucket, i, b.Phase)))
		}
		return configs, nil
	}
	p := hooktest.Start(t, plugin)
	list := func(config string) []hooktest.Binding {
		return []hooktest.Binding{{Phase: sdk.Post, Hook: "h"}, {Phase: sdk.Pre, Hook: "h", Config: config}}
	}
	for _, c := range []struct{ config, want string }{
		{`"good"`, `["b 0 post" "b 1 pre"]`},
		{`"bad"`, `NotFunctionError: pre must be [Function]`},
		{`"panic"`, `rpc error: code = Internal desc = panic: oh`},
	} {
		configs, err := p.Check("b", list(c.config)...)
		if got := shown(configs, err); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestIncomplete(t *testing.T) {
	t.Parallel()
	bind := sdk.Always(func(context.Context, *sdk.Event) error { return nil })
	for _, c := range []struct {
		hooks []sdk.Hook
		want  string
	}{
		{[]sdk.Hook{{Name: "a b", Phases: both, Bind: bind}}, `moray plugin: "a b" is no name of a hook: letters, digits, dots, dashes and underscores, at most 64`},
		{[]sdk.Hook{{Name: "a", Phases: both, Bind: bind}, {Name: "a", Phases: both, Bind: bind}}, "moray plugin: there are two hooks called a"},
		{[]sdk.Hook{{Name: "a", Bind: bind}}, "moray plugin: the hook a has no phases"},
		{[]sdk.Hook{{Name: "a", Phases: both}}, "moray plugin: the hook a has no Bind"},
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			}()
			sdk.ServeOn(nil, sdk.Plugin{Hooks: c.hooks}) //nolint:errcheck // because it panics
		}()
	}
}

// TestDefinition tells a hook which bindings belong together.
func TestDefinition(t *testing.T) {
	t.Parallel()
	p := hooktest.Start(t, sdk.Plugin{Hooks: []sdk.Hook{{Name: "h", Phases: both, Bind: func(b *sdk.Binding) (sdk.Handler, error) {
		if (b.Definition == "") != (b.ID == "") {
			return nil, fmt.Errorf("the binding %q belongs to the definition %q", b.ID, b.Definition)
		}
		return sdk.HandlerFunc(func(_ context.Context, e *sdk.Event) error { return e.SetKey(e.Key + " " + b.Definition) }), nil
	}}}})
	bindings := []hooktest.Binding{{Phase: sdk.Pre, Hook: "h", ID: "1"}, {Phase: sdk.Pre, Hook: "h", ID: "2"}, {Phase: sdk.Pre, Hook: "h", ID: "3", Definition: "d"}}
	if _, err := p.Check("b", bindings...); err != nil {
		t.Error(err)
	}
	if r := p.Fire(hooktest.Event{Bucket: "b", Key: "k", Bindings: bindings}); r.Err != nil || r.Key != "k b b d" {
		t.Errorf("got %q, %v", r.Key, r.Err)
	}
}
