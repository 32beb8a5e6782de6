package zktest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Ensemble is one ZooKeeper server, or several that form a quorum. Its methods are for one goroutine at a time.
type Ensemble struct {
	home    string
	servers []*server
}

// NewEnsemble starts n servers of the test's own, which end with the test. One takes about a second; a test that only needs nodes
// uses [New].
func NewEnsemble(t testing.TB, n int) *Ensemble {
	t.Helper()
	e, err := openEnsemble(n)
	if err != nil {
		t.Fatalf("start ZooKeeper for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := e.close(); err != nil {
			t.Errorf("stop the test's ZooKeeper: %v", err)
		}
	})
	return e
}

// openEnsemble starts n servers. A port may be taken between its choice and its use: then it tries again.
func openEnsemble(n int) (*Ensemble, error) {
	var err error
	for range 3 {
		var e *Ensemble
		if e, err = tryEnsemble(n); err == nil {
			return e, nil
		}
	}
	return nil, err
}

func tryEnsemble(n int) (*Ensemble, error) {
	home, err := os.MkdirTemp(parent(), "moray-zktest-")
	if err != nil {
		return nil, err
	}
	e := &Ensemble{home: home}
	var others []string
	for id := 1; id <= n; id++ {
		e.servers = append(e.servers, &server{dir: filepath.Join(home, strconv.Itoa(id)), port: freePort()})
		if n > 1 {
			others = append(others, fmt.Sprintf("server.%d=127.0.0.1:%d:%d", id, freePort(), freePort()))
		}
	}
	for i, s := range e.servers {
		err = s.configure(i+1, others)
		if err == nil {
			err = s.start()
		}
		if err != nil {
			return nil, errors.Join(err, e.close())
		}
	}
	if err := e.await(); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// memoryDir is a file system in memory on every Linux.
const (
	memoryDir  = "/dev/shm"
	memoryRoom = 1 << 30 // bytes that must be free: a server writes 64 MB ahead, most of it holes
)

func parent() string {
	var fs unix.Statfs_t
	if os.Getenv("TMPDIR") == "" && unix.Statfs(memoryDir, &fs) == nil && int64(fs.Bavail)*fs.Bsize >= memoryRoom {
		return memoryDir
	}
	return os.TempDir()
}

// freePort returns a port that nobody uses now, below those that the kernel gives to clients.
func freePort() int {
	for {
		port := 15000 + rand.IntN(17000)
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			ln.Close()
			return port
		}
	}
}

// await waits until every running server serves.
func (e *Ensemble) await() error {
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(20 * time.Millisecond) {
		missing := (*server)(nil)
		for _, s := range e.servers {
			if s.done != nil && s.mode() == "" {
				missing = s
			}
		}
		switch {
		case missing == nil:
			return nil
		case !missing.running(), time.Now().After(deadline):
			return fmt.Errorf("ZooKeeper at %s does not serve:\n%s", missing.address(), missing.log())
		}
	}
}

func (e *Ensemble) close() error {
	var all []error
	for _, s := range e.servers {
		if s.running() {
			s.cmd.Process.Signal(syscall.SIGCONT) //nolint:errcheck // because a server that is gone is what is wanted
		}
		all = append(all, s.kill())
	}
	return errors.Join(append(all, os.RemoveAll(e.home))...)
}

// Servers returns the addresses of all servers, host:port.
func (e *Ensemble) Servers() []string {
	var all []string
	for _, s := range e.servers {
		all = append(all, s.address())
	}
	return all
}

// Leader returns the index of the server that leads, or that is alone. It waits until there is one.
func (e *Ensemble) Leader(t testing.TB) int {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for i, s := range e.servers {
			if mode := s.mode(); mode == "leader" || mode == "standalone" {
				return i
			}
		}
	}
	t.Fatal("ZooKeeper elects no leader")
	return 0
}

// Kill ends server i as a crash of its machine would.
func (e *Ensemble) Kill(t testing.TB, i int) {
	t.Helper()
	if err := e.servers[i].kill(); err != nil {
		t.Fatalf("kill ZooKeeper server %d: %v", i, err)
	}
	e.servers[i].done = nil
}

// Start starts server i again after [Ensemble.Kill]. It does not wait until it serves: see [Ensemble.Await].
func (e *Ensemble) Start(t testing.TB, i int) {
	t.Helper()
	if err := e.servers[i].start(); err != nil {
		t.Fatal(err)
	}
}

// Await waits until every server that is not killed serves.
func (e *Ensemble) Await(t testing.TB) {
	t.Helper()
	if err := e.await(); err != nil {
		t.Fatal(err)
	}
}

// Freeze stops server i in its tracks: its connections stay open and silent, until [Ensemble.Thaw].
func (e *Ensemble) Freeze(t testing.TB, i int) { e.signal(t, i, syscall.SIGSTOP) }

// Thaw lets server i go on after [Ensemble.Freeze].
func (e *Ensemble) Thaw(t testing.TB, i int) { e.signal(t, i, syscall.SIGCONT) }

func (e *Ensemble) signal(t testing.TB, i int, signal syscall.Signal) {
	t.Helper()
	if err := e.servers[i].cmd.Process.Signal(signal); err != nil {
		t.Fatalf("send %v to ZooKeeper server %d: %v", signal, i, err)
	}
}
