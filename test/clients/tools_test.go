package clients

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// toolFiles are the files of testdata/tools and the release whose command-line tools they are run with. Those of the releases 3
// and 4 are the same over another library.
var toolFiles = map[string]string{
	"buckets":     "moray-4",
	"objects":     "moray-4",
	"others":      "moray-4",
	"usage":       "moray-4", // nothing of the server: what those have to print who write such tools
	"target":      "moray-4",
	"unreachable": "moray-4",
	"release3":    "moray-3",
	"release2":    "moray-2",
}

// TestTools runs shell commands with the tools of a release in PATH. The output is what they print on stdout, then the lines on
// stderr, each behind "! ", then the exit status unless it is 0.
func TestTools(t *testing.T) {
	t.Parallel()
	install(t)
	files, err := filepath.Glob(filepath.Join("testdata", "tools", "*.txt"))
	if err != nil || len(files) != len(toolFiles) {
		t.Fatalf("files in testdata/tools: got %q, %v, want the %d of the test's list", files, err, len(toolFiles))
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		s := readScript(t, path)
		t.Cleanup(func() { s.write(t) })
		release := toolFiles[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{})
			s.run(t, release, func(input string) string { return shell(t, release, server.Addr, input) })
		})
		if release != "moray-4" {
			continue
		}
		t.Run(name+"/own", func(t *testing.T) { // the tools of moray itself print the same
			t.Parallel()
			linkIfOwn(t, own)
			server := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{})
			s.run(t, own, func(input string) string { return shell(t, own, server.Addr, input) })
		})
	}
}

// shell runs a command and returns what it printed and its exit status.
func shell(t *testing.T, release, address, input string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := command(t, time.Minute, release, address, "sh", "-c", input)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	status := exit(t, cmd.Run())
	for line := range strings.Lines(uncaught(stderr.String())) {
		fmt.Fprintf(&stdout, "! %s", line)
	}
	if status != 0 {
		fmt.Fprintf(&stdout, "exit status %d\n", status)
	}
	return stdout.String()
}

var (
	traceLine = regexp.MustCompile(`(?m)^    at `)
	errorLine = regexp.MustCompile(`(?m)^(\w*Error)\b`)
)

// uncaught shortens what node prints about an exception that nobody catches to the error's name: the rest differs between
// releases of node.
func uncaught(stderr string) string {
	if !traceLine.MatchString(stderr) {
		return stderr
	}
	return "uncaught " + errorLine.FindString(stderr) + "\n"
}
