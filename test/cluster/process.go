// Package cluster is a bed for failover tests: PostgreSQL servers with streaming replication, by hand or under Patroni, ZooKeeper,
// moray servers as processes, clients that record what was acknowledged, and faults.
//
// make cluster-test runs all faults and prints what each cost; go test runs a short form.
package cluster

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of the bed.
const patience = time.Minute

// process is a program that the bed runs. It dies with the test process.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it is gone and reaped
	err  error         // how it ended; valid when done is closed
}

// spawn starts a program, as another user if one is given; its output goes to a file.
//
// The kernel sends the parent-death signal when the thread ends that forked, so that thread waits for the program.
func spawn(t testing.TB, as *syscall.Credential, dir, output string, env []string, name string, args ...string) *process {
	t.Helper()
	out, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Credential: as}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() { // whoever ends the process waits for done
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	return p
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends a signal to the process alone.
func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) } // one that is gone is what is wanted

// await waits for the end.
func (p *process) await(t testing.TB, what string) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("%s does not end", what)
	}
}

// end kills the process.
func (p *process) end(t testing.TB, what string) {
	t.Helper()
	if p.running() {
		p.signal(syscall.SIGCONT)
		p.signal(syscall.SIGKILL)
		p.await(t, what)
	}
}

// family returns a process and its children.
func family(pid int) []int {
	all := []int{pid}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is well-formed
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// stopped reports whether a process has come to a stop after SIGSTOP.
func stopped(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && strings.Contains(string(text), "State:\tT")
}

// alive reports whether a process has memory still. A zombie, which waits for its parent to take notice, has none.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && strings.Contains(string(text), "VmRSS:")
}

func signalAll(pids []int, s syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, s) // one that is gone is as good
	}
}

// postgresUser is who PostgreSQL runs as: it refuses root.
func postgresUser(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("the user postgres, whom Debian's package makes: %v", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// run runs a program to its end.
func run(t testing.TB, as *syscall.Credential, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, minimalEnv(dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func minimalEnv(home string) []string {
	return []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + home, "LC_ALL=C", "TZ=UTC"}
}

// home is a directory for all that a bed writes, which others may search.
func home(t testing.TB) string {
	t.Helper()
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil || os.Getenv("TMPDIR") != "" {
		parent = os.TempDir()
	}
	dir, err := os.MkdirTemp(parent, "moray-cluster-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// own makes a directory for a user.
func own(t testing.TB, as *syscall.Credential, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
}

// morayBinary builds the server once a test process.
var morayBinary = sync.OnceValues(func() (string, error) {
	if binary := os.Getenv("MORAY_BIN"); binary != "" {
		return binary, nil
	}
	dir, err := os.MkdirTemp("", "moray-bin-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir, "github.com/kaizengarden/moray/cmd/moray")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build moray: %w\n%s", err, out)
	}
	return filepath.Join(dir, "moray"), nil
})

// tail returns the end of a file, for messages.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > 4000 {
		f.Seek(-4000, io.SeekEnd)
	}
	text, _ := io.ReadAll(f)
	return string(text)
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
