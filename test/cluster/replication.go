package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/kaizengarden/moray/core/pgstore"
)

// node is one PostgreSQL server.
type node struct {
	name   string
	port   int
	dir    string // its data is in data
	walDir string // "" for in data
	binDir string
	as     *syscall.Credential
	server *process
}

// replication is a primary, a synchronous standby and another standby, set up by hand.
type replication struct {
	nodes []*node // the primary, the synchronous standby, the other
}

// newReplication starts a primary and up to two standbys. The database moray is prepared. mount, if it is not nil, is called with the
// primary before there is anything in its directories.
func newReplication(t testing.TB, standbys int, mount func(*node)) *replication {
	t.Helper()
	dir, as := home(t), postgresUser(t)
	r := &replication{}
	for i := range 1 + standbys {
		name := string(rune('a' + i))
		n := &node{name: name, port: freePort(t), dir: filepath.Join(dir, name), binDir: binDir(t), as: as}
		own(t, as, n.dir)
		r.nodes = append(r.nodes, n)
		t.Cleanup(func() { n.kill(t) })
	}
	primary := r.nodes[0]
	if mount != nil {
		mount(primary)
	}
	primary.initialize(t)
	primary.start(t)
	for i, n := range r.nodes[1:] {
		n.clone(t, primary, i+1)
		n.start(t)
	}
	if err := pgstore.Init(t.Context(), pgstore.Bootstrap{URL: primary.url("postgres")}); err != nil {
		t.Fatal(err)
	}
	if standbys > 0 {
		primary.waitFor(t, r.nodes[1], standbys)
	}
	return r
}

// waitFor makes the commits of a primary wait for one of its standbys, once all of them follow.
func (n *node) waitFor(t testing.TB, standby *node, standbys int) {
	t.Helper()
	n.exec(t, "ALTER SYSTEM SET synchronous_standby_names = '"+standby.name+"'", "SELECT pg_reload_conf()")
	eventually(t, "the standbys follow", func() bool {
		return n.query(t, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == strconv.Itoa(standbys) &&
			n.query(t, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == "1"
	})
}

// rejoin makes the old primary, which is lost, the synchronous standby of the new one.
func (r *replication) rejoin(t testing.TB) {
	t.Helper()
	old, now := r.nodes[0], r.nodes[1]
	old.kill(t)
	if err := os.RemoveAll(old.data()); err != nil {
		t.Fatal(err)
	}
	old.clone(t, now, 1)
	old.start(t)
	now.waitFor(t, old, 1)
	r.nodes[0], r.nodes[1] = now, old
}

func binDir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("MORAY_PG_BIN"); dir != "" {
		return dir
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well-formed
	if len(found) == 0 {
		t.Fatal("there is no PostgreSQL: make deps")
	}
	return found[len(found)-1]
}

func (n *node) data() string { return filepath.Join(n.dir, "data") }

func (n *node) address() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }

// url is where the superuser connects to.
func (n *node) url(database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable&connect_timeout=5", n.address(), database)
}

// initialize makes the first cluster.
func (n *node) initialize(t testing.TB) {
	t.Helper()
	args := []string{"-D", n.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"}
	if n.walDir != "" {
		args = append(args, "-X", n.walDir)
	}
	run(t, n.as, n.dir, filepath.Join(n.binDir, "initdb"), args...)
	n.configure(t, `listen_addresses = '127.0.0.1'
wal_level = replica
max_wal_senders = 10
max_replication_slots = 10
hot_standby = on
wal_keep_size = 256MB
wal_log_hints = on
max_connections = 100
shared_buffers = 32MB
max_wal_size = 64MB
min_wal_size = 32MB
fsync = off
recovery_target_timeline = 'latest'
wal_retrieve_retry_interval = '200ms'
client_connection_check_interval = '1s'
`)
	n.configure(t, fmt.Sprintf("port = %d\nunix_socket_directories = '%s'\n", n.port, n.dir))
}

// configure adds to the configuration file. The last of several settings of one name counts.
func (n *node) configure(t testing.TB, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(n.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// clone makes n a standby of a primary.
func (n *node) clone(t testing.TB, primary *node, slot int) {
	t.Helper()
	name := "slot_" + strconv.Itoa(slot)
	run(t, n.as, n.dir, filepath.Join(n.binDir, "pg_basebackup"), "-h", "127.0.0.1", "-p", strconv.Itoa(primary.port), "-U", "postgres",
		"-D", n.data(), "-X", "stream", "-c", "fast", "-C", "-S", name)
	n.configure(t, fmt.Sprintf("port = %d\nunix_socket_directories = '%s'\nprimary_slot_name = '%s'\n"+
		"primary_conninfo = 'host=127.0.0.1 port=%d user=postgres application_name=%s'\n", n.port, n.dir, name, primary.port, n.name))
	run(t, n.as, n.dir, "/bin/sh", "-c", "touch "+filepath.Join(n.data(), "standby.signal"))
}

// start starts the server and waits until it takes connections.
func (n *node) start(t testing.TB) {
	t.Helper()
	os.Remove(filepath.Join(n.data(), "postmaster.pid")) // of a server that was killed
	n.server = spawn(t, n.as, n.dir, filepath.Join(n.dir, "log"), minimalEnv(n.dir), filepath.Join(n.binDir, "postgres"), "-D", n.data())
	eventually(t, "PostgreSQL "+n.name+" takes connections", func() bool {
		if !n.server.running() {
			t.Fatalf("PostgreSQL %s has ended:\n%s", n.name, tail(filepath.Join(n.dir, "log")))
		}
		_, err := n.tryQuery("SELECT 1")
		return err == nil
	})
}

// pids returns all processes of the server.
func (n *node) pids() []int { return family(n.server.cmd.Process.Pid) }

// kill ends all processes at once, as a power cut would. The first is stopped before, or it would start another meanwhile.
func (n *node) kill(t testing.TB) {
	t.Helper()
	if !n.server.running() {
		return
	}
	n.server.signal(syscall.SIGSTOP)
	eventually(t, "PostgreSQL "+n.name+" starts no more processes", func() bool { return stopped(n.server.cmd.Process.Pid) })
	pids := n.pids()
	signalAll(pids, syscall.SIGKILL)
	n.server.await(t, "PostgreSQL "+n.name)
	eventually(t, "no process of PostgreSQL "+n.name+" is left", func() bool { return !slices.ContainsFunc(pids, alive) })
}

// stop ends the server with a signal: SIGINT ends sessions and shuts down, SIGQUIT ends at once.
func (n *node) stop(t testing.TB, s syscall.Signal) {
	t.Helper()
	n.server.signal(s)
	n.server.await(t, "PostgreSQL "+n.name)
}

// freeze stops all processes in their tracks until thaw.
func (n *node) freeze() { signalAll(n.pids(), syscall.SIGSTOP) }

func (n *node) thaw() { signalAll(n.pids(), syscall.SIGCONT) }

// promote makes a standby a primary and waits until it takes writes.
func (n *node) promote(t testing.TB) {
	t.Helper()
	n.exec(t, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()", "SELECT pg_promote(true, 60)")
	eventually(t, n.name+" is promoted", func() bool { return n.query(t, "SELECT pg_is_in_recovery()") == "f" })
}

// exec runs statements as superuser.
func (n *node) exec(t testing.TB, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, n.url("postgres"))
	if err != nil {
		t.Fatalf("connect to %s: %v", n.name, err)
	}
	defer conn.Close(ctx)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			t.Fatalf("%s: %s: %v", n.name, s, err)
		}
	}
}

// query returns the only value of a query in the database moray, or postgres before there is one.
func (n *node) query(t testing.TB, sql string) string {
	t.Helper()
	value, err := n.tryQuery(sql)
	if err != nil {
		t.Fatalf("%s: %s: %v", n.name, sql, err)
	}
	return value
}

func (n *node) tryQuery(sql string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, n.url("moray"))
	if err != nil && strings.Contains(err.Error(), "3D000") { // there is no such database yet
		conn, err = pgx.Connect(ctx, n.url("postgres"))
	}
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var value string
	err = conn.QueryRow(ctx, sql, pgx.QueryResultFormats{pgx.TextFormatCode}).Scan(&value)
	return value, err
}

// receiver returns the process of a standby that takes in what the primary writes.
func (n *node) receiver(t testing.TB) int {
	t.Helper()
	for _, pid := range n.pids() {
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(text), "walreceiver") {
			return pid
		}
	}
	t.Fatalf("%s has no WAL receiver", n.name)
	return 0
}

// freezeReceiver makes a standby fall behind.
func (n *node) freezeReceiver(t testing.TB) {
	t.Helper()
	signalAll([]int{n.receiver(t)}, syscall.SIGSTOP)
}

// killReceiver ends a frozen receiver, with all that it had not taken in.
func (n *node) killReceiver(t testing.TB) {
	t.Helper()
	signalAll([]int{n.receiver(t)}, syscall.SIGKILL)
	eventually(t, n.name+" takes it for a crash and begins anew", func() bool {
		return strings.Contains(tail(filepath.Join(n.dir, "log")), "all server processes terminated; reinitializing")
	})
	eventually(t, n.name+" takes connections again", func() bool { _, err := n.tryQuery("SELECT 1"); return err == nil })
}
