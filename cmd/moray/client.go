package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/cmd/moray/tools"
)

// The groups of commands in the help text.
const (
	serverGroup = "server"
	clientGroup = "client"
)

// toolsCommand prints what make install makes links of.
func toolsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "tools", Short: "list these tools, which also run under their own names", GroupID: clientGroup, Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			for _, tool := range tools.All {
				fmt.Fprintln(cmd.OutOrStdout(), tool.Name)
			}
		},
	}
}

// clientCommands are the tools of the stock client as subcommands. They read their options themselves, as getopt does, because
// scripts rely on that: -h is a host there.
func clientCommands() []*cobra.Command {
	var all []*cobra.Command
	for _, tool := range tools.All {
		all = append(all, &cobra.Command{
			Use:                tool.Name,
			Short:              tool.Summary,
			GroupID:            clientGroup,
			DisableFlagParsing: true,
			ValidArgsFunction:  cobra.NoFileCompletions,
			RunE: func(cmd *cobra.Command, args []string) error {
				streams := tools.Streams{In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr()}
				if status := tool.Run(cmd.Context(), args, streams); status != 0 {
					return &exit{status: status}
				}
				return nil
			},
		})
		all[len(all)-1].SetHelpFunc(func(cmd *cobra.Command, _ []string) { tool.WriteHelp(cmd.OutOrStdout()) })
	}
	return all
}
