package localpg_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/localpg"
)

// fakePrograms makes a directory with programs that only know their version.
func fakePrograms(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	writeScript(t, filepath.Join(dir, "postgres"), "echo '"+version+"'")
	writeScript(t, filepath.Join(dir, "initdb"), "exit 1")
	return dir
}

func writeScript(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	v14 := fakePrograms(t, "postgres (PostgreSQL) 14.2")
	v16 := fakePrograms(t, "postgres (PostgreSQL) 16beta1 (Debian 16~beta1-1)")
	odd := fakePrograms(t, "something else")
	tests := []struct {
		name string
		dirs []string
		want int
		dir  string
		err  string
	}{
		{"Any", []string{v14, v16}, 0, v14, ""},
		{"First", []string{v14, v16}, 14, v14, ""},
		{"Second", []string{v14, v16}, 16, v16, ""},
		{"None", []string{v14, v16}, 15, "", "made by PostgreSQL 15, but the programs in [" + v14 + " " + v16 + "] are of version [14 16]"},
		{"OddAnswer", []string{odd}, 15, "", `unexpected answer "something else\n"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir, err := localpg.Choose(t.Context(), test.dirs, test.want)
			if dir != test.dir || (err == nil) != (test.err == "") || (err != nil && !strings.Contains(err.Error(), test.err)) {
				t.Errorf("of %q version %d: %q, error %v; want %q, error %q", test.dirs, test.want, dir, err, test.dir, test.err)
			}
		})
	}
}

func TestBinDir(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	wantFailure(t, localpg.Config{DataDir: newDir(t), BinDir: empty}, "no programs initdb and postgres in "+empty)
}

func TestEnvironment(t *testing.T) {
	dir := binDir(t)
	empty := t.TempDir()
	t.Setenv("MORAY_PG_BIN", empty)
	wantFailure(t, localpg.Config{DataDir: newDir(t)}, "no programs initdb and postgres in "+empty)

	// A link in PATH leads to where the other programs are.
	t.Setenv("MORAY_PG_BIN", "")
	for _, name := range []string{"postgres", "initdb"} {
		if err := os.Symlink(filepath.Join(dir, name), filepath.Join(empty, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", empty)
	if got, err := localpg.FindBinDir(t.Context()); got != dir {
		t.Errorf("programs in %s, error %v; want %s", got, err, dir)
	}
}

func TestInstall(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, script string
		want         []string // the arguments of each call, and whether the configuration was there
		err          string
	}{
		{"AtOnce", "exit 0", []string{"install postgresql-15 noninteractive create_main_cluster = false"}, ""},
		{"AfterUpdate", `[ -e updated ] || [ $1 = update ] && touch updated`, []string{
			"install postgresql-15 noninteractive create_main_cluster = false",
			"update -q noninteractive create_main_cluster = false",
			"install postgresql-15 noninteractive create_main_cluster = false",
		}, ""},
		{"Never", "[ $1 = update ] || { echo E: unable; exit 100; }", []string{
			"install postgresql-15 noninteractive create_main_cluster = false",
			"update -q noninteractive create_main_cluster = false",
			"install postgresql-15 noninteractive create_main_cluster = false",
		}, "exit status 100\nE: unable"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			conf := filepath.Join(dir, "etc", "createcluster.d", "moray.conf")
			apt := filepath.Join(dir, "apt-get")
			writeScript(t, apt, "cd "+dir+"\neval last=\\$$#\necho $1 $last $DEBIAN_FRONTEND $(cat "+conf+") >>calls\n"+test.script)
			err := localpg.AptInstall(t.Context(), apt, "postgresql-15", conf)
			if (err == nil) != (test.err == "") || (err != nil && !strings.HasSuffix(err.Error(), test.err)) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			calls, err := os.ReadFile(filepath.Join(dir, "calls"))
			if got, want := string(calls), strings.Join(test.want, "\n")+"\n"; got != want {
				t.Errorf("calls of apt-get, error %v:\n%swant:\n%s", err, got, want)
			}
			if exists(filepath.Join(dir, "etc")) {
				t.Error("the configuration or its directory is left")
			}
		})
	}
}

func TestInstallNotAllowed(t *testing.T) {
	t.Parallel()
	for version, want := range map[int]string{0: "postgresql", 13: "postgresql-13"} {
		err := localpg.Install(t.Context(), localpg.Config{}, version)
		if want := "PostgreSQL is not installed; to install it, run as root: apt-get install --no-install-recommends " + want; err == nil || err.Error() != want {
			t.Errorf("version %d: error %v, want %q", version, err, want)
		}
	}
}

func TestLogFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("old 7 b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := localpg.OpenLog(path, 20)
	if err != nil {
		t.Fatal(err)
	}
	want := func(name, text string) {
		t.Helper()
		got, err := os.ReadFile(name)
		if text == "" && errors.Is(err, os.ErrNotExist) {
			return
		}
		if string(got) != text {
			t.Errorf("%s has %q, error %v; want %q", filepath.Base(name), got, err, text)
		}
	}
	log.Write([]byte("first 6 b\n"))
	want(path, "old 7 b\nfirst 6 b\n")
	want(path+".1", "")
	log.Write([]byte("second\n"))
	want(path, "second\n")
	want(path+".1", "old 7 b\nfirst 6 b\n")
	log.Write([]byte(strings.Repeat("x", 30) + "\n")) // longer than the limit, but alone
	log.Write([]byte("third\n"))
	want(path, "third\n")
	want(path+".1", strings.Repeat("x", 30)+"\n")
	if got, want := log.Last(), "first 6 b\nsecond\n"+strings.Repeat("x", 30)+"\nthird"; got != want {
		t.Errorf("last lines %q, want %q", got, want)
	}

	// With the directory gone the log is lost, but writing goes on.
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if n, err := log.Write([]byte("line\n")); n != 5 || err != nil {
			t.Fatalf("writing without a directory: %d bytes, error %v", n, err)
		}
	}
	if got, want := log.Last(), strings.TrimSpace(strings.Repeat("line\n", 10)); got != want {
		t.Errorf("last lines %q, want %q", got, want)
	}
	log.Close()
}
