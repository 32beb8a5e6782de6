package zktest

import (
	"errors"
	"fmt"
	"log/slog"
	"path"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// Tree is a part of ZooKeeper that one test has to itself. Its methods are for the test's own goroutine.
type Tree struct {
	// Root is the path of the tree's top, which exists.
	Root     string
	ensemble *Ensemble
	conn     *zk.Conn
}

// Tree returns an empty tree of the ensemble. Its client needs a working quorum when it is used.
func (e *Ensemble) Tree(t testing.TB) *Tree { t.Helper(); return newTree(t, e) }

func newTree(t testing.TB, e *Ensemble) *Tree {
	t.Helper()
	conn, events, err := zk.Connect(e.Servers(), 10*time.Second, zk.WithLogInfo(false), zk.WithLogger(silence{}))
	if err != nil {
		t.Fatalf("connect to ZooKeeper: %v", err)
	}
	t.Cleanup(func() {
		conn.Close()
		for range events { // until the client's goroutines have ended
		}
	})
	tree := &Tree{Root: fmt.Sprintf("/test-%d", shared.trees.Add(1)), ensemble: e, conn: conn}
	tree.Set(t, "", "")
	return tree
}

// silence swallows what the client says about servers that are down: tests put them down.
type silence struct{}

func (silence) Printf(format string, args ...any) { slog.Debug(fmt.Sprintf(format, args...)) }

// Servers returns the addresses of the servers, host:port.
func (tree *Tree) Servers() []string { return tree.ensemble.Servers() }

// Path returns the absolute path of a node of the tree.
func (tree *Tree) Path(name string) string { return path.Join(tree.Root, name) }

// Set gives the node, and nobody else, the data. It and the nodes above it are created if they are missing.
func (tree *Tree) Set(t testing.TB, name, data string) {
	t.Helper()
	at := tree.Path(name)
	tree.retry(t, "set "+at, func() error {
		_, err := tree.conn.Set(at, []byte(data), -1)
		if !errors.Is(err, zk.ErrNoNode) {
			return err
		}
		_, err = tree.conn.Create(at, []byte(data), 0, zk.WorldACL(zk.PermAll))
		if errors.Is(err, zk.ErrNoNode) {
			tree.Set(t, path.Dir(name), "")
			_, err = tree.conn.Create(at, []byte(data), 0, zk.WorldACL(zk.PermAll))
		}
		return err
	})
}

// Delete removes a node that has no children.
func (tree *Tree) Delete(t testing.TB, name string) {
	t.Helper()
	at := tree.Path(name)
	tree.retry(t, "delete "+at, func() error { return tree.conn.Delete(at, -1) })
}

// Forbid takes the permission to read a node, or gives it back.
func (tree *Tree) Forbid(t testing.TB, name string, forbidden bool) {
	t.Helper()
	permissions := int32(zk.PermAll)
	if forbidden {
		permissions &^= zk.PermRead
	}
	at := tree.Path(name)
	tree.retry(t, "change the access to "+at, func() error {
		_, err := tree.conn.SetACL(at, zk.WorldACL(permissions), -1)
		return err
	})
}

// retry repeats an operation whose connection was lost, which has only effects that may be had twice.
func (tree *Tree) retry(t testing.TB, what string, operation func() error) {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); ; {
		err := operation()
		switch {
		case err == nil:
			return
		case time.Now().Before(deadline) && (errors.Is(err, zk.ErrConnectionClosed) || errors.Is(err, zk.ErrNoServer) || errors.Is(err, zk.ErrSessionExpired)):
		default:
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// Get returns what a node has.
func (tree *Tree) Get(t testing.TB, name string) (data string) {
	t.Helper()
	at := tree.Path(name)
	tree.retry(t, "get "+at, func() error {
		b, _, err := tree.conn.Get(at)
		data = string(b)
		return err
	})
	return data
}
