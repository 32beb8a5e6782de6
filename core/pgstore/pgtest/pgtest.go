// Package pgtest gives tests a real PostgreSQL: one cluster a test process, one database a test. It also has what tests need
// to make PostgreSQL fail: [NewCluster] for a server that a test may stop, kill and start again, and [Proxy] to bend a
// connection at a chosen message.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// and its tests begin with
//
//	t.Parallel()
//	db := pgtest.New(t)
//
// The programs are found as core/localpg finds them. Without PostgreSQL the tests fail and say how to install it; they are
// never skipped. Clusters live in memory or in the temporary directory and die with the test process, even if that is killed.
package pgtest

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// shared is the cluster that the tests of one process share. The first test that wants a database starts it.
var shared struct {
	mu      sync.Mutex // guards all below
	inMain  bool
	cluster *Cluster
	err     error
}

// Main runs the tests of a package, stops the shared cluster, checks that no goroutine is left (see goleak.VerifyTestMain),
// and ends the process. It is the whole TestMain of a package.
func Main(m *testing.M, options ...goleak.Option) {
	goleak.VerifyTestMain(suite{m.Run}, options...)
}

// Run runs tests, which may use the shared cluster, stops it, and returns the exit status: for a TestMain that has more to do than
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
	if shared.cluster == nil {
		return code
	}
	if err := shared.cluster.close(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		return max(code, 1)
	}
	return code
}

// New returns a fresh database on the shared cluster; it is dropped when the test ends.
func New(t testing.TB) *DB {
	t.Helper()
	return sharedCluster(t).New(t)
}

func sharedCluster(t testing.TB) *Cluster {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !shared.inMain {
		t.Fatal("the package's TestMain must call pgtest.Main")
	}
	if shared.cluster == nil && shared.err == nil {
		shared.cluster, shared.err = openCluster(t.Context())
	}
	if shared.err != nil {
		t.Fatalf("start PostgreSQL for the tests: %v", shared.err)
	}
	return shared.cluster
}
