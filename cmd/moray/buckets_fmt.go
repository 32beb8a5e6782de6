package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/core/reconcile"
)

func bucketsFmtCommand() *cobra.Command {
	var dir string
	var check bool
	cmd := &cobra.Command{
		Use:   "fmt [FILE...]",
		Short: "Bring files of definitions into the canonical form",
		Long: `Rewrite files of definitions in the canonical form: known keys in the order of the documentation, two blanks of
indentation, an index a line. Comments stay. The names of files that change are printed.

A file with problems, or with comments where they would be lost, is left as it is.`,
		Example: "  moray buckets fmt\n  moray buckets fmt --check          exit status 2 if a file would change",
		RunE: func(cmd *cobra.Command, files []string) error {
			if len(files) == 0 {
				var err error
				if files, err = definitionFiles(dir); err != nil {
					return err
				}
			}
			changed := false
			var failures []error
			for _, name := range files {
				switch differs, err := formatFile(name, check); {
				case err != nil:
					failures = append(failures, err)
				case differs:
					changed = true
					fmt.Fprintln(cmd.OutOrStdout(), name)
				}
			}
			switch {
			case failures != nil:
				return errors.Join(failures...)
			case changed && check:
				return &exit{status: exitChanges}
			}
			return nil
		},
	}
	dirFlag(cmd, &dir)
	cmd.Flags().BoolVar(&check, "check", false, "change nothing")
	return cmd
}

// definitionFiles returns the files of definitions below a directory.
func definitionFiles(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch hidden := strings.HasPrefix(d.Name(), ".") && path != dir; {
		case hidden && d.IsDir():
			return fs.SkipDir
		case !hidden && reconcile.IsDefinition(path):
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

// formatFile formats a file, and reports whether it was in another form.
func formatFile(name string, check bool) (differs bool, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	formatted, err := reconcile.Format(name, text)
	if err != nil || bytes.Equal(formatted, text) {
		return false, err
	}
	if check {
		return true, nil
	}
	return true, replaceFile(name, formatted)
}

// replaceFile writes a file at once or not at all.
func replaceFile(name string, text []byte) error {
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(name); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".moray-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
