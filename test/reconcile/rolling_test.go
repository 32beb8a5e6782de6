// Package reconcile has the tests of many servers that keep the buckets of one database in line with files.
package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// definitions writes a file of definitions and returns its directory.
func definitions(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "buckets.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start runs a server that applies the definitions of a directory.
func start(t *testing.T, db *pgtest.DB, dir string) *servertest.Server {
	t.Helper()
	return servertest.Start(t, db.URL(), servertest.Options{Pool: `{"maxConnections":3}`, More: fmt.Sprintf(`"reconcile":{"directory":%q}`, dir)})
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

const (
	older = `apiVersion: moray/v1
kind: Bucket
metadata: {name: users}
spec:
  version: 1
  index: {login: {type: string, unique: true}, gone: {type: string}}
---
apiVersion: moray/v1
kind: Bucket
metadata: {name: plain}
spec: {index: {a: {type: string}}}
`
	newer = `apiVersion: moray/v1
kind: Bucket
metadata: {name: users}
spec:
  version: 2
  index: {login: {type: string, unique: true}, gone: {type: string}, size: {type: number}, tags: {type: "[string]"}}
  protect: true
---
apiVersion: moray/v1
kind: Bucket
metadata: {name: plain}
spec: {index: {a: {type: string}, b: {type: string}}}
---
apiVersion: moray/v1
kind: Bucket
metadata: {name: added}
spec: {version: 1}
`
)

// load puts and gets objects through servers. Nothing of it may fail.
type load struct {
	t    *testing.T
	puts atomic.Int64
	mu   sync.Mutex
	last map[string]int // what was acknowledged last, by key
}

// run puts and gets through one server until the function that it returns is called.
func (l *load) run(server *servertest.Server, number int) (stop func()) {
	c := client.New(client.Config{Addresses: []string{server.Addr}, Connections: 1})
	stopping := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		defer c.Close()
		for i := 0; ; i++ {
			select {
			case <-stopping:
				return
			default:
			}
			key := fmt.Sprintf("w%d-%d", number, i%40)
			value := fmt.Sprintf(`{"login":"%s","gone":"x","size":%d,"tags":["t"]}`, key, i)
			if _, err := c.PutObject(context.Background(), "users", key, json.RawMessage(value), nil); err != nil {
				l.t.Errorf("server %d: put: %v", number, err)
				return
			}
			l.mu.Lock()
			l.last[key] = i
			l.mu.Unlock()
			l.puts.Add(1)
			o, err := c.GetObject(context.Background(), "users", key, nil)
			if err != nil || !strings.Contains(string(o.Value), fmt.Sprintf(`"size":%d,`, i)) {
				l.t.Errorf("server %d: get after a put of %d: %v, %v", number, i, o, err)
				return
			}
		}
	})
	return func() {
		close(stopping)
		writer.Wait()
	}
}

// Eight servers start at once, half of them with older files and half with newer ones, on a database in use. They converge on the
// newer ones, once, and clients do not notice; then the others get the newer files too, one after the other.
func TestRollingUpdate(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	oldFiles, newFiles := definitions(t, older), definitions(t, newer)
	start(t, db, oldFiles).Stop(t)
	first := start(t, db, oldFiles)
	eventually(t, "the older definitions are applied", func() bool {
		return len(db.Strings(t, "SELECT name FROM buckets_config")) == 2
	})
	l := &load{t: t, last: map[string]int{}}
	stopFirst := l.run(first, 0)
	eventually(t, "there are rows", func() bool { return l.puts.Load() > 100 })

	var servers [8]*servertest.Server
	var starting sync.WaitGroup
	for i := range servers {
		starting.Go(func() { servers[i] = start(t, db, []string{oldFiles, newFiles}[i%2]) })
	}
	starting.Wait()
	var stops [8]func()
	for i, s := range servers {
		stops[i] = l.run(s, i+1)
	}
	converged := func() bool {
		return strings.Join(db.Strings(t, "SELECT name, options FROM buckets_config ORDER BY 1"), " ") ==
			`added|{"version":1} plain|{"version":0} users|{"version":2}` &&
			strings.Contains(db.Strings(t, "SELECT index FROM buckets_config WHERE name = 'plain'")[0], `"b"`)
	}
	eventually(t, "the newer definitions are applied", converged)
	generations := db.Strings(t, "SELECT name, xmin FROM buckets_config ORDER BY 1")
	for i, s := range servers { // those with older files say so
		if i%2 == 0 {
			eventually(t, "a server with older files says so", func() bool { return strings.Contains(s.Log(), "older than the live version 2") })
		}
	}
	for i := range servers {
		if i%2 == 0 { // one that starts again with the same files, and one with newer ones
			stops[i]()
			servers[i].Stop(t)
			start(t, db, oldFiles)
			start(t, db, newFiles)
		}
	}
	puts := l.puts.Load()
	eventually(t, "the servers that stay go on", func() bool { return l.puts.Load() > puts+200 })
	stopFirst()
	for i := range servers {
		if i%2 != 0 {
			stops[i]()
		}
	}

	if now := db.Strings(t, "SELECT name, xmin FROM buckets_config ORDER BY 1"); strings.Join(now, " ") != strings.Join(generations, " ") {
		t.Errorf("definitions were written again: from %s to %s", generations, now)
	}
	if invalid := db.Strings(t, "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid"); len(invalid) > 0 {
		t.Errorf("indexes that are not valid: %s", invalid)
	}
	for key, i := range l.last {
		if got := db.Strings(t, "SELECT _value::json ->> 'size' FROM users WHERE _key = $1", key); len(got) != 1 || got[0] != fmt.Sprint(i) {
			t.Errorf("%s has the size %s, want %d", key, got, i)
		}
	}
	for i, s := range servers {
		if strings.Contains(s.Log(), "deadlock") {
			t.Errorf("server %d met a deadlock:\n%s", i, s.Log())
		}
	}
}
