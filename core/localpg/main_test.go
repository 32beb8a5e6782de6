package localpg_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/kaizengarden/moray/core/localpg"
)

// A test that needs another moray process runs this test binary again, with a configuration in this variable.
const programVariable = "MORAY_LOCALPG_TEST_CONFIG"

func TestMain(m *testing.M) {
	if config := os.Getenv(programVariable); config != "" {
		os.Exit(program(config))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if home, err := prepare(); err == nil {
			os.RemoveAll(home)
		}
		os.Exit(code)
	}))
}

// program runs a cluster until SIGINT. It prints lines: "progress …", "ready" with the postmaster's id, "error …".
func program(config string) int {
	syscall.Umask(0o077) // what it makes must be usable all the same
	var s setup
	if err := json.Unmarshal([]byte(config), &s); err != nil {
		fmt.Println("error", err)
		return 2
	}
	cfg := s.config()
	cfg.Progress = func(line string) { fmt.Println("progress", line) }
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT)
	defer stop()
	err := localpg.Run(ctx, cfg, func(ctx context.Context, s *localpg.Server) error {
		fmt.Println("ready", s.PID())
		<-ctx.Done()
		return nil
	})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	return 0
}

// setup is what a test tells another process.
type setup struct {
	DataDir, Fallback string
	Throwaway         bool
}

func (h setup) config() localpg.Config {
	return localpg.Config{DataDir: h.DataDir, Fallback: h.Fallback, Throwaway: h.Throwaway}
}

// process is a running program.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// startProgram runs a cluster in another process, by the given user if credential is not nil.
func startProgram(t *testing.T, h setup, credential *syscall.Credential) *process {
	t.Helper()
	config, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe") // needs no search permission for the directory that the binary is in
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), programVariable+"="+string(config))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential, Pdeathsig: syscall.SIGKILL}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start the program: %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return &process{cmd, bufio.NewScanner(stdout)}
}

// await reads lines up to the first that starts with word, and returns the rest of that one.
func (p *process) await(t *testing.T, word string) string {
	t.Helper()
	var seen []string
	for p.lines.Scan() {
		if rest, ok := strings.CutPrefix(p.lines.Text(), word+" "); ok {
			return rest
		}
		seen = append(seen, p.lines.Text())
	}
	t.Fatalf("the program ended without a line %q; it printed %q", word, seen)
	return ""
}

// awaitReady returns the postmaster's process id.
func (p *process) awaitReady(t *testing.T) int {
	t.Helper()
	pid, err := strconv.Atoi(p.await(t, "ready"))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// interrupt ends the program as Ctrl-C does.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(unread{p.lines})
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the interrupted program: %v, output %q", err, rest)
	}
}

// unread reads the lines that a scanner has not returned yet.
type unread struct{ lines *bufio.Scanner }

func (u unread) Read(b []byte) (int, error) {
	if !u.lines.Scan() {
		return 0, io.EOF
	}
	return copy(b, u.lines.Text()), nil
}

// kill ends the program without giving it a chance.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Wait() // "signal: killed"
}

// awaitExit waits until a process that need not be ours has ended.
func awaitExit(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // gone already
	}
	defer unix.Close(fd)
	deadline := time.Now().Add(20 * time.Second)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			t.Fatalf("process %d still lives after 20 s (error %v)", pid, err)
		}
		return
	}
}

// newDir returns an empty directory that everybody can reach, unlike t.TempDir. It is in memory if it can be: a cluster is a
// thousand small files.
func newDir(t *testing.T) string {
	t.Helper()
	dir, err := makeDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func makeDir() (string, error) {
	parent := os.TempDir()
	var fs unix.Statfs_t
	if unix.Statfs("/dev/shm", &fs) == nil && int64(fs.Bavail)*fs.Bsize > 2<<30 {
		parent = "/dev/shm"
	}
	dir, err := os.MkdirTemp(parent, "localpg-test-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// prepare makes one home with a cluster, to be copied: that is faster than initdb. Table t has one row, 1.
var prepare = sync.OnceValues(func() (string, error) {
	home, err := makeDir()
	if err != nil {
		return "", err
	}
	return home, localpg.Run(context.Background(), localpg.Config{DataDir: home}, func(_ context.Context, s *localpg.Server) error {
		_, err := psql(s, "CREATE TABLE t AS SELECT 1 AS a")
		return err
	})
})

// preparedHome returns a home with a cluster that has been shut down cleanly.
func preparedHome(t *testing.T) string {
	t.Helper()
	source, err := prepare()
	if err != nil {
		t.Fatalf("prepare a cluster: %v", err)
	}
	home := filepath.Join(newDir(t), "home")
	if output, err := exec.Command("cp", "-a", source, home).CombinedOutput(); err != nil {
		t.Fatalf("copy the prepared cluster: %v\n%s", err, output)
	}
	return home
}

// psql runs SQL and returns what psql prints.
func psql(s *localpg.Server, sql string) (string, error) {
	cmd := exec.Command(filepath.Join(s.BinDir(), "psql"), "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql, s.DSN(localpg.Superuser, "postgres"))
	output, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", sql, err, output)
	}
	return strings.TrimSpace(string(output)), nil
}

// query runs SQL that must succeed.
func query(t *testing.T, s *localpg.Server, sql string) string {
	t.Helper()
	answer, err := psql(s, sql)
	if err != nil {
		t.Error(err)
	}
	return answer
}

// run runs a cluster for the time of serve, which must succeed.
func run(t *testing.T, cfg localpg.Config, serve func(s *localpg.Server)) {
	t.Helper()
	err := localpg.Run(t.Context(), cfg, func(_ context.Context, s *localpg.Server) error {
		serve(s)
		return nil
	})
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
}

// wantRow checks that the prepared data is there.
func wantRow(t *testing.T, s *localpg.Server) {
	t.Helper()
	if got := query(t, s, "SELECT a FROM t"); got != "1" {
		t.Errorf("the table has %q, want the row 1", got)
	}
}

// credentialOf returns what a process needs to run as the named user, or nil if that is not possible because this is not root.
func credentialOf(t *testing.T, name string) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// ownerOf returns the user id that owns path.
func ownerOf(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
