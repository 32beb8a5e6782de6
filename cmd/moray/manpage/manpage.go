// Package manpage writes manual pages of a cobra command line: a page a command, from the same texts that --help prints.
//
// Cobra's own generator takes those texts for Markdown, which they are not, and leaves out the names of options' values.
package manpage

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Tree is a command line to be documented.
type Tree struct {
	Root    *cobra.Command
	Version string // of the program, shown at the foot of each page
	// Help returns the whole help text of a command that reads its options itself, or "".
	Help func(*cobra.Command) string
}

// WriteDir writes a page, such as moray-serve.1, for each command into dir, which it creates. Commands that are hidden have none.
func (t Tree) WriteDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return t.writeDir(t.Root, dir)
}

func (t Tree) writeDir(c *cobra.Command, dir string) error {
	var page bytes.Buffer
	t.Write(&page, c)
	if err := os.WriteFile(filepath.Join(dir, name(c)+".1"), page.Bytes(), 0o644); err != nil {
		return err
	}
	for _, sub := range documented(c) {
		if err := t.writeDir(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

// Write writes the page of one command. It has no date, so that it is the same whenever it is made.
func (t Tree) Write(w io.Writer, c *cobra.Command) {
	p := page{w}
	p.line(`.TH "%s" "1" "" "moray %s" "moray"`, escape(strings.ToUpper(name(c))), escape(t.Version))
	p.line(`.SH NAME`)
	p.line(`%s \- %s`, escape(name(c)), escape(c.Short))
	if help := t.Help(c); help != "" {
		usage, rest, _ := strings.Cut(help, "\n")
		_, rest, _ = strings.Cut(rest, "\n") // the summary, which stands above
		p.synopsis(strings.TrimPrefix(usage, "usage: "))
		p.line(`.SH DESCRIPTION`)
		p.body(c.Short + ".\n" + rest)
	} else {
		p.command(c)
	}
	p.seeAlso(c)
}

// command writes what cobra knows of a command.
func (p page) command(c *cobra.Command) {
	usage := c.UseLine()
	if !c.Runnable() {
		usage = c.CommandPath() + " [command]"
	}
	p.synopsis(usage)
	p.line(`.SH DESCRIPTION`)
	if c.Long != "" {
		p.body(c.Long)
	} else {
		p.body(c.Short + ".")
	}
	groups := append(c.Groups(), &cobra.Group{Title: "Commands"})
	for _, g := range groups {
		var heading bool
		for _, sub := range documented(c) {
			if sub.GroupID != g.ID {
				continue
			}
			if !heading {
				p.heading(strings.TrimSuffix(g.Title, ":"))
				heading = true
			}
			p.item(bold(name(sub))+"(1)", escape(sub.Short))
		}
	}
	p.options("Options", c.NonInheritedFlags())
	p.options("Options of all commands", c.InheritedFlags())
	if c.Example != "" {
		p.body("Examples:\n" + c.Example)
	}
}

func (p page) options(heading string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	p.heading(heading)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		tag := bold("--" + f.Name)
		if f.Shorthand != "" {
			tag = bold("-"+f.Shorthand) + ", " + tag
		}
		if value != "" && f.NoOptDefVal == "" {
			tag += " " + italic(value)
		}
		switch f.DefValue {
		case "", "0", "0s", "false", "[]":
		default:
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		p.item(tag, escape(usage))
	})
}

// seeAlso names the command above and those beside it, or those below.
func (p page) seeAlso(c *cobra.Command) {
	var names []string
	if c.HasParent() {
		names = append(names, name(c.Parent()))
	}
	for _, sub := range documented(c) {
		names = append(names, name(sub))
	}
	if len(names) == 0 {
		return
	}
	p.line(`.SH "SEE ALSO"`)
	for i, n := range names {
		end := ","
		if i == len(names)-1 {
			end = ""
		}
		p.line(`.BR %s (1)%s`, escape(n), end)
	}
}

// documented returns the commands below c that have a page.
func documented(c *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && !sub.IsAdditionalHelpTopicCommand() {
			all = append(all, sub)
		}
	}
	return all
}

// name is that of a command's page.
func name(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }
