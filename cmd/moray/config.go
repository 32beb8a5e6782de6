package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/config"
	"github.com/kaizengarden/moray/schemas"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "The server's configuration: check, print and explain it",
		Long: `The server's configuration is a file in JSON or YAML, variables of the environment (MORAY_CONFIG__FAST__MAXINFLIGHT
is fast.maxInFlight), and the command line; what comes later counts.`,
		Example: "  moray config check -f /etc/moray/config.json\n  moray config explain standalone.pg",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(configCheckCommand(), configPrintCommand(), configSchemaCommand(), configExplainCommand())
	return cmd
}

func configCheckCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check -f config.json",
		Short: "Check a configuration file",
		Long: `Check a configuration file, with the variables of the environment. Everything that is wrong is named, one problem a line,
and then the exit status is 1. What has no effect, or an unusual one, is a warning. Nothing is connected to.`,
		Example: "  moray config check -f /etc/moray/config.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, warnings, err := config.Load(file)
			if invalid := (*config.InvalidError)(nil); errors.As(err, &invalid) {
				for _, problem := range invalid.Problems {
					fmt.Fprintln(cmd.OutOrStdout(), problem)
				}
				return fmt.Errorf("%s: %s", file, count(len(invalid.Problems), "problem"))
			}
			if err != nil {
				return err
			}
			for _, w := range warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+w)
			}
			fmt.Fprintln(cmd.OutOrStdout(), file+": valid")
			return nil
		},
	}
	configFileFlag(cmd, &file)
	return cmd
}

func configPrintCommand() *cobra.Command {
	var file, output string
	cmd := &cobra.Command{
		Use:   "print -f config.json",
		Short: "Print what counts, and where it comes from",
		Long: `Print the configuration with all defaults filled in and the variables of the environment applied. Passwords are hidden.
In YAML a comment tells what is not from the file: "default", or the variable's name.`,
		Example: "  moray config print -f /etc/moray/config.json\n  MORAY_CONFIG__PORT=2021 moray config print -f config.json -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := config.Load(file)
			if err != nil {
				return err
			}
			print := c.YAML
			switch output {
			case "yaml":
			case "json":
				print = func() ([]byte, error) {
					text, err := c.JSON()
					return append(text, '\n'), err
				}
			default:
				return fmt.Errorf("--output %s: should be yaml or json", output)
			}
			text, err := print()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	configFileFlag(cmd, &file)
	cmd.Flags().StringVarP(&output, "output", "o", "yaml", "`form`: yaml or json")
	return cmd
}

func configFileFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "file", "f", "", "configuration `file` (JSON or YAML)")
	if err := cmd.MarkFlagRequired("file"); err != nil {
		panic(err)
	}
}

func configSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of the configuration file, for editors",
		Long:    `Print the JSON Schema (draft 2020-12) of the server's configuration file.`,
		Example: "  moray config schema > server.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), schemas.Server)
			return err
		},
	}
}

func configExplainCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "explain [key]",
		Short:   "Say what a key of the configuration means",
		Long:    `Say what a key means, its default, its unit and its variable; of a section, the keys in it. Without a key, list all.`,
		Example: "  moray config explain\n  moray config explain standalone.pg.maxConnections",
		Args:    cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) (names []string, _ cobra.ShellCompDirective) {
			for _, k := range config.Keys() {
				names = append(names, k.Name())
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listKeys(cmd.OutOrStdout(), config.Keys())
			}
			k, err := config.FindKey(args[0])
			if err != nil {
				return err
			}
			return explain(cmd.OutOrStdout(), &k)
		},
	}
}

// listKeys prints a line for each key, with the first sentence of its description.
func listKeys(w io.Writer, keys []config.Key) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, k := range keys {
		first, _, _ := strings.Cut(k.Description, ". ")
		fmt.Fprintf(table, "%s\t%s\n", k.Name(), strings.TrimSuffix(first, "."))
	}
	return table.Flush()
}

func explain(w io.Writer, k *config.Key) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", k.Name(), k.Description)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, value)
		}
	}
	line("type", k.Type)
	line("range", k.Range)
	line("unit", k.Unit)
	line("default", k.Default)
	line("examples", strings.Join(k.Examples, "  "))
	line("required", yesNo(k.Required))
	line("at a reload", map[bool]string{true: "changes count at once", false: "changes need a restart"}[k.Reloadable])
	line("variable", k.Variable())
	if err := table.Flush(); err != nil {
		return err
	}
	if members := k.Members(); len(members) > 0 {
		b.WriteString("\n")
		if err := listKeys(&b, members); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
