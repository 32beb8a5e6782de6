package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// moray returns a command that runs the program, as a process of its own.
func moray(t *testing.T, args ...string) (cmd *exec.Cmd, output *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	output = &bytes.Buffer{}
	cmd = exec.CommandContext(t.Context(), self)
	cmd.Args = append([]string{"moray"}, args...) // by this name the test binary is the program
	cmd.Stdout, cmd.Stderr = output, output
	return cmd, output
}

// definitions writes a file of definitions and returns its directory.
func definitions(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "buckets.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

const (
	killedBefore = `apiVersion: moray/v1
kind: Bucket
metadata: {name: users}
spec:
  version: 1
  index: {a: {type: string}, n: {type: string}, u: {type: string}, p: {type: string, unique: true}, gone: {type: number}}
`
	killedAfter = `apiVersion: moray/v1
kind: Bucket
metadata: {name: users}
spec:
  version: 2
  index:
    {a: {type: string}, n: {type: number}, u: {type: string, unique: true}, p: {type: string}, more: {type: number}, tags: {type: "[string]"}}
  options: {guaranteeOrder: true}
  allow: [change-type=n, drop-index=gone]
---
apiVersion: moray/v1
kind: Bucket
metadata: {name: another}
spec: {version: 1, index: {x: {type: ip}}, protect: true}
`
)

// moray buckets apply is killed at its statements that change something: at each of them with MORAY_EVERY_STEP (make
// crash-test), else at every third. What is there works, and the next apply does the rest.
func TestApplyKilled(t *testing.T) {
	t.Parallel()
	stride := 3
	if os.Getenv("MORAY_EVERY_STEP") != "" {
		stride = 1
	}
	before, after := definitions(t, killedBefore), definitions(t, killedAfter)
	for k := 1; k <= 49; k += stride {
		t.Run(fmt.Sprint("at statement ", k), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			run := func(dir string) {
				t.Helper()
				if cmd, output := moray(t, "buckets", "apply", "-d", dir, "--url", db.URL()); cmd.Run() != nil {
					t.Fatalf("apply: %s", output)
				}
			}
			run(before)
			db.Exec(t, `INSERT INTO users (_key, _value, _etag, a, n, u, p, gone) SELECT 'k' || i,
 format('{"a":"a","n":"%s","u":"u%s","p":"p%s","more":%s,"tags":["t"]}', i, i, i, i), 'etag', 'a', i, 'u' || i, 'p' || i, 1
 FROM generate_series(1, 20) i`)
			proxy := pgtest.NewProxy(t, db)
			cmd, output := moray(t, "buckets", "apply", "-d", after, "--url", proxy.URL())
			killed := killAt(proxy, cmd, k)
			if err := cmd.Run(); killed() != (err != nil) {
				t.Fatalf("the apply that was killed (%t): %v\n%s", killed(), err, output)
			}
			db.Exec(t, `UPDATE users SET _mtime = 1 WHERE _key = 'k1'`) // nobody has to wait for what is left
			run(after)
			if cmd, output := moray(t, "buckets", "plan", "-d", after, "--url", db.URL()); cmd.Run() != nil {
				t.Errorf("the plan afterwards:\n%s", output)
			}
			if got := db.Strings(t, `SELECT count(*), sum(n), count(DISTINCT u), (SELECT count(*) FROM pg_index WHERE NOT indisvalid),
 (SELECT count(*) FROM _moray.unfinished), (SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname ~ '^_moray' AND NOT attisdropped)
 FROM users`)[0]; got != "20|210|20|0|0|0" {
				t.Errorf("rows, their sum and values; invalid indexes, leftovers, shadows: %s", got)
			}
		})
	}
}

// killAt kills a program when it sends its k-th statement that changes something. killed reports whether it came to that.
func killAt(proxy *pgtest.Proxy, cmd *exec.Cmd, k int) (killed func() bool) {
	var mu sync.Mutex
	n := 0
	proxy.SetRule(func(_ context.Context, m pgtest.Message) pgtest.Action {
		text := string(m.Body)
		if !m.FromClient || m.Type != 'P' || strings.Contains(text, "\x00SELECT") || strings.Contains(text, "\x00BEGIN") {
			return pgtest.Pass
		}
		mu.Lock()
		defer mu.Unlock()
		if n++; n == k {
			cmd.Process.Kill()
			if k%2 == 0 {
				return pgtest.Cut
			}
		}
		return pgtest.Pass // it reaches PostgreSQL, which finds nobody to answer to
	})
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		return n >= k
	}
}

// Who does not get his turn in time ends with a status of its own.
func TestApplyBusy(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	other := db.Connect(t)
	if _, err := other.Exec(t.Context(), `SELECT pg_advisory_lock(hashtext('moray buckets.d'), hashtext(''))`); err != nil {
		t.Fatal(err)
	}
	cmd, output := moray(t, "buckets", "apply", "-d", definitions(t, killedBefore), "--url", db.URL(), "--lock-timeout", "50ms")
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != exitBusy {
		t.Errorf("apply ended with %v", err)
	}
	if want := "moray: somebody else applies definitions, and did not end within 50ms\n"; output.String() != want {
		t.Errorf("it says %q, want %q", output, want)
	}
}
