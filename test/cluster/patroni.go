package cluster

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/cluster/zktest"
	"github.com/kaizengarden/moray/core/pgstore"
)

// patroni is a cluster of three under Patroni, in synchronous mode.
type patroni struct {
	members []*member
	zk      *zktest.Ensemble
	tree    *zktest.Tree
	morays  []*moray
}

// member is one PostgreSQL server and the Patroni that minds it.
type member struct {
	node
	rest  int             // port of Patroni's own HTTP server
	agent *process        // Patroni
	proxy []*zktest.Proxy // between it and ZooKeeper
}

// newPatroni starts ZooKeeper, three members and two moray servers.
func newPatroni(t testing.TB) *patroni {
	t.Helper()
	if _, err := os.Stat("/usr/bin/patroni"); err != nil {
		t.Fatalf("Patroni is missing: CLUSTER=1 scripts/install-deps: %v", err)
	}
	p := &patroni{zk: zktest.NewEnsemble(t, 3)}
	p.tree = p.zk.Tree(t)
	dir, as := home(t), postgresUser(t)
	for i := range 3 {
		name := fmt.Sprintf("n%d", i+1)
		m := &member{node: node{name: name, port: freePort(t), dir: filepath.Join(dir, name), binDir: binDir(t), as: as}, rest: freePort(t)}
		own(t, as, m.dir)
		for z := range 3 {
			m.proxy = append(m.proxy, zktest.NewProxy(t, p.tree, z))
		}
		m.configurePatroni(t, p.tree.Root)
		m.startPatroni(t)
		t.Cleanup(func() { m.killAll(t) })
		p.members = append(p.members, m)
		if i == 0 {
			eventually(t, "the first member leads", func() bool { return m.role() == "leader" })
		}
	}
	eventually(t, "all members run", func() bool {
		running := 0
		for _, m := range p.members {
			if m.role() != "" {
				running++
			}
		}
		return running == 3
	})
	leader := p.leader(t)
	if err := pgstore.Init(t.Context(), pgstore.Bootstrap{URL: leader.url("postgres")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there is a synchronous standby", func() bool {
		return leader.query(t, "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')") != "0"
	})
	eventually(t, "Patroni knows a synchronous standby", func() bool { // without one it promotes nobody
		return slices.ContainsFunc(p.members, func(m *member) bool { return m.is("synchronous") })
	})
	database := fmt.Sprintf(`"patroni":{"url":"tcp://moray@/moray","pg":{"connectTimeout":1000,"maxConnections":8},"patroni":{"path":"%s/moray","zk":{"connStr":"%s"}}}`,
		p.tree.Root, strings.Join(p.zk.Servers(), ","))
	for range 2 {
		p.morays = append(p.morays, newMoray(t, database))
	}
	for _, m := range p.morays {
		m.awaitReady(t)
	}
	createBuckets(t, p.morays[0].address())
	return p
}

func (m *member) configurePatroni(t testing.TB, root string) {
	t.Helper()
	var hosts []string
	for _, p := range m.proxy {
		hosts = append(hosts, "'"+p.Address()+"'")
	}
	text := fmt.Sprintf(`scope: moray
namespace: %[1]s/
name: %[2]s
restapi: {listen: '127.0.0.1:%[3]d', connect_address: '127.0.0.1:%[3]d'}
zookeeper: {hosts: [%[4]s]}
bootstrap:
  dcs:
    ttl: 6
    loop_wait: 1
    retry_timeout: 2
    maximum_lag_on_failover: 1048576
    primary_start_timeout: 0
    master_start_timeout: 0
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters: {max_connections: 100, shared_buffers: 32MB, fsync: 'off', wal_retrieve_retry_interval: 200ms, wal_log_hints: 'on', hot_standby: 'on', wal_keep_size: 256MB, client_connection_check_interval: 1s}
  initdb: [{encoding: UTF8}, {locale: C}, no-sync]
postgresql:
  listen: 127.0.0.1:%[5]d
  connect_address: 127.0.0.1:%[5]d
  data_dir: %[6]s
  bin_dir: %[7]s
  pgpass: %[8]s/pgpass
  parameters: {unix_socket_directories: '%[8]s'}
  pg_hba: ['local all all trust', 'host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust']
  authentication:
    superuser: {username: postgres}
    replication: {username: replicator}
    rewind: {username: postgres}
`, root, m.name, m.rest, strings.Join(hosts, ", "), m.port, m.data(), m.binDir, m.dir)
	if err := os.WriteFile(filepath.Join(m.dir, "patroni.yml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (m *member) startPatroni(t testing.TB) {
	t.Helper()
	m.agent = spawn(t, m.as, m.dir, filepath.Join(m.dir, "patroni.log"), minimalEnv(m.dir), "/usr/bin/patroni", filepath.Join(m.dir, "patroni.yml"))
}

var impatient = http.Client{Timeout: time.Second}

// role returns leader, replica, or "" for a member that is neither.
func (m *member) role() string {
	for _, role := range []string{"leader", "replica"} {
		if m.is(role) {
			return role
		}
	}
	return ""
}

// is asks Patroni whether the member has a role.
func (m *member) is(role string) bool {
	resp, err := impatient.Get(fmt.Sprintf("http://127.0.0.1:%d/%s", m.rest, role))
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// leader returns the member that leads. It waits until there is one.
func (p *patroni) leader(t testing.TB) (leader *member) {
	t.Helper()
	eventually(t, "a member leads", func() bool {
		for _, m := range p.members {
			if m.role() == "leader" {
				leader = m
				return true
			}
		}
		return false
	})
	return leader
}

// others returns the members that are not m.
func (p *patroni) others(m *member) []*member {
	var others []*member
	for _, o := range p.members {
		if o != m {
			others = append(others, o)
		}
	}
	return others
}

// promoted waits until another member than old takes writes.
func (p *patroni) promoted(t testing.TB, old *member) {
	t.Helper()
	eventually(t, "another member takes writes", func() bool {
		for _, m := range p.others(old) {
			if recovering, err := m.tryQuery("SELECT pg_is_in_recovery()"); err == nil && recovering == "f" {
				return true
			}
		}
		return false
	})
}

// postmaster returns the process of PostgreSQL.
func (m *member) postmaster(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.data(), "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.SplitN(string(text), "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func (m *member) signalPostgreSQL(t testing.TB, s syscall.Signal) {
	t.Helper()
	signalAll(family(m.postmaster(t)), s)
}

// killAll ends Patroni and PostgreSQL at once, as the loss of the machine would.
func (m *member) killAll(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.data(), "postmaster.pid"))
	m.agent.end(t, "Patroni "+m.name)
	if err != nil {
		return
	}
	if pid, err := strconv.Atoi(strings.SplitN(string(text), "\n", 2)[0]); err == nil {
		signalAll(family(pid), syscall.SIGKILL)
	}
}

// verdict compares what clients were told with what is stored on the member that ZooKeeper names.
func (p *patroni) verdict(t testing.TB, l *ledger) verdict {
	t.Helper()
	var etags map[string]string
	var chains map[string]int
	name := p.tree.Get(t, "moray/leader")
	for _, m := range p.members {
		if m.name == name {
			etags, chains = stored(t, &m.node)
		}
	}
	return l.check(etags, chains)
}
