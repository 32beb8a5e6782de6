package cluster_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/cluster"
	"github.com/kaizengarden/moray/core/cluster/zktest"
)

func TestMain(m *testing.M) { zktest.Main(m) }

// patience bounds every wait. It is long because the machine may be busy; what is asserted about time is asserted elsewhere.
const patience = 20 * time.Second

// follower runs a resolver and collects what it says.
type follower struct {
	cluster.Resolver
	topologies chan cluster.Topology
	log        lines
	stop       func()
}

// follow runs the resolver that is made until the test ends.
func follow(t *testing.T, resolver func(log *slog.Logger) cluster.Resolver) *follower {
	t.Helper()
	f := &follower{topologies: make(chan cluster.Topology, 1000)}
	f.Resolver = resolver(slog.New(slog.NewTextHandler(&f.log, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Watch(ctx, func(topology cluster.Topology) { f.topologies <- topology }) }()
	var once sync.Once
	f.stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("Watch ended with %v", err)
				}
			case <-time.After(patience):
				t.Error("Watch does not end")
			}
		})
	}
	t.Cleanup(func() {
		f.stop()
		if t.Failed() {
			t.Logf("status %+v\nlog of the resolver:\n%s", f.Status(), f.log.String())
		}
	})
	return f
}

// want waits for the next topology, which has to be the given one.
func (f *follower) want(t *testing.T, primary string, generation uint64) {
	t.Helper()
	want := cluster.Topology{Primary: primary, Generation: generation}
	select {
	case got := <-f.topologies:
		if got != want {
			t.Fatalf("topology %+v, want %+v", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("no news of %+v", want)
	}
	if got := f.Status().Topology; got != want {
		t.Fatalf("status says %+v, want %+v", got, want)
	}
}

// none checks that there was no news.
func (f *follower) none(t *testing.T) {
	t.Helper()
	select {
	case got := <-f.topologies:
		t.Fatalf("unexpected topology %+v", got)
	default:
	}
}

// await waits until the status is as it should be.
func (f *follower) await(t *testing.T, what string, ok func(cluster.Status) bool) {
	t.Helper()
	await(t, what, func() bool { return ok(f.Status()) })
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// ignored waits until n states have been refused, with a reason that has text in it.
func (f *follower) ignored(t *testing.T, n uint64, text string) {
	t.Helper()
	f.await(t, fmt.Sprintf("%d states ignored, the last for %q", n, text), func(s cluster.Status) bool {
		return s.Ignored == n && strings.Contains(s.Problem, text)
	})
}

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// manateeOver returns what follow takes.
func manateeOver(m manatee, z cluster.ZooKeeper) func(*slog.Logger) cluster.Resolver {
	return func(log *slog.Logger) cluster.Resolver { return &cluster.Manatee{ZooKeeper: z, Path: m.Root, Log: log} }
}
