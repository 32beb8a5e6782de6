// Package clients tests the server with the clients and the command-line tools that its users have: the npm packages moray 2.0.1,
// 3.8.1 and 4.1.4, each over the version of fast that it asks for. What they print and what they make of answers is compared with
// testdata; node runs the small programs *.js of this directory. The protocol itself is tested in core/fast and core/rpc.
package clients

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kaizengarden/moray/cmd/moray/tools"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/plugins/js/jstest"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata; review the diff")

func TestMain(m *testing.M) {
	jstest.Serve()
	pgtest.Main(m)
}

// releases are the names under which package.json installs the releases of the package moray.
var releases = []string{"moray-2", "moray-3", "moray-4"}

// install makes node_modules be what package-lock.json says, once in a test process. Without node the test fails.
func install(t *testing.T) {
	t.Helper()
	if err := installed(); err != nil {
		t.Fatal(err)
	}
}

var installed = sync.OnceValue(func() error {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("the stock clients need %s: install node 18 or later with npm, on Debian: apt-get install nodejs npm "+
				"(or: make deps)", program)
		}
	}
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		return err
	}
	// npm empties the directory before it installs, so the copy says that what it describes is complete.
	done := filepath.Join("node_modules", ".installed-from.json")
	if had, err := os.ReadFile(done); err == nil && bytes.Equal(had, lock) {
		return nil
	}
	// Scripts would compile native parts, which the clients do without.
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return os.WriteFile(done, lock, 0o644)
})

// command prepares a program that is killed if it runs longer than the limit, or than the test's last cleanup. Its environment has the tools of
// a release first in PATH, and what they take from the environment is set to reach the server.
func command(t *testing.T, limit time.Duration, release, address, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second // for children that keep its output open
	tools, err := filepath.Abs(filepath.Join("node_modules", release, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, variable := range os.Environ() {
		key, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(key, "MORAY_") && key != "LOG_LEVEL" && key != "NODE_OPTIONS" {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "PATH="+tools+":"+os.Getenv("PATH"), "MORAY_URL=tcp://"+address, "NODE_NO_WARNINGS=1")
	return cmd
}

// own is the release of the tools that are links to the program moray.
const own = "own"

// link builds moray and makes the links, beside the releases, once in a test process.
var link = sync.OnceValue(func() error {
	dir := filepath.Join("node_modules", own, "bin")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "moray"), "../../cmd/moray").CombinedOutput(); err != nil {
		return fmt.Errorf("build moray: %w\n%s", err, out)
	}
	for _, tool := range tools.All {
		if err := os.Symlink("moray", filepath.Join(dir, tool.Name)); err != nil {
			return err
		}
	}
	return nil
})

func linkIfOwn(t *testing.T, release string) {
	t.Helper()
	if release != own {
		return
	}
	if err := link(); err != nil {
		t.Fatal(err)
	}
}

// exit returns the exit status of a program that ended by itself, and fails the test for another end.
func exit(t *testing.T, err error) int {
	t.Helper()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.Exited() {
		return ended.ExitCode()
	}
	if err != nil {
		t.Fatalf("the program did not end by itself: %v", err)
	}
	return 0
}

// stderrOf returns what a program wrote before it failed.
func stderrOf(err error) []byte {
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return ended.Stderr
	}
	return nil
}

// changing is what differs from run to run, and what stands for it.
var changing = []struct {
	pattern *regexp.Regexp
	stands  string
}{
	{regexp.MustCompile(`client \(\\?"[^"]*" to \\?"[^"]*"\)`), `client (ADDRESSES)`},
	{regexp.MustCompile(`"(local|remote)":"[0-9.:]+"`), `"$1":"ADDRESS"`},
	{regexp.MustCompile(`("_mtime": ?)\d{13}\b`), `${1}MTIME`},
	{regexp.MustCompile(`("mtime": ?)"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`), `${1}"MTIME"`},
	{regexp.MustCompile(`\bu[0-9a-f]{7}\b`), `uRANDOM`}, // the etags that updateObjects gives
	{regexp.MustCompile(`"rpcMsgid":\d+`), `"rpcMsgid":ID`},
	{regexp.MustCompile(`(parsing value for -d: ).*`), `${1}REASON`}, // in the words of a release of node
}

func constant(text string) string {
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.stands)
	}
	return text
}
