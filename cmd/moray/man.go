package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/cmd/moray/manpage"
	"github.com/kaizengarden/moray/cmd/moray/tools"
)

func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write the manual pages",
		Long: `Write a manual page for each command into a directory, which is created if it is missing. They are the same at each
run of one version.`,
		Example: "  moray man /usr/local/share/man/man1\n  moray man /tmp/man && man /tmp/man/moray-serve.1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			tree := manpage.Tree{Root: cmd.Root(), Version: version(), Help: toolHelp}
			if err := tree.WriteDir(args[0]); err != nil {
				return fmt.Errorf("write the manual pages: %w", err)
			}
			return nil
		},
	}
}

// toolHelp is the help of a tool of the client, which cobra knows nothing of, or "".
func toolHelp(cmd *cobra.Command) string {
	tool := tools.Find(cmd.Name())
	if tool == nil {
		return ""
	}
	var text strings.Builder
	tool.WriteHelp(&text)
	return text.String()
}
