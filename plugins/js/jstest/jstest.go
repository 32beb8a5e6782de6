// Package jstest gives a server in a test the plugin that runs JavaScript triggers, in a process of its own: the program of the test,
// run again.
package jstest

import (
	"os"

	"github.com/kaizengarden/moray/core/server"
	"github.com/kaizengarden/moray/hooks"
	"github.com/kaizengarden/moray/plugins/js"
)

// argument makes the program of the test the plugin.
const argument = "serve-js-plugin"

// Serve runs the plugin, and does not return, in a process that was started to be it. It comes first in TestMain.
func Serve() {
	if len(os.Args) == 2 && os.Args[1] == argument {
		js.Serve()
		os.Exit(0)
	}
}

// Hooks makes the hooks of a server that has this plugin and no other.
func Hooks(s server.HookSettings) (server.Hooks, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return hooks.New(hooks.Config{
		Plugins: []hooks.PluginConfig{{
			Name: "js", Command: path, Args: []string{argument}, Limits: hooks.Limits{Memory: 512 << 20},
		}},
		MessageBytes: s.MessageBytes, Version: "test", Log: s.Log, Metrics: s.Metrics,
	})
}
