package localpg_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/localpg"
)

// mustNotServe is for a Run that must fail before.
func mustNotServe(t *testing.T) func(context.Context, *localpg.Server) error {
	return func(context.Context, *localpg.Server) error {
		t.Error("serve is called")
		return nil
	}
}

// wantFailure checks that Run fails with a text that has all the given parts.
func wantFailure(t *testing.T, cfg localpg.Config, parts ...string) {
	t.Helper()
	err := localpg.Run(t.Context(), cfg, mustNotServe(t))
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q, want one with %q", err, part)
		}
	}
}

func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	h := setup{DataDir: preparedHome(t)}
	first := startProgram(t, h, nil)
	first.awaitReady(t)
	wantFailure(t, h.config(), fmt.Sprintf("another moray (process %d) uses the data directory %s", first.cmd.Process.Pid, h.DataDir))
	first.interrupt(t)
	run(t, h.config(), func(s *localpg.Server) { wantRow(t, s) })
}

func TestWrongVersion(t *testing.T) {
	t.Parallel()
	dir := preparedHome(t)
	version := filepath.Join(dir, "postgresql", "PG_VERSION")
	have, err := os.ReadFile(version)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(version, []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := localpg.Config{DataDir: dir, BinDir: binDir(t)}
	wantFailure(t, cfg, "the data was made by PostgreSQL 99", fmt.Sprintf("are of version [%s]", strings.TrimSpace(string(have))))

	if err := os.WriteFile(version, []byte("fifteen\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, cfg, "version of the cluster", "fifteen")
}

func TestNotADirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(newDir(t), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, localpg.Config{DataDir: file}, "file", "not a directory")
}

func TestSocketDir(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		path  func(parent string) string
		inRun bool
	}{
		{"Longest", func(parent string) string { return fill(parent, 107-len("/run/.s.PGSQL.5432")) }, true},
		{"TooLong", func(parent string) string { return fill(parent, 108-len("/run/.s.PGSQL.5432")) }, false},
		{"Comma", func(parent string) string { return filepath.Join(parent, "a,b") }, false},
		{"OddCharacters", func(parent string) string { return filepath.Join(parent, `a "b' %20?&[c`) }, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := test.path(newDir(t))
			if err := os.Rename(preparedHome(t), dir); err != nil {
				t.Fatal(err)
			}
			var socketDir string
			run(t, localpg.Config{DataDir: dir}, func(s *localpg.Server) {
				wantRow(t, s)
				if socketDir = s.SocketDir(); (socketDir == filepath.Join(dir, "run")) != test.inRun {
					t.Errorf("the socket of the home %s is in %s, want it in the home: %v", dir, socketDir, test.inRun)
				}
			})
			if exists(socketDir) {
				t.Errorf("%s is left", socketDir)
			}
		})
	}
}

// fill returns a path in dir of the given length.
func fill(dir string, length int) string {
	return filepath.Join(dir, strings.Repeat("x", length-len(dir)-1))
}

// Somebody else may write in /tmp, too.
func TestSocketDirTaken(t *testing.T) {
	t.Parallel()
	dir := fill(newDir(t), 150)
	if err := os.Rename(preparedHome(t), dir); err != nil {
		t.Fatal(err)
	}
	target := newDir(t)
	var socketDir string
	run(t, localpg.Config{DataDir: dir}, func(s *localpg.Server) { socketDir = s.SocketDir() })
	if err := os.Symlink(target, socketDir); err != nil {
		t.Fatal(err)
	}
	run(t, localpg.Config{DataDir: dir}, func(s *localpg.Server) {
		if info, err := os.Lstat(s.SocketDir()); err != nil || !info.IsDir() {
			t.Errorf("%s is %v, error %v, want a directory", s.SocketDir(), info.Mode(), err)
		}
	})
	if !exists(target) {
		t.Error("the target of a symbolic link was removed")
	}
}

func TestSymbolicLinks(t *testing.T) {
	t.Parallel()
	dir := preparedHome(t)
	disk := filepath.Join(newDir(t), "disk")
	if err := os.Rename(filepath.Join(dir, "postgresql"), disk); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(disk, filepath.Join(dir, "postgresql")); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(newDir(t), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	postmaster := startByHand(t, dir)
	run(t, localpg.Config{DataDir: link}, func(s *localpg.Server) { // finds the other one although no path is the same
		if err := postmaster.Wait(); err != nil {
			t.Errorf("end of the earlier postmaster: %v, want a clean one", err)
		}
		wantRow(t, s)
	})
}

// asRoot is for what only root can do: choose the user that PostgreSQL runs as.
func asRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: nobody else can run PostgreSQL as another user")
	}
}

func TestUnsearchableParent(t *testing.T) {
	t.Parallel()
	asRoot(t)
	parent, fallback := newDir(t), filepath.Join(newDir(t), "lib", "moray")
	if err := os.Chmod(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "clone", ".moray")
	wantFailure(t, localpg.Config{DataDir: dir}, "cannot reach "+dir, "postgres")
	if exists(filepath.Dir(dir)) {
		t.Error("a directory was made that is of no use")
	}

	// In another process, because its umask would make the fallback unsearchable.
	p := startProgram(t, setup{DataDir: dir, Fallback: fallback}, nil)
	line := p.await(t, "progress")
	where, ok := strings.CutPrefix(line, "the data is in "+fallback+"/clone-.moray-")
	if !ok || !strings.Contains(where, dir) {
		t.Errorf("progress %q, want the two places", line)
	}
	p.awaitReady(t)
	p.interrupt(t)

	cfg := localpg.Config{DataDir: dir, Fallback: fallback}
	var first string
	run(t, cfg, func(s *localpg.Server) {
		first = s.DataDir()
		query(t, s, "CREATE TABLE t AS SELECT 1 AS a")
	})
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, cfg, func(s *localpg.Server) { wantRow(t, s) }) // where the data is, although the parent is searchable now

	other := cfg
	other.DataDir = filepath.Join(parent, "other", ".moray")
	if err := os.Chmod(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, other, func(s *localpg.Server) {
		if s.DataDir() == first {
			t.Errorf("two data directories share %s", first)
		}
	})
}

func TestUnsearchableParentOfExistingData(t *testing.T) {
	t.Parallel()
	asRoot(t)
	dir := preparedHome(t)
	if err := os.Chmod(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, localpg.Config{DataDir: dir, Fallback: newDir(t)}, "cannot reach "+dir)
}

func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	credential := credentialOf(t, "nobody")
	parent := newDir(t)
	if credential != nil {
		if err := os.Chown(parent, int(credential.Uid), int(credential.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	h := setup{DataDir: filepath.Join(parent, ".moray"), Fallback: newDir(t)}
	p := startProgram(t, h, credential)
	postmaster := p.awaitReady(t)
	if got, want := ownerOf(t, fmt.Sprintf("/proc/%d", postmaster)), ownerOf(t, parent); got != want {
		t.Errorf("PostgreSQL runs as user %d, want %d", got, want)
	}
	p.interrupt(t)
	awaitExit(t, postmaster)

	// Root runs a cluster as the user that it belongs to.
	run(t, h.config(), func(s *localpg.Server) {
		if got, want := ownerOf(t, fmt.Sprintf("/proc/%d", s.PID())), ownerOf(t, parent); got != want {
			t.Errorf("later, PostgreSQL runs as user %d, want %d", got, want)
		}
	})
	p = startProgram(t, h, credential)
	p.awaitReady(t)
	p.interrupt(t)
}

func TestForeignCluster(t *testing.T) {
	t.Parallel()
	asRoot(t)
	dir := preparedHome(t)
	p := startProgram(t, setup{DataDir: dir}, credentialOf(t, "nobody"))
	if line := p.await(t, "error"); !strings.Contains(line, "the cluster in "+dir+" belongs to another user") {
		t.Errorf("error %q, want that the cluster belongs to another user", line)
	}
}

// A cluster that was copied by root belongs to root, and its mode may be anything.
func TestOwnership(t *testing.T) {
	t.Parallel()
	asRoot(t)
	dir := preparedHome(t)
	dataDir := filepath.Join(dir, "postgresql")
	if output, err := exec.Command("chown", "-R", "root:root", dataDir).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v\n%s", err, output)
	}
	if err := os.Chmod(dataDir, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, localpg.Config{DataDir: dir}, func(s *localpg.Server) { wantRow(t, s) })
}
