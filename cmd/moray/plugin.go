package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func pluginCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Make, check and try plugins with hooks",
		Long: `Plugins are programs with hooks, which run before an object is written or after it was written or deleted, inside its
transaction. The tutorial is docs/hooks.md.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(pluginInitCommand(), pluginVerifyCommand(), pluginTestCommand(), pluginBenchCommand(), pluginServeCommand())
	return cmd
}

func pluginServeCommand() *cobra.Command {
	names := slices.Sorted(maps.Keys(builtIn))
	return &cobra.Command{
		Use:   "serve NAME",
		Short: "Run a built-in plugin; the server does that",
		Long:  "Run a built-in plugin: " + strings.Join(names, " or ") + ". The server starts it so; it is of no use by hand.",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, ok := builtIn[args[0]]
			if !ok {
				return fmt.Errorf("there is no built-in plugin %q; there are %s", args[0], strings.Join(names, ", "))
			}
			p.serve()
			return nil
		},
	}
}
