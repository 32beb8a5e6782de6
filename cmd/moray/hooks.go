package main

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"

	"github.com/kaizengarden/moray/core/config"
	"github.com/kaizengarden/moray/core/server"
	"github.com/kaizengarden/moray/hooks"
	"github.com/kaizengarden/moray/plugins/changelog"
	"github.com/kaizengarden/moray/plugins/js"
)

// builtIn are the plugins that are part of this program. They run in processes of their own too.
var builtIn = map[string]struct {
	serve     func()
	maxMemory uint64 // bytes, if the configuration does not say
}{
	"changelog": {changelog.Serve, 0},
	"js":        {js.Serve, 512 << 20},
}

// newHooks returns what makes the hooks of a server with these plugins and those that are built in. change, if it is not nil, has the
// last word.
func newHooks(plugins []config.Plugin, change func(*hooks.Config) error) func(server.HookSettings) (server.Hooks, error) {
	return func(s server.HookSettings) (server.Hooks, error) {
		c := hooks.Config{MessageBytes: s.MessageBytes, Version: version(), Log: s.Log, Metrics: s.Metrics}
		var err error
		if c.Plugins, err = registered(plugins); err != nil {
			return nil, err
		}
		if change != nil {
			if err := change(&c); err != nil {
				return nil, err
			}
		}
		return hooks.New(c)
	}
}

// registered returns the plugins that a server runs.
func registered(plugins []config.Plugin) (all []hooks.PluginConfig, err error) {
	named := map[string]config.Plugin{}
	for name := range builtIn {
		named[name] = config.Plugin{Name: name, Enabled: true}
	}
	for _, p := range plugins {
		named[p.Name] = p
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		p := named[name]
		if !p.Enabled {
			continue
		}
		c := hooks.PluginConfig{
			Name: name, Command: p.Command, Args: p.Args, SHA256: p.SHA256, Env: p.Env, PassEnv: p.PassEnv,
			Timeout: p.Timeout, Concurrency: p.Concurrency, Slow: p.Slow,
			Limits: hooks.Limits{Memory: p.MaxMemory, OpenFiles: p.MaxOpenFiles, AddressSpace: p.MaxAddressSpace},
		}
		if c.Command == "" {
			own, ok := builtIn[name]
			if !ok {
				return nil, fmt.Errorf("config.plugins.%s should have required property 'command'", name)
			}
			c.Command, c.Args = itself(), []string{"plugin", "serve", name}
			if !p.MemorySet {
				c.Limits.Memory = own.maxMemory
			}
		}
		all = append(all, c)
	}
	return all, nil
}

// itself is this program, as a command. On Linux it is the file that runs even after another version was installed in its place: the
// two halves of a built-in plugin belong together.
func itself() string {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe"
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}
