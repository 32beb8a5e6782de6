package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/bunyan"
	"github.com/kaizengarden/moray/hooks"
)

// trialFlags are what it takes to run a plugin by hand.
type trialFlags struct {
	env     map[string]string
	verbose int
}

func (f *trialFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringToStringVar(&f.env, "env", nil, "environment `NAME=value` for the plugin; may be repeated")
	cmd.Flags().CountVarP(&f.verbose, "verbose", "v", "show more of what the plugin logs; may be repeated")
}

// start runs the program of a plugin.
func (f *trialFlags) start(ctx context.Context, command []string, stderr io.Writer) (*hooks.Trial, error) {
	path := command[0]
	if strings.ContainsRune(path, filepath.Separator) {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		path = absolute
	}
	log := slog.New(bunyan.NewText(stderr, bunyan.Options{Name: "moray", Level: bunyan.More(slog.LevelWarn, f.verbose)}))
	return hooks.Try(ctx, hooks.PluginConfig{Command: path, Args: command[1:], Env: f.env}, log)
}

func pluginVerifyCommand() *cobra.Command {
	var f trialFlags
	cmd := &cobra.Command{
		Use:   "verify PROGRAM [ARGUMENT]...",
		Short: "Start a plugin as a server would, and say what it has",
		Long: `Start a plugin as a server would: with an environment of its own and nothing of the caller's. Shows what hooks it has, the
SHA-256 for the server's configuration, and whether it ends when it is asked to. What it logs is shown too.`,
		Example: "  moray plugin verify bin/moray-plugin-example",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := f.start(cmd.Context(), args, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			printTrial(cmd.OutOrStdout(), args, t)
			if err := t.Close(); err != nil {
				return fmt.Errorf("it does not end when it is asked to (GRPCController.Shutdown, then SIGTERM): %w", err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "ends when it is asked to")
			return nil
		},
	}
	cmd.Flags().SetInterspersed(false)
	f.register(cmd)
	return cmd
}

func printTrial(w io.Writer, args []string, t *hooks.Trial) {
	fmt.Fprintf(w, "%s: version %s, started in %v\n", join(args), t.Version, t.Took.Round(time.Millisecond))
	fmt.Fprintf(w, "sha256 %s\n", t.SHA256)
	for _, h := range t.Hooks {
		line := fmt.Sprintf("hook %s (%s)", h.Name, strings.Join(h.Phases, ", "))
		if h.Summary != "" {
			line += ": " + h.Summary
		}
		if len(h.Wants) > 0 {
			line += "; wants " + strings.Join(h.Wants, ", ")
		}
		fmt.Fprintln(w, line)
	}
}
