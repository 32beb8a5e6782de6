package hooks

import (
	"fmt"
	"strconv"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// plan is the hooks of one definition of a bucket, ready to be called. It does not change.
type plan struct {
	pre, post []*group
	schema    []byte // JSON object of the indexes
}

// group is consecutive hooks of one plugin, which travel in one call.
type group struct {
	plugin   *Plugin // nil if there is none of the name
	triggers []bucket.Trigger
	bindings []*wire.Binding
	places   []place
	metrics  []*hookMetrics
	timeouts []time.Duration
}

// planOf returns the plan of b, which is made once.
func (m *Manager) planOf(b *bucket.Bucket) *plan {
	return b.Memo(bucket.Hooks, func(b *bucket.Bucket) any {
		return &plan{pre: m.groups(b, "pre", b.Pre), post: m.groups(b, "post", b.Post), schema: schema(b)}
	}).(*plan)
}

func (m *Manager) groups(b *bucket.Bucket, phase string, triggers []bucket.Trigger) (groups []*group) {
	for i := range triggers {
		t := &triggers[i]
		if i == 0 || t.Plugin != triggers[i-1].Plugin {
			groups = append(groups, &group{plugin: m.plugins[t.Plugin]})
		}
		g := groups[len(groups)-1]
		timeout, counted := defaultTimeout, (*pluginMetrics)(nil)
		if g.plugin != nil {
			timeout, counted = g.plugin.timeout(t), g.plugin.metrics
		}
		at := place{plugin: t.Plugin, hook: t.Hook, phase: phase, bucket: b.Name}
		g.triggers = append(g.triggers, *t)
		g.places = append(g.places, at)
		g.metrics = append(g.metrics, m.metrics.hook(&at, counted))
		g.timeouts = append(g.timeouts, timeout)
		g.bindings = append(g.bindings, &wire.Binding{
			Hook: t.Hook, Config: t.Config, TimeoutMs: timeout.Milliseconds(),
			Definition: m.life + "/" + b.ID(),
			Id:         fmt.Sprintf("%s/%s/%s/%d", m.life, b.ID(), phase, i),
		})
	}
	return groups
}

// schema returns the indexes of a bucket as its definition writes them.
func schema(b *bucket.Bucket) []byte {
	text := []byte{'{'}
	for i := range b.Columns {
		c := &b.Columns[i]
		if i > 0 {
			text = append(text, ',')
		}
		text = jsvalue.AppendString(text, c.Name)
		text = jsvalue.AppendString(append(text, `:{"type":`...), c.Type.String())
		if c.Unique {
			text = strconv.AppendBool(append(text, `,"unique":`...), true)
		}
		text = append(text, '}')
	}
	return append(text, '}')
}

// needs is what the hooks of a group want of an event, as the running process describes them.
type needs struct {
	value, schema, previous bool
}

func (g *group) needs(hooks map[string]*wire.Hook, from int) (n needs) {
	for _, b := range g.bindings[from:] {
		h := hooks[b.Hook]
		n.value = n.value || !h.GetWithoutValue()
		n.schema = n.schema || h.GetWantsSchema()
		n.previous = n.previous || h.GetWantsPrevious()
	}
	return n
}

// WantsPrevious implements object.Triggers. Of a plugin that never ran nothing is known, so it gets all.
func (m *Manager) WantsPrevious(b *bucket.Bucket) bool {
	plan := m.planOf(b)
	for _, groups := range [][]*group{plan.pre, plan.post} {
		for _, g := range groups {
			if g.plugin == nil {
				continue
			}
			hooks := g.plugin.knownHooks()
			if hooks == nil || g.needs(hooks, 0).previous {
				return true
			}
		}
	}
	return false
}

// Pure implements object.Triggers. Of a plugin that never ran nothing is known, so its hooks are not.
func (m *Manager) Pure(b *bucket.Bucket) bool {
	for _, g := range m.planOf(b).pre {
		if g.plugin == nil || !g.pure(g.plugin.knownHooks()) {
			return false
		}
	}
	return true
}

// pure reports whether all hooks of the group are pure, as the process describes them.
func (g *group) pure(hooks map[string]*wire.Hook) bool {
	for _, b := range g.bindings {
		if h := hooks[b.Hook]; !h.GetPure() || h.GetWantsPrevious() {
			return false
		}
	}
	return true
}

// knownHooks returns what hooks the plugin has, or nil if it never ran.
func (p *Plugin) knownHooks() map[string]*wire.Hook {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		return nil
	}
	return p.known.hooks
}
