package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// program is the name under which the test binary is the program itself.
var program = map[string]func(){"moray": main}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "plugin" { // the program runs itself again, for the plugins that are built in
		main()
		return
	}
	testscript.Main(tests{m}, program)
}

type tests struct{ m *testing.M }

// Run is called when the test binary is not run as the program. It does not return.
func (t tests) Run() int {
	pgtest.Main(t.m)
	return 0
}

// status is the command of scripts that runs the program and checks its exit status.
func status(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		got = e.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// The scripts of testdata/script run the program as its users do. Each has a database of its own: $DB is its URL, and the
// command sql runs the statements of a file in it, and query prints the rows of a query. The command status runs a program whose
// exit status counts.
func TestScripts(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			testscript.Run(t, testscript.Params{
				Files: []string{script},
				Setup: func(env *testscript.Env) error {
					env.Setenv("DB", db.URL())
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"status": status,
					"sql":    func(ts *testscript.TestScript, _ bool, args []string) { db.Exec(t, ts.ReadFile(args[0])) },
					"query": func(ts *testscript.TestScript, _ bool, args []string) {
						fmt.Fprintln(ts.Stdout(), strings.Join(db.Strings(t, args[0]), "\n"))
					},
				},
				UpdateScripts: os.Getenv("MORAY_UPDATE_SCRIPTS") != "",
			})
		})
	}
}
