// Package hooktest drives a plugin in the tests of its author: in the same process, over the real protocol, without a server and
// without a database.
//
//	p := hooktest.Start(t, plugin())
//	r := p.Fire(hooktest.Event{
//		Bucket: "users", Key: "ann", Value: `{"email":"Ann@Example.com"}`,
//		Bindings: []hooktest.Binding{{Phase: sdk.Pre, Hook: "lower", Config: `{"members":["email"]}`}},
//	})
//	if r.Err != nil || r.Value != `{"email":"ann@example.com"}` {
//		t.Error(r.Value, r.Err)
//	}
//
// What the hooks run in the transaction is answered by Event.SQL, see [Expect]. To see a hook at work in a real transaction, run
// it in a server, as moray dev does.
package hooktest

import (
	"math"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/kaizengarden/moray/hooks/sdk"
	"github.com/kaizengarden/moray/hooks/trial"
)

// What a test fires, and what becomes of it.
type (
	Plugin    = trial.Plugin
	Binding   = trial.Binding
	Event     = trial.Event
	Result    = trial.Result
	Line      = trial.Line
	Statement = trial.Statement
	Reply     = trial.Reply
	Failure   = trial.Failure
)

// Null is the text that stands for NULL in arguments and rows.
const Null = trial.Null

// ErrTimeout is the error of a hook that took longer than Binding.Limit.
var ErrTimeout = trial.ErrTimeout

// Start runs a plugin until the test ends.
func Start(t testing.TB, p sdk.Plugin) *Plugin {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- sdk.ServeOn(ln, p) }()
	conn, err := grpc.NewClient((&url.URL{Scheme: "unix", Path: ln.Addr().String()}).String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)))
	if err != nil {
		t.Fatal(err)
	}
	tested := trial.On(conn, func(format string, args ...any) {
		t.Helper()
		t.Errorf(format, args...)
	})
	t.Cleanup(func() {
		tested.Close()
		conn.Close()
		ln.Close()
		if err := <-served; err != nil {
			t.Errorf("the plugin ended with: %v", err)
		}
	})
	if err := tested.Describe(); err != nil {
		t.Fatalf("describe: %v", err)
	}
	return tested
}

// Step is a statement that is expected, and what it gives.
type Step struct {
	SQL   string
	Args  []string
	Reply Reply
}

// Expect returns an Event.SQL that expects statements in an order. The test fails if one is another, missing or too many.
func Expect(t testing.TB, steps ...Step) func(Statement) Reply {
	t.Helper()
	var mu sync.Mutex
	t.Cleanup(func() {
		for _, s := range steps {
			t.Errorf("the hook did not run: %s", s.SQL)
		}
	})
	return func(s Statement) Reply {
		mu.Lock()
		defer mu.Unlock()
		if len(steps) == 0 {
			t.Errorf("the hook runs one statement more: %s %q", s.SQL, s.Args)
			return Reply{}
		}
		want := steps[0]
		steps = steps[1:]
		if want.SQL != s.SQL || !slices.Equal(want.Args, s.Args) {
			t.Errorf("the hook runs   %s %q\nit should be    %s %q", s.SQL, s.Args, want.SQL, want.Args)
		}
		return want.Reply
	}
}
