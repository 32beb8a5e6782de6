package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// output collects what a process that runs says.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) has(text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Contains(o.buf.String(), text)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// serving runs moray serve, with the text of the object reconcile in its configuration and variables besides those of
// the test, until the test ends.
func serving(t *testing.T, db *pgtest.DB, reconcile string, variables ...string) (*exec.Cmd, *output) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.json")
	text := fmt.Sprintf(`{"bindip":"127.0.0.1","port":0,"monitorPort":0,"bunyan":{},"server_uuid":"t","datacenter":"t",
"standalone":{"pg":{},"url":%q},"reconcile":%s}`, db.URL(), reconcile)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return serveFile(t, file, variables...)
}

// serveFile runs moray serve, with variables besides those of the test, until the test ends.
func serveFile(t *testing.T, file string, variables ...string) (*exec.Cmd, *output) {
	t.Helper()
	cmd, _ := moray(t, "serve", "-f", file)
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(append(os.Environ(), "TMPDIR=/tmp"), variables...) // the sockets of plugins need a short path
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait() //nolint:errcheck // because it was killed
		}
		if t.Failed() {
			t.Logf("moray serve: %s", out)
		}
	})
	return cmd, out
}

// A server applies its definitions at the start and when a file changes, and looks again when it is told to.
func TestServeDefinitions(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	dir := definitions(t, killedBefore)
	cmd, out := serving(t, db, fmt.Sprintf(`{"directory":%q}`, dir))
	buckets := func() string {
		return strings.Join(db.Strings(t, "SELECT name, options FROM buckets_config ORDER BY 1"), " ")
	}
	eventually(t, "the bucket is made", func() bool { return buckets() == `users|{"version":1}` })
	more := "apiVersion: moray/v1\nkind: Bucket\nmetadata: {name: more}\nspec: {}\n"
	if err := os.WriteFile(filepath.Join(dir, "more.yaml"), []byte(more), 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new bucket is made", func() bool { return buckets() == `more|{"version":0} users|{"version":1}` })

	// As an original server changes a bucket: without telling anybody.
	db.Exec(t, `UPDATE buckets_config SET options = '{"version":9}' WHERE name = 'users'`)
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log says what an original server did", func() bool { return out.has("bucket differs from its definition") })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server ends with %v", err)
	}
}

// A server that is told to ends at the start if it cannot apply its definitions, and says why.
func TestServeExits(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	dir := definitions(t, "- broken")
	cmd, out := serving(t, db, fmt.Sprintf(`{"directory":%q,"onError":"exit"}`, dir))
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("the server ends with %v", err)
	}
	if want := filepath.Join(dir, "buckets.yaml") + ":1:1: should be an object, not a list\nmoray: 1 problem\n"; !out.has(want) {
		t.Errorf("it does not say %q", want)
	}
}

// systemd learns when clients can connect, and that the server stops.
func TestServeNotifies(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/tmp", "n") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	heard := func(want string) {
		t.Helper()
		if err := systemd.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		if n, err := systemd.Read(buf); err != nil || string(buf[:n]) != want {
			t.Fatalf("systemd hears %q, %v, want %q", buf[:n], err, want)
		}
	}
	cmd, _ := serving(t, pgtest.New(t), `{}`, "NOTIFY_SOCKET="+systemd.LocalAddr().String())
	heard("READY=1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	heard("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server ends with %v", err)
	}
}

// A server that is killed in the middle of a reindexing leaves it to the next one, which goes on where it was.
func TestServeReindexKilled(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	const spec = "apiVersion: moray/v1\nkind: Bucket\nmetadata: {name: b}\nspec: {version: %d, reindex: {rate: 2000, batch: 20}, index: {%s}}\n"
	dir := definitions(t, fmt.Sprintf(spec, 1, ""))
	cmd, _ := serving(t, db, fmt.Sprintf(`{"directory":%q}`, dir))
	is := func(sql, want string) func() bool {
		return func() bool {
			got := db.Strings(t, sql)
			return len(got) == 1 && got[0] == want
		}
	}
	eventually(t, "the bucket is made", is(`SELECT options FROM buckets_config`, `{"version":1}`))
	db.Exec(t, `INSERT INTO b (_key, _value, _etag) SELECT 'k' || i, '{"n":' || i || '}', 'A3A6BF43' FROM generate_series(1, 3000) i`)
	if err := os.WriteFile(filepath.Join(dir, "buckets.yaml"), fmt.Appendf(nil, spec, 2, "n: {type: number}"), 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "rows are reindexed", is(`SELECT count(*) > 0 FROM pg_attribute, b WHERE attname = '_rver' AND attrelid = 'b'::regclass AND to_jsonb(b) ->> '_rver' = '2'`, "t"))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() //nolint:errcheck // because it was killed
	eventually(t, "its transactions have ended", is(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'moray'`, "0"))
	before := db.Strings(t, `SELECT done, began FROM _moray.reindexing`)[0]
	done, began, _ := strings.Cut(before, "|")
	if done == "0" || done == "3000" || !is(`SELECT count(*) FROM b WHERE _rver = 2`, done)() {
		t.Errorf("killed after %s of 3000 rows, which is not what is there", done)
	}
	serving(t, db, fmt.Sprintf(`{"directory":%q}`, dir))
	eventually(t, "the index can be used", is(`SELECT reindex_active FROM buckets_config`, "{}"))
	if got := db.Strings(t, `SELECT done, began FROM _moray.reindexing`)[0]; got != "3000|"+began {
		t.Errorf("the job was %s, and is %s", before, got)
	}
	if !is(`SELECT sum(n) FROM b`, fmt.Sprint(3000*3001/2))() {
		t.Error("columns are not what the rows say")
	}
}
