package hooks

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/grpc/status"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// Fire implements object.Triggers.
func (m *Manager) Fire(ctx context.Context, tx object.Tx, e *object.Event) error {
	plan := m.planOf(e.Bucket)
	groups := plan.pre
	if e.Post {
		groups = plan.post
	}
	caller := object.CallerFrom(ctx)
	f := &firing{ctx: ctx, tx: tx, event: e, plan: plan, request: caller.Request, trail: caller.Trail}
	for _, g := range groups {
		if err := f.fire(g); err != nil {
			return err
		}
	}
	return nil
}

// firing is an event on its way through the hooks of a bucket.
type firing struct {
	ctx     context.Context
	tx      object.Tx
	event   *object.Event
	plan    *plan
	request string // its id
	trail   *object.Trail
}

// fire calls the hooks of a group, in one call unless one of them fails and may fail.
func (f *firing) fire(g *group) error {
	for from := 0; from < len(g.bindings); {
		c := &call{firing: f, group: g, at: from, began: time.Now()}
		before := f.trail.Sum()
		err := c.run()
		f.trail.Nest(object.Hooks, c.began, before, g.places[from].hook)
		from = c.at + 1
		if err == nil {
			return nil
		}
		if err = c.settle(err); err != nil {
			return err
		}
	}
	return nil
}

// call is one event under way in a plugin.
type call struct {
	*firing
	group   *group
	at      int       // the position of the hook that is to answer
	began   time.Time // when that hook's time began
	session *session
	saved   bool // its SQL runs behind a savepoint
	refused []*object.Refusal
}

// run passes the event to the plugin and serves the hooks until the last has answered, or one has failed: c.at is its position.
func (c *call) run() error {
	p := c.group.plugin
	if p == nil {
		return c.place().unavailable(down, "no plugin of this name is registered at this server")
	}
	deadline := c.began.Add(c.limit())
	if err := c.enter(p, deadline); err != nil {
		return err
	}
	defer func() { <-p.slots }()
	if err := c.open(p, deadline); err != nil {
		return err
	}
	stop := c.endWith(c.ctx)
	err := c.all()
	stop()
	var hook *hookError
	if sound := c.session.sound(); sound && (err == nil || errors.As(err, &hook) && !hook.broken) {
		c.session.generation.keep(c.session)
	} else {
		c.session.drop()
	}
	return err
}

// endWith ends the session when ctx ends, which is when the server stops without patience.
func (c *call) endWith(ctx context.Context) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	undo := context.AfterFunc(ctx, func() { c.session.cancel(context.Cause(ctx)) })
	return func() { undo() }
}

// enter waits until the plugin has room for an event.
func (c *call) enter(p *Plugin, deadline time.Time) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-t.C:
		return c.place().unavailable(busy, fmt.Sprintf("%d events were under way all the time", cap(p.slots)))
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

// open sends the event over a session. That a process turns out to be gone before it took the event is no failure: there may be another
// one in time.
func (c *call) open(p *Plugin, deadline time.Time) error {
	for {
		g, err := p.running(c.ctx, deadline)
		if err != nil {
			return c.place().unavailable(down, err.Error())
		}
		if name := c.group.bindings[c.at].Hook; g.hooks[name] == nil {
			return c.place().unavailable(down, unknown("hook", name, g.hookNames()))
		}
		if c.tx == nil && !c.group.pure(g.hooks) {
			return object.ErrNeedsTx // this process is another one than that whose hooks are known to be pure
		}
		fresh, err := c.send(g, deadline)
		switch {
		case err == nil:
			return nil
		case !time.Now().Before(deadline):
			p.suspected(g)
			return c.place().late(c.limit())
		case !fresh:
			continue // it was kept from events before, and the next one may be well
		}
		end := g.ending(exitNews)
		if end == "" {
			return c.place().unavailable(exited, "it takes no event: "+status.Convert(err).Message())
		}
		if !p.replaced(c.ctx, g, deadline) {
			return c.place().unavailable(exited, "its process ended: "+end)
		}
	}
}

// send sends the event, and reports whether the session was a fresh one.
func (c *call) send(g *generation, deadline time.Time) (fresh bool, err error) {
	s, fresh, err := g.session()
	if err != nil {
		return fresh, err
	}
	s.start(time.Until(deadline))
	if g.attached {
		s.start(attachedLimit)
	}
	err = s.stream.Send(&wire.ServerMessage{Message: &wire.ServerMessage_Event{Event: c.message(g.hooks, g.attached)}})
	if err != nil {
		s.drop()
		return fresh, err
	}
	c.session = s
	return fresh, nil
}

// replaced waits until g is not the process that runs.
func (p *Plugin) replaced(ctx context.Context, g *generation, deadline time.Time) bool {
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	for {
		p.mu.Lock()
		current, changed := p.current, p.changed
		p.mu.Unlock()
		if current != g {
			return true
		}
		select {
		case <-changed:
		case <-t.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// message returns the event as the hooks from c.at on get it.
func (c *call) message(hooks map[string]*wire.Hook, attached bool) *wire.Event {
	e, needs := c.event, c.group.needs(hooks, c.at)
	bindings := c.group.bindings[c.at:]
	if attached {
		bindings = unlimited(bindings)
	}
	m := &wire.Event{
		Bindings: bindings, Phase: wire.Phase_PRE, Operation: wire.Operation_PUT,
		Bucket: e.Bucket.Name, Key: e.Key, Headers: e.Headers, Update: e.Update && !c.group.pure(hooks), RequestId: c.request,
	}
	if e.Post {
		m.Phase = wire.Phase_POST
	}
	if e.Delete {
		m.Operation = wire.Operation_DELETE
	}
	if needs.value {
		m.Value = jsvalue.Sanitize(e.Value)
	}
	if needs.previous {
		m.Previous = e.Previous
	}
	if needs.schema {
		m.Schema = c.plan.schema
	}
	if id, err := strconv.ParseInt(string(e.ID), 10, 64); err == nil {
		m.Id = &id
	}
	return m
}

func (c *call) place() *place { return &c.group.places[c.at] }

// limit returns how long the hook may take.
func (c *call) limit() time.Duration {
	if c.session != nil && c.session.generation.attached {
		return attachedLimit
	}
	return c.group.timeouts[c.at]
}

// settle counts a failure, and returns nil if the hook may fail.
func (c *call) settle(err error) error {
	var hook *hookError
	if !errors.As(err, &hook) {
		return err
	}
	c.count(hook.kind)
	p := c.place()
	attrs := []any{"hook", p.hook, "phase", p.phase, "bucket", p.bucket, "req_id", c.request, "kind", string(hook.kind), "err", hook.err}
	switch ignore := c.group.triggers[c.at].Ignore; {
	case c.group.plugin == nil:
	case hook.kind != rejected && hook.kind != refused || ignore:
		if c.group.plugin.lines.admit() {
			c.group.plugin.log.With("ignored", ignore).Warn("hook failed", attrs...)
		}
	}
	if c.group.triggers[c.at].Ignore && !hook.final {
		return nil
	}
	return hook.err
}

// count counts the end of the hook that is to answer, and logs it if it was slow.
func (c *call) count(k kind) {
	took := time.Since(c.began)
	c.group.metrics[c.at].done(k, took)
	if p := c.group.plugin; p != nil && took > p.config.Slow && p.lines.admit() {
		at := c.place()
		p.log.Warn("slow hook", "hook", at.hook, "phase", at.phase, "bucket", at.bucket, "key", c.event.Key, "req_id", c.request,
			"took", took, "outcome", string(k))
	}
}
