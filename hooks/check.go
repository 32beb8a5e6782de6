package hooks

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/status"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// checkTimeout is how long the check of a definition may take in a plugin, if its hooks may not take longer.
const checkTimeout = 5 * time.Second

// bound is a binding of a definition that is being checked.
type bound struct {
	phase   wire.Phase
	trigger *bucket.Trigger
	path    string // in the definition
}

// Check implements bucket.Triggers. Each plugin is asked once, about all of its bindings: those of post come first, as in the
// original's checks.
func (m *Manager) Check(ctx context.Context, name string, post, pre []bucket.Trigger) error {
	var order []string
	of := map[string][]bound{}
	for _, list := range []struct {
		name     string
		phase    wire.Phase
		triggers []bucket.Trigger
	}{{"post", wire.Phase_POST, post}, {"pre", wire.Phase_PRE, pre}} {
		for i := range list.triggers {
			t := &list.triggers[i]
			if of[t.Plugin] == nil {
				order = append(order, t.Plugin)
			}
			of[t.Plugin] = append(of[t.Plugin], bound{list.phase, t, fmt.Sprintf("bucket.%s[%d]", list.name, i)})
		}
	}
	for _, plugin := range order {
		if err := m.check(ctx, name, plugin, of[plugin]); err != nil {
			return err
		}
	}
	return nil
}

// check asks one plugin about a bucket.
func (m *Manager) check(ctx context.Context, name, plugin string, bindings []bound) error {
	p := m.plugins[plugin]
	if p == nil {
		return fault.New(fault.InvalidBucketConfig, "%s: %s", bindings[0].path, unknown("plugin", plugin, m.names()))
	}
	limit, cancel := context.WithTimeout(ctx, max(checkTimeout, p.config.Timeout))
	defer cancel()
	deadline, _ := limit.Deadline()
	g, err := p.running(ctx, deadline)
	if err != nil {
		return p.cannotCheck(name, err.Error())
	}
	request := &wire.CheckRequest{Bucket: name}
	for _, b := range bindings {
		hook := g.hooks[b.trigger.Hook]
		switch {
		case hook == nil:
			return fault.New(fault.InvalidBucketConfig, "%s: plugin %s: %s", b.path, plugin, unknown("hook", b.trigger.Hook, g.hookNames()))
		case !slices.Contains(hook.GetPhases(), b.phase):
			return fault.New(fault.InvalidBucketConfig, "%s: hook %s/%s cannot be bound there", b.path, plugin, b.trigger.Hook)
		}
		request.Bindings = append(request.Bindings, &wire.CheckRequest_Bound{
			Phase: b.phase, Binding: &wire.Binding{Hook: b.trigger.Hook, Config: b.trigger.Config},
		})
	}
	result, err := g.calls.Check(limit, request)
	if err != nil {
		p.suspected(g)
		return p.cannotCheck(name, status.Convert(err).Message())
	}
	if r := result.GetRejection(); r != nil {
		return refusal(p.Name, bindings, result)
	}
	return p.replaceConfigs(name, bindings, result.GetConfigs())
}

func (p *Plugin) cannotCheck(bucket, reason string) error {
	return fault.New(fault.HookUnavailable, "plugin %s cannot check its hooks of bucket %s: %s", p.Name, bucket, reason).
		With("plugin", p.Name, "bucket", bucket)
}

// refusal is the error of a definition that the plugin refuses. One with a name of its own goes to the client as it is.
func refusal(plugin string, bindings []bound, result *wire.CheckResult) error {
	r := result.GetRejection()
	f, err := rejection(r, fault.InvalidBucketConfig)
	if err != nil {
		return fault.New(fault.HookUnavailable, "plugin %s: %v", plugin, err)
	}
	if i := int(result.GetBinding()); r.GetName() == "" && result.Binding != nil && i < len(bindings) {
		f.Message = fmt.Sprintf("%s: hook %s/%s: %s", bindings[i].path, plugin, bindings[i].trigger.Hook, f.Message)
	}
	return f
}

// replaceConfigs takes over the configurations that the plugin wants to be stored.
func (p *Plugin) replaceConfigs(name string, bindings []bound, configs [][]byte) error {
	if len(configs) == 0 {
		return nil
	}
	if len(configs) != len(bindings) {
		return p.cannotCheck(name, fmt.Sprintf("it answers %d configurations for %d bindings", len(configs), len(bindings)))
	}
	for i, text := range configs {
		t := bindings[i].trigger
		if len(text) == 0 && !t.Source {
			t.Config = nil
			continue
		}
		v, err := jsvalue.Parse(text)
		if err == nil && t.Source && v.Kind() != jsvalue.KindString {
			err = fmt.Errorf("%.40s is no string", v)
		}
		if err != nil {
			return p.cannotCheck(name, fmt.Sprintf("the configuration that it answers: %v", err))
		}
		t.Config = jsvalue.Sanitize(jsvalue.AppendPrinted(nil, v))
	}
	return nil
}
