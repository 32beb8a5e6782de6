package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/reconcile"
)

func bucketsExportCommand() *cobra.Command {
	p := planning{}
	var into string
	cmd := &cobra.Command{
		Use:   "export [NAME...]",
		Short: "Write the live buckets as definitions",
		Long: `Write the buckets of a database as definitions, those that clients or an original Moray made too. A plan for them has no
changes: this is how to begin with buckets that are there.

The definitions go to the output, or with --into each into a file of its own. Files that are there are not replaced.`,
		Example: `  moray buckets export --url postgres://moray@db.example.com/moray --into buckets.d
  moray buckets export -f config.json vmapi_vms`,
		RunE: func(cmd *cobra.Command, names []string) error {
			p.buckets = names
			planner, stop, err := p.begin(cmd)
			if err != nil {
				return err
			}
			defer stop()
			all, err := planner.Export(cmd.Context())
			if err != nil {
				return err
			}
			if into == "" {
				return writeDocuments(cmd.OutOrStdout(), all)
			}
			if err := os.MkdirAll(into, 0o755); err != nil {
				return err
			}
			for _, e := range all {
				name := filepath.Join(into, e.Bucket+".yaml")
				if err := createFile(name, append([]byte(reconcile.Modeline), e.YAML...)); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), name)
			}
			return nil
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&into, "into", "", "`directory` to write a file for each bucket into, created if it is missing")
	return cmd
}

// writeDocuments writes several documents as one file.
func writeDocuments(w io.Writer, all []reconcile.Exported) error {
	separator := reconcile.Modeline
	for _, e := range all {
		if _, err := fmt.Fprintf(w, "%s%s", separator, e.YAML); err != nil {
			return err
		}
		separator = "---\n"
	}
	return nil
}

// createFile writes a file that must not be there.
func createFile(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
