package hooks

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// Trial is a plugin that runs without a server, for its author to look at. [Trial.Close] ends it.
type Trial struct {
	Version string
	Hooks   []TriedHook // in the order of their names
	SHA256  string      // of the program
	Took    time.Duration

	plugin     *Plugin
	generation *generation
	dir        string
}

// TriedHook is what a plugin says of one of its hooks.
type TriedHook struct {
	Name, Summary string
	Phases        []string
	Wants         []string // beside the object: previous, schema; "no value", "no transaction"
}

// Try starts a plugin as a server does. What it logs goes to log.
func Try(ctx context.Context, c PluginConfig, log *slog.Logger) (t *Trial, err error) {
	if c.Name == "" {
		c.Name = "trial"
	}
	m, err := New(Config{Plugins: []PluginConfig{c}, Log: log})
	if err != nil {
		return nil, err
	}
	t = &Trial{plugin: m.plugins[c.Name]}
	path, err := lookUp(c.Command)
	if err != nil {
		return nil, err
	}
	if t.SHA256, err = fileSum(path); err != nil {
		return nil, err
	}
	if t.dir, err = os.MkdirTemp("", "moray-try-"); err != nil {
		return nil, err
	}
	m.settings.dir = t.dir
	if t.generation, err = t.plugin.launch(ctx, 1); err != nil {
		return nil, fmt.Errorf("%w%s", err, t.remove())
	}
	t.Version, t.Took = t.generation.version, time.Since(t.generation.started)
	for _, name := range t.generation.hookNames() {
		t.Hooks = append(t.Hooks, describe(t.generation.hooks[name]))
	}
	return t, nil
}

func describe(h *wire.Hook) TriedHook {
	d := TriedHook{Name: h.GetName(), Summary: h.GetSummary()}
	if slices.Contains(h.GetPhases(), wire.Phase_PRE) {
		d.Phases = append(d.Phases, "pre")
	}
	if slices.Contains(h.GetPhases(), wire.Phase_POST) {
		d.Phases = append(d.Phases, "post")
	}
	if h.GetWantsPrevious() {
		d.Wants = append(d.Wants, "previous")
	}
	if h.GetWantsSchema() {
		d.Wants = append(d.Wants, "schema")
	}
	if h.GetWithoutValue() {
		d.Wants = append(d.Wants, "no value")
	}
	if h.GetPure() {
		d.Wants = append(d.Wants, "no transaction")
	}
	return d
}

// Conn returns the connection to the plugin.
func (t *Trial) Conn() grpc.ClientConnInterface { return t.generation.conn }

// Close ends the plugin and says how that went: the error is not nil if it had to be killed.
func (t *Trial) Close() error {
	began := time.Now()
	t.generation.stop(t.plugin)
	t.remove()
	if reason := t.generation.process.reason; reason != "" {
		return fmt.Errorf("killed after %v: %s", time.Since(began).Round(time.Millisecond), reason)
	}
	return nil
}

// remove removes the directory, and returns a text for the end of an error.
func (t *Trial) remove() string {
	if err := os.RemoveAll(t.dir); err != nil {
		return "; " + err.Error()
	}
	return ""
}
