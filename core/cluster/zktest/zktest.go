// Package zktest gives tests a real ZooKeeper, Debian's: one server a test process, a tree of its own for each test. It also has
// what tests need to make ZooKeeper fail: [NewEnsemble] for servers that a test may kill, freeze and start again, and [Proxy] to
// hold up a connection or to expire a session.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { zktest.Main(m) }
//
// Without ZooKeeper the tests fail and say how to install it; they are never skipped. Servers keep their data in memory or in the
// temporary directory and die with the test process, even if that is killed.
package zktest

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

// shared is the server that the tests of one process share. The first test that wants a tree starts it.
var shared struct {
	mu       sync.Mutex // guards all below
	inMain   bool
	ensemble *Ensemble
	err      error

	trees atomic.Int64
}

// Main runs the tests of a package, stops the shared server, checks that no goroutine is left (see goleak.VerifyTestMain), and
// ends the process. It is the whole TestMain of a package.
func Main(m *testing.M, options ...goleak.Option) {
	goleak.VerifyTestMain(suite{m.Run}, options...)
}

// Run runs tests, which may use the shared server, stops it, and returns the exit status: for a TestMain that has more to do than
// [Main] has.
func Run(tests func() int) int { return suite{tests}.Run() }

type suite struct{ tests func() int }

// Run is what goleak calls before it looks for leaks.
func (s suite) Run() int {
	shared.mu.Lock()
	shared.inMain = true
	shared.mu.Unlock()
	code := s.tests()

	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.ensemble == nil {
		return code
	}
	if err := shared.ensemble.close(); err != nil {
		fmt.Fprintln(os.Stderr, "zktest:", err)
		return max(code, 1)
	}
	return code
}

// New returns an empty tree on the shared server.
func New(t testing.TB) *Tree {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !shared.inMain {
		t.Fatal("the package's TestMain must call zktest.Main or zktest.Run")
	}
	if shared.ensemble == nil && shared.err == nil {
		shared.ensemble, shared.err = openEnsemble(1)
	}
	if shared.err != nil {
		t.Fatalf("start ZooKeeper for the tests: %v", shared.err)
	}
	return newTree(t, shared.ensemble)
}
