// Package hooks runs the hooks of buckets in plugins: programs of their own, which cannot take the server down.
//
// [Manager] is what the object and bucket operations call; it knows which hooks a bucket binds, passes events to them in the order of
// the definition, and serves the SQL that they run in the event's transaction. A [Plugin] supervises the processes of one program:
// starts them again when they end, ends them when they do not answer or use too much memory. The contract between the server and a
// plugin is internal/wire/hook.proto; plugins in Go are made with the package sdk.
//
// The handshake and the connection are hashicorp/go-plugin's. The process is ours, see DESIGN.md.
package hooks

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sort"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kaizengarden/moray/core/bucket"
)

// Config is what a [Manager] is made of.
type Config struct {
	Plugins []PluginConfig
	// SocketDir is where directories for sockets are made; empty for a place in the directory for temporary files.
	SocketDir string
	// MessageBytes is the longest value of an object: the longest message of a client.
	MessageBytes int
	Version      string // of the server, for plugins to know
	Log          *slog.Logger
	Metrics      prometheus.Registerer // nil for none

	// The pace of the supervisor, for tests; zero stands for what is usual.
	StartTimeout   time.Duration // from the start of a program to its handshake
	HealthInterval time.Duration // between looks at the health of a plugin
	HealthTimeout  time.Duration // for its answer
	LongestPause   time.Duration // between two starts of a plugin that ends again and again
}

// PluginConfig says how to run one plugin.
type PluginConfig struct {
	Name    string // under which buckets name it
	Command string // an absolute path, or a name to be found in PATH
	Args    []string
	SHA256  string            // of the program, in hex; empty for any
	Env     map[string]string // beside PATH and LANG
	PassEnv []string          // names of variables that it gets from the server's environment

	Timeout     time.Duration // of a hook whose binding does not say; 0: 1 s, and 30 s for a plain JavaScript trigger
	Concurrency int           // how many events may be under way at once; 0: 64
	Slow        time.Duration // a hook that takes longer is logged; 0: 250 ms
	Limits      Limits

	// Reload starts the plugin again when the file of its program changes. It is for development: events under way fail.
	Reload bool
	// Attach is for debugging: while this file is there, the process that wrote it is the plugin, and none is started. Its hooks may
	// take as long as somebody looks at them. See [sdk.Serve].
	Attach string
}

// Limits bound what a plugin may use. 0 stands for no bound.
type Limits struct {
	Memory       uint64 // bytes in use; a process that has more is killed
	OpenFiles    uint64
	AddressSpace uint64 // bytes; not for programs in Go, which reserve much more than they use
}

// settings are what all plugins of a manager share.
type settings struct {
	Config
	dir string // of the sockets
}

// slack is how much longer than a value a message of a plugin may be.
const slack = 1 << 20

func (s *settings) messageBytes() int { return s.MessageBytes + slack }

const (
	defaultTimeout     = time.Second
	sourceTimeout      = 30 * time.Second // of a trigger of the original, which had no bound
	defaultConcurrency = 64
	defaultSlow        = 250 * time.Millisecond
	defaultMessage     = 64 << 20
)

// Manager runs the hooks of a server. It is safe for concurrent use.
type Manager struct {
	settings *settings
	log      *slog.Logger
	plugins  map[string]*Plugin
	metrics  *metrics
	life     string // stands for this manager in the ids of bindings
}

// New makes a manager. Nothing is started before Run.
func New(c Config) (*Manager, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	defaults(&c.StartTimeout, 10*time.Second)
	defaults(&c.HealthInterval, 3*time.Second)
	defaults(&c.HealthTimeout, 5*time.Second)
	defaults(&c.LongestPause, 30*time.Second)
	defaults(&c.MessageBytes, defaultMessage)
	m := &Manager{settings: &settings{Config: c}, log: c.Log, plugins: map[string]*Plugin{}, metrics: newMetrics(c.Metrics), life: rand.Text()}
	for _, pc := range c.Plugins {
		switch {
		case !bucket.IsHookName(pc.Name):
			return nil, fmt.Errorf("%q is no name of a plugin: letters, digits, dots, dashes and underscores", pc.Name)
		case m.plugins[pc.Name] != nil:
			return nil, fmt.Errorf("there are two plugins called %s", pc.Name)
		case pc.Command == "":
			return nil, fmt.Errorf("plugin %s has no command", pc.Name)
		}
		defaults(&pc.Concurrency, defaultConcurrency)
		defaults(&pc.Slow, defaultSlow)
		log := c.Log.With("component", "hooks", "plugin", pc.Name)
		m.plugins[pc.Name] = &Plugin{
			Name: pc.Name, config: pc, settings: m.settings, log: log, lines: newLines(log),
			slots: make(chan struct{}, pc.Concurrency), metrics: m.metrics.of(pc.Name), suspect: make(chan struct{}, 1),
			changed: make(chan struct{}), state: Starting,
		}
	}
	m.metrics.watch(m)
	return m, nil
}

func defaults[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}

// Run starts the plugins and keeps them running until ctx ends. It returns when their processes are gone.
func (m *Manager) Run(ctx context.Context) error {
	dir, release, err := makeSocketDir(m.settings.SocketDir)
	if err != nil {
		return fmt.Errorf("make a directory for the sockets of plugins: %w", err)
	}
	defer release()
	m.settings.dir = dir
	var all sync.WaitGroup
	for _, p := range m.plugins {
		all.Go(func() { p.run(ctx) })
	}
	all.Wait()
	<-ctx.Done()
	return nil
}

// names returns the names of the plugins, in order.
func (m *Manager) names() []string {
	names := make([]string, 0, len(m.plugins))
	for name := range m.plugins {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// timeout returns how long a hook may take.
func (p *Plugin) timeout(t *bucket.Trigger) time.Duration {
	switch {
	case t.Timeout > 0:
		return t.Timeout
	case p.config.Timeout > 0:
		return p.config.Timeout
	case t.Source:
		return sourceTimeout
	}
	return defaultTimeout
}
