package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// program is the name under which the test binary is the program itself, and another one for what it does to its process.
var program = map[string]func(){"moray": main, "slack": printSlack}

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

// address says where the superuser finds the database's server: $SUPER is a URL, $SOCKET the directory and $NAME the name of the
// database.
func address(env *testscript.Env, db *pgtest.DB) error {
	u, err := url.Parse(db.SuperURL())
	if err != nil {
		return err
	}
	env.Setenv("SUPER", db.SuperURL())
	env.Setenv("SOCKET", u.Query().Get("host"))
	env.Setenv("NAME", db.Name)
	return nil
}

// port is the command of scripts that puts the number of a port into a variable: a free one, or one that is in use until the end.
func port(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	if args[0] == "free" {
		ts.Check(ln.Close())
	} else {
		ts.Defer(func() { ln.Close() })
	}
	_, number, err := net.SplitHostPort(ln.Addr().String())
	ts.Check(err)
	ts.Setenv(args[1], number)
}

// answer is the command of scripts that waits until a server answers at a port.
func answer(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", "127.0.0.1:"+args[0])
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nobody answers: %v", err)
		}
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
					return address(env, db)
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"status": status,
					"port":   port,
					"answer": answer,
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
