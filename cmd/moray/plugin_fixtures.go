package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/kaizengarden/moray/hooks/sdk"
	"github.com/kaizengarden/moray/hooks/trial"
)

func pluginTestCommand() *cobra.Command {
	var f trialFlags
	cmd := &cobra.Command{
		Use:   "test FIXTURES.yaml [PROGRAM [ARGUMENT]...]",
		Short: "Run events against a plugin without a database",
		Long: `Run the events of a file against a plugin, over the same connection as in a server, and compare what it answers. There is no
database: the file says which statements a hook runs, and what they give. docs/hooks.md describes the file.`,
		Example: "  moray plugin test cmd/moray-plugin-example/fixtures.yaml bin/moray-plugin-example",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := readFixtures(args[0])
			if err != nil {
				return err
			}
			command := args[1:]
			if len(command) == 0 {
				if command = file.command(filepath.Dir(args[0])); command == nil {
					return errors.New("neither the file nor the command line names the program")
				}
			}
			return file.run(cmd.Context(), &f, command, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().SetInterspersed(false)
	f.register(cmd)
	return cmd
}

// fixtures are the events of a file.
type fixtures struct {
	Program string    `yaml:"program"` // relative to the file
	Args    []string  `yaml:"args"`
	Tests   []fixture `yaml:"tests"`
}

// fixture is an event, or without one the check of a binding, and what is to become of it.
type fixture struct {
	Name   string        `yaml:"name"`
	Hook   string        `yaml:"hook"`
	Phase  string        `yaml:"phase"` // pre by default
	Config any           `yaml:"config"`
	Event  *fixtureEvent `yaml:"event"`
	SQL    []fixtureSQL  `yaml:"sql"`
	Want   fixtureWant   `yaml:"want"`
}

type fixtureEvent struct {
	Operation string `yaml:"operation"` // put by default
	Bucket    string `yaml:"bucket"`
	Key       string `yaml:"key"`
	Value     any    `yaml:"value"`
	ID        int64  `yaml:"id"`
	Headers   any    `yaml:"headers"`
	Update    bool   `yaml:"update"`
	Previous  any    `yaml:"previous"`
	Schema    any    `yaml:"schema"`
	Request   string `yaml:"request"`
}

// fixtureSQL is a statement that the hook runs, and what it gives.
type fixtureSQL struct {
	SQL   string      `yaml:"sql"`
	Args  []yaml.Node `yaml:"args"`
	Rows  []yaml.Node `yaml:"rows"` // maps from columns to values
	Count int64       `yaml:"count"`
	Error *struct {
		Code    string `yaml:"code"`
		Message string `yaml:"message"`
	} `yaml:"error"`
}

// fixtureWant is what is compared: what is not there is not.
type fixtureWant struct {
	Key   *string `yaml:"key"`
	Value any     `yaml:"value"`
	Error *struct {
		Name    *string `yaml:"name"`
		Message *string `yaml:"message"`
		Context any     `yaml:"context"`
	} `yaml:"error"`
}

func readFixtures(path string) (*fixtures, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	var all fixtures
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i, t := range all.Tests {
		if t.Name == "" || t.Hook == "" || t.Phase != "" && t.Phase != "pre" && t.Phase != "post" {
			return nil, fmt.Errorf("%s: test %d should have a name, a hook, and perhaps a phase, pre or post", path, i+1)
		}
	}
	if len(all.Tests) == 0 {
		return nil, fmt.Errorf("%s: there are no tests", path)
	}
	return &all, nil
}

// command returns the program that the file names, or nil.
func (f *fixtures) command(dir string) []string {
	if f.Program == "" {
		return nil
	}
	program := f.Program
	if !filepath.IsAbs(program) {
		program = filepath.Join(dir, program)
	}
	if !strings.ContainsRune(program, filepath.Separator) {
		program = "./" + program // not one from PATH
	}
	return append([]string{program}, f.Args...)
}

// run runs the tests and prints a line about each.
func (f *fixtures) run(ctx context.Context, flags *trialFlags, command []string, stdout, stderr io.Writer) (err error) {
	trial, err := flags.start(ctx, command, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, trial.Close()) }()
	failed := 0
	for i := range f.Tests {
		t := &f.Tests[i]
		problems := t.run(trial.Conn())
		if len(problems) == 0 {
			fmt.Fprintf(stdout, "ok    %s\n", t.Name)
			continue
		}
		failed++
		fmt.Fprintf(stdout, "FAIL  %s\n      %s\n", t.Name, strings.Join(problems, "\n      "))
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d tests failed", failed, len(f.Tests))
	}
	fmt.Fprintf(stdout, "%d passed\n", len(f.Tests))
	return nil
}

// text returns a value of the file as JSON, empty for none.
func text(v any) string {
	if v == nil {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%q", err) // of keys that are no strings
	}
	return string(b)
}

// matches compares JSON with what the file wants, whatever the order of members.
func matches(got string, want any) bool {
	var a, b any
	return json.Unmarshal([]byte(got), &a) == nil && json.Unmarshal([]byte(text(want)), &b) == nil && reflect.DeepEqual(a, b)
}

// compare says how a result differs.
func (w *fixtureWant) compare(r *trial.Result) (problems []string) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	switch {
	case w.Error == nil && r.Err != nil:
		say("error %v, want none", r.Err)
	case w.Error != nil && r.Err == nil:
		say("no error, want one")
	case w.Error != nil:
		name, message, context := "", r.Err.Error(), ""
		if rejection := (*sdk.Rejection)(nil); errors.As(r.Err, &rejection) {
			name, message, context = rejection.Name, rejection.Message, string(rejection.Context)
		}
		if w.Error.Name != nil && name != *w.Error.Name {
			say("error name %q, want %q", name, *w.Error.Name)
		}
		if w.Error.Message != nil && message != *w.Error.Message {
			say("error message %q, want %q", message, *w.Error.Message)
		}
		if w.Error.Context != nil && !matches(context, w.Error.Context) {
			say("error context %s, want %s", context, text(w.Error.Context))
		}
	}
	if w.Key != nil && r.Key != *w.Key {
		say("key %q, want %q", r.Key, *w.Key)
	}
	if w.Value != nil && !matches(r.Value, w.Value) {
		say("value %s, want %s", r.Value, text(w.Value))
	}
	return problems
}
