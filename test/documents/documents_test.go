package documents

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestDocuments runs each document's commands in a copy of the sources, where bin/moray is built. Ports of the documents are
// replaced by free ones, and /tmp by a directory of the document's own. The variables of libpq name a PostgreSQL, as its superuser.
func TestDocuments(t *testing.T) {
	t.Parallel()
	root := sources(t)
	paths, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, path := range append(paths, "../../README.md", "../../CONTRIBUTING.md") {
		t.Run(filepath.Base(path), func(t *testing.T) { // one after the other: they share the sources, and .moray
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			// The place of each line stays what it is in the document.
			document, env := replaced(t, string(text))
			blocks, err := read(document)
			if err != nil {
				t.Fatal(err)
			}
			follow(t, root, blocks, env)
		})
	}
}

// sources copies the repository, without what was built or is data, to a directory that everybody may enter: PostgreSQL runs as
// another user. The programs are built there.
func sources(t *testing.T) string {
	t.Helper()
	root, err := os.MkdirTemp("", "moray-documents-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{"bin": true, ".git": true, ".moray": true, "test/clients/node_modules": true}
	err = filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel("../..", path)
		if err != nil {
			return err
		}
		to := filepath.Join(root, name)
		switch {
		case left[name] && entry.IsDir():
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(to, 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(to, content, info.Mode())
	})
	if err != nil {
		t.Fatal(err)
	}
	build := exec.Command("make", "build")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	return root
}

var (
	ports    = regexp.MustCompile(`\b[23]02\d\b`)
	ownHosts = regexp.MustCompile(`\bmoray dev\b`)
)

// replaced is a document that does not meet others on the same machine, and the environment of its commands.
func replaced(t *testing.T, text string) (document string, env []string) {
	t.Helper()
	free := map[string]string{}
	text = ports.ReplaceAllStringFunc(ownHosts.ReplaceAllString(text, "moray dev --port 2020 --monitor-port 3020"), func(port string) string {
		if free[port] == "" {
			free[port] = freePort(t)
		}
		return free[port]
	})
	dir, err := os.MkdirTemp("", "moray-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, port := range []string{"2020", "3020"} { // where make run listens
		if free[port] == "" {
			free[port] = freePort(t)
		}
	}
	return strings.ReplaceAll(text, "/tmp/", dir+"/"), []string{
		"RUN=--port " + free["2020"] + " --monitor-port " + free["3020"],
		"MORAY_URL=tcp://127.0.0.1:" + free["2020"],
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// follow runs the blocks of a document and compares what they print.
func follow(t *testing.T, root string, blocks []block, env []string) {
	t.Helper()
	u, err := url.Parse(pgtest.New(t).SuperURL())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script(blocks))
	cmd.Dir = root
	cmd.Env = append(os.Environ(), env...)
	cmd.Env = append(cmd.Env, "PATH="+filepath.Join(root, "bin")+":"+os.Getenv("PATH"),
		"PGHOST="+u.Query().Get("host"), "PGUSER="+u.User.Username(), "PGDATABASE=postgres")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	output, err := os.Create(filepath.Join(t.TempDir(), "output")) // a file, so that what holds it open keeps nobody waiting
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	err = cmd.Run()
	end(cmd.Process.Pid)
	printed, readErr := os.ReadFile(output.Name())
	if err != nil || readErr != nil {
		t.Fatalf("%v %v\n%s", err, readErr, printed)
	}
	if err := os.RemoveAll(filepath.Join(root, ".moray")); err != nil {
		t.Fatal(err)
	}
	got := outputs(string(printed))
	for _, b := range blocks {
		if b.output != "" && !shows(got[b.line], b.output) {
			t.Errorf("line %d prints\n%s\nthe document says\n%s", b.line, got[b.line], b.output)
		}
	}
}

// end ends what is left of a process group: first as Ctrl-C does, and after a while for good.
func end(group int) {
	for i := range 100 {
		if i%20 == 0 && syscall.Kill(-group, syscall.SIGINT) != nil {
			return
		}
		if syscall.Kill(-group, 0) != nil {
			return
		}
		time.Sleep(100 * time.Millisecond) // nothing tells of the end of processes that are not children
	}
	_ = syscall.Kill(-group, syscall.SIGKILL)
}

func TestRead(t *testing.T) {
	t.Parallel()
	const document = "" +
		"# Title\n\n```sh\necho a\n```\n\n```output\na\n```\n" +
		"<!-- a remark -->\n```json file=c.json\n{}\n```\n" +
		"<!-- not run: needs three machines -->\n```sh\nreboot\n```\n" +
		"- item\n\n<!-- run: fails -->\n  ```sh\n  false\n  ```\n" +
		"<!-- run: beside, until \"is up\" -->\n\n```sh\nserve\n```\n```yaml\na: b\n```\n"
	blocks, err := read(document)
	if err != nil {
		t.Fatal(err)
	}
	want := []block{
		{line: 4, text: "echo a\n", output: "a\n"},
		{line: 12, text: "{}\n", kind: file, name: "c.json"},
		{line: 16, text: "reboot\n", kind: skipped},
		{line: 22, text: "false\n", kind: fails},
		{line: 27, text: "serve\n", kind: beside, until: "is up"},
	}
	if fmt.Sprint(blocks) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", blocks, want)
	}
	for _, bad := range []string{
		"```sh\nnever ends\n",
		"<!-- not run: -->\n```sh\nfalse\n```\n",
		"<!-- not run: lazy -->\n```sh\nfalse\n```\n",
		"<!-- run: sometimes -->\n```sh\nfalse\n```\n",
		"<!-- run: fails -->\ntext\n",
		"<!-- run: fails -->\n```json\n{}\n```\n",
		"```output\nof nothing\n```\n",
	} {
		if blocks, err := read(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, blocks)
		}
	}
}

// A command that fails, one that should fail and does not, and a server that ends are noticed.
func TestScript(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		"```sh\nexport A=b\n```\n```sh\necho $A\nfalse || true\n```\n":          "b",
		"```sh\nfalse\necho goes on\n```\n":                                     "exit status 1",
		"```sh\nfalse | cat\n```\n":                                             "exit status 1",
		"<!-- run: fails -->\n```sh\nfalse\necho after\n```\n":                  "after",
		"<!-- run: fails -->\n```sh\ntrue\n```\n":                               "nothing failed",
		"<!-- run: beside, until \"up\" -->\n```sh\necho up; sleep 99\n```\n":   "",
		"<!-- run: beside, until \"up\" -->\n```sh\necho down\n```\n":           "it ended without printing: up",
		"```json file=x y\n{\"it's\": \"$HOME\"}\n```\n```sh\ncat 'x y'\n```\n": `{"it's": "$HOME"}`,
		"<!-- not run: it would never end -->\n```sh\nsleep infinity\n```\n":    "",
	} {
		blocks, err := read(document)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("bash", "-c", script(blocks))
		cmd.Dir = t.TempDir()
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		output, err := os.Create(filepath.Join(t.TempDir(), "output"))
		if err != nil {
			t.Fatal(err)
		}
		defer output.Close()
		cmd.Stdout, cmd.Stderr = output, output
		err = cmd.Run()
		end(cmd.Process.Pid)
		out, readErr := os.ReadFile(output.Name())
		if readErr != nil {
			t.Fatal(readErr)
		}
		last := blocks[len(blocks)-1]
		got := outputs(string(out))[last.line]
		if err != nil {
			got += err.Error()
		}
		if !shows(got, "…"+want+"…") || want == "" && got != "" {
			t.Errorf("%q prints %q, want %q", document, got, want)
		}
	}
}

func TestShows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		printed, says string
		want          bool
	}{
		{"a\nb\n", "a\nb\n", true},
		{"a\nb\n", "a\n", false},
		{"a\nb\n", "a\n…\n", true},
		{`{"_mtime":17,"n":1}` + "\n", `{"_mtime":…,"n":1}` + "\n", true},
		{`{"_mtime":17,"n":2}` + "\n", `{"_mtime":…,"n":1}` + "\n", false},
	} {
		if got := shows(test.printed, test.says); got != test.want {
			t.Errorf("shows(%q, %q) is %v", test.printed, test.says, got)
		}
	}
}
