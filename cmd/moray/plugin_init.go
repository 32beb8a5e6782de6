package main

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/bucket"
)

// The files of a new plugin. NAME stands for its name.
//
//go:embed skeleton
var skeleton embed.FS

func pluginInitCommand() *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use:   "init NAME",
		Short: "Make the source of a new plugin in Go",
		Long: `Make a directory with the source of a new plugin in Go: a hook that works, a test of it, events for moray plugin test.

With --source the plugin is built against a source tree of moray instead of a published version.`,
		Example: "  moray plugin init greeter\n  moray plugin init --source . /tmp/greeter",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return initPlugin(args[0], source, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "`directory` with the source of moray")
	return cmd
}

func initPlugin(dir, source string, stdout io.Writer) error {
	name := filepath.Base(dir)
	if !bucket.IsHookName(name) {
		return fmt.Errorf("%q is no name of a plugin: letters, digits, dots, dashes and underscores", name)
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	module := fmt.Sprintf("module %s\n\ngo 1.26\n", name)
	if source != "" {
		path, err := filepath.Abs(source)
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(path, "hooks", "sdk")); err != nil {
			return errors.Join(fmt.Errorf("--source %s is no source tree of moray: %w", source, err), os.Remove(dir))
		}
		module += fmt.Sprintf("\nrequire github.com/kaizengarden/moray v0.0.0\n\nreplace github.com/kaizengarden/moray => %s\n", path)
	}
	files := map[string]string{"go.mod": module, ".gitignore": "/" + name + "\n"}
	for _, file := range []string{"main.go", "main_test.go", "fixtures.yaml"} {
		text, err := skeleton.ReadFile("skeleton/" + file + ".txt")
		if err != nil {
			return err
		}
		files[file] = strings.ReplaceAll(string(text), "NAME", name)
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o666); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, `%s has a plugin with one hook, slug. Next:
  cd %s
  go mod tidy && go test . && go build .
  moray plugin verify ./%s
  moray plugin test fixtures.yaml
`, dir, dir, name)
	return nil
}
