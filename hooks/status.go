package hooks

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// Status is what is known of a plugin at one moment.
type Status struct {
	Name     string
	State    State
	PID      int // 0 while it is not running
	Started  time.Time
	Version  string
	Hooks    []string
	Restarts uint64
	Events   int // under way
	Sessions int // open
	Calls    uint64
	Errors   uint64 // calls that failed for a reason of the plugin's own
	Memory   uint64 // bytes in use
	Err      error  // why it is not running
}

// Status returns what is known of the plugin.
func (p *Plugin) Status() Status {
	p.mu.Lock()
	g := p.current
	s := Status{Name: p.Name, State: p.state, Restarts: p.restarts, Err: p.last}
	p.mu.Unlock()
	s.Events, s.Calls, s.Errors = len(p.slots), p.metrics.calls.Load(), p.metrics.errors.Load()
	if g != nil {
		s.PID, s.Started, s.Version, s.Hooks, s.Sessions = g.process.pid(), g.started, g.version, g.hookNames(), int(g.open.Load())
		if n, err := residentBytes(s.PID); err == nil {
			s.Memory = n
		}
	}
	return s
}

// Statuses returns what is known of the plugins, in the order of their names.
func (m *Manager) Statuses() []Status {
	var all []Status
	for _, name := range m.names() {
		all = append(all, m.plugins[name].Status())
	}
	return all
}

// Ready returns an error until each plugin runs or was tried to be started. Afterwards a plugin that is down is no reason to take the
// server out of use: most buckets have no hooks.
func (m *Manager) Ready(context.Context) error {
	var starting []string
	for _, name := range m.names() {
		p := m.plugins[name]
		p.mu.Lock()
		if !p.tried {
			starting = append(starting, name)
		}
		p.mu.Unlock()
	}
	if len(starting) > 0 {
		return fmt.Errorf("plugins are being started: %s", strings.Join(starting, ", "))
	}
	return nil
}

// Impaired says which plugins are not running and why; it is empty if all are.
func (m *Manager) Impaired() string {
	var down []string
	for _, s := range m.Statuses() {
		if s.State != Running {
			down = append(down, fmt.Sprintf("plugin %s is %s: %v", s.Name, s.State, s.Err))
		}
	}
	return strings.Join(down, "; ")
}

// Kang returns the plugins as objects for the kang snapshot, by name.
func (m *Manager) Kang() map[string]jsvalue.Value {
	all := map[string]jsvalue.Value{}
	for _, s := range m.Statuses() {
		all[s.Name] = s.appendTo(nil)
	}
	return all
}

func (s *Status) appendTo(dst []byte) []byte {
	text := func(name, value string) {
		dst = jsvalue.AppendString(append(jsvalue.AppendString(append(dst, ','), name), ':'), value)
	}
	number := func(name string, value uint64) {
		dst = strconv.AppendUint(append(jsvalue.AppendString(append(dst, ','), name), ':'), value, 10)
	}
	dst = jsvalue.AppendString(append(dst, `{"name":`...), s.Name)
	text("state", string(s.State))
	number("pid", uint64(s.PID))
	text("version", s.Version)
	if !s.Started.IsZero() {
		text("started", s.Started.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	dst = append(dst, `,"hooks":[`...)
	for i, name := range s.Hooks {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsvalue.AppendString(dst, name)
	}
	dst = append(dst, ']')
	number("restarts", s.Restarts)
	number("events", uint64(s.Events))
	number("sessions", uint64(s.Sessions))
	number("calls", s.Calls)
	number("errors", s.Errors)
	number("memory", s.Memory)
	if s.Err != nil {
		text("error", s.Err.Error())
	}
	return append(dst, '}')
}
