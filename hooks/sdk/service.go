package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// service is a plugin as its server sees it.
type service struct {
	wire.UnimplementedPluginServer
	plugin   Plugin
	hooks    map[string]*Hook
	handlers handlers
	level    atomic.Int32 // a wire.LogLine_Level: lines below it are not wanted
	stuck    atomic.Int32 // handlers that go on long after their time
}

var hookName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// newService panics if the plugin is not complete.
func newService(p Plugin) *service {
	s := &service{plugin: p, hooks: map[string]*Hook{}}
	for i := range p.Hooks {
		switch h := &p.Hooks[i]; {
		case !hookName.MatchString(h.Name):
			panic(fmt.Sprintf("moray plugin: %q is no name of a hook: letters, digits, dots, dashes and underscores, at most 64", h.Name))
		case s.hooks[h.Name] != nil:
			panic(fmt.Sprintf("moray plugin: there are two hooks called %s", h.Name))
		case h.Pure && h.WantsPrevious:
			panic(fmt.Sprintf("moray plugin: the hook %s is Pure, and WantsPrevious", h.Name))
		case len(h.Phases) == 0:
			panic(fmt.Sprintf("moray plugin: the hook %s has no phases", h.Name))
		case h.Bind == nil:
			panic(fmt.Sprintf("moray plugin: the hook %s has no Bind", h.Name))
		default:
			s.hooks[h.Name] = h
		}
	}
	return s
}

func (s *service) logLevel() wire.LogLine_Level { return wire.LogLine_Level(s.level.Load()) }

// Describe implements wire.PluginServer.
func (s *service) Describe(_ context.Context, r *wire.DescribeRequest) (*wire.Description, error) {
	s.level.Store(int32(r.GetLogLevel()))
	d := &wire.Description{Version: s.plugin.Version}
	for _, h := range s.plugin.Hooks {
		described := &wire.Hook{
			Name: h.Name, Summary: h.Summary,
			WantsPrevious: h.WantsPrevious, WantsSchema: h.WantsSchema, WithoutValue: h.WithoutValue, Pure: h.Pure,
		}
		for _, p := range h.Phases {
			described.Phases = append(described.Phases, wire.Phase(p))
		}
		d.Hooks = append(d.Hooks, described)
	}
	return d, nil
}

// Check implements wire.PluginServer.
func (s *service) Check(ctx context.Context, r *wire.CheckRequest) (_ *wire.CheckResult, err error) {
	defer func() {
		if p := recover(); p != nil {
			Log().Error("the check of a bucket panics", "bucket", r.GetBucket(), "panic", fmt.Sprint(p))
			err = status.Errorf(codes.Internal, "panic: %v", p)
		}
	}()
	if s.plugin.Check == nil {
		return s.checkEach(r), nil
	}
	bindings := make([]*Binding, len(r.GetBindings()))
	for i, b := range r.GetBindings() {
		bindings[i] = binding(r.GetBucket(), b.GetPhase(), b.GetBinding())
	}
	configs, err := s.plugin.Check(ctx, r.GetBucket(), bindings)
	if err != nil {
		return &wire.CheckResult{Rejection: rejection(err)}, nil
	}
	result := &wire.CheckResult{}
	for _, c := range configs {
		result.Configs = append(result.Configs, c)
	}
	return result, nil
}

// checkEach makes a handler of each binding and throws it away.
func (s *service) checkEach(r *wire.CheckRequest) *wire.CheckResult {
	for i, b := range r.GetBindings() {
		h, err := s.bind(r.GetBucket(), b.GetPhase(), b.GetBinding())
		if err != nil {
			at := uint32(i)
			return &wire.CheckResult{Rejection: rejection(err), Binding: &at}
		}
		closeAll([]Handler{h})
	}
	return &wire.CheckResult{}
}

func binding(bucket string, phase wire.Phase, b *wire.Binding) *Binding {
	return &Binding{
		Bucket: bucket, Phase: Phase(phase), Hook: b.GetHook(), Config: json.RawMessage(nonEmpty(b.GetConfig())), ID: b.GetId(),
		Timeout:    time.Duration(b.GetTimeoutMs()) * time.Millisecond,
		Definition: b.GetDefinition(),
	}
}

// bind makes the handler of a binding.
func (s *service) bind(bucket string, phase wire.Phase, b *wire.Binding) (h Handler, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	hook := s.hooks[b.GetHook()]
	switch {
	case hook == nil:
		return nil, fmt.Errorf("there is no hook %q", b.GetHook())
	case !slices.Contains(hook.Phases, Phase(phase)):
		return nil, fmt.Errorf("it cannot be bound to %s", Phase(phase))
	}
	return hook.Bind(binding(bucket, phase, b))
}

const (
	overdue  = 10 * time.Second // after its time a handler that has not returned is stuck
	maxStuck = 16
)

// watch looks after a session that is ended while a handler goes on, and ends the process when there are too many of them: they may
// keep the processor busy for ever, and the server starts the plugin again. The session calls stop at its end.
func (s *service) watch(ctx context.Context) (stop func()) {
	ended := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		t := time.NewTimer(overdue)
		defer t.Stop()
		select {
		case <-ended:
			return
		case <-t.C:
		}
		n := s.stuck.Add(1)
		Log().Error("a hook goes on long after its time; it must return when its context ends", "stuck", n)
		if n >= maxStuck {
			Log().Error("too many hooks do not return: the plugin gives up")
			os.Exit(1)
		}
		<-ended
		s.stuck.Add(-1)
	})
	return func() {
		close(ended)
		cancel()
	}
}
