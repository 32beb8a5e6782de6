package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kaizengarden/moray/core/client"
)

// fault is something that happens to a bed under load. It returns how long, of the time without service, PostgreSQL itself could not
// have served.
type fault struct {
	name string
	do   func(t testing.TB, b *bed, l *load) (own time.Duration)
	calm bool // no client may get an error
}

// faults are those of PostgreSQL, ZooKeeper and moray under a state that the test writes. The names begin with their number in the
// list of what has to be survived.
var faults = []fault{
	{name: "F1 one backend killed", do: killBackend},
	{name: "F2 all backends terminated", do: terminateBackends},
	{name: "F3 restart, fast", do: restart(syscall.SIGINT)},
	{name: "F3 restart, immediate", do: restart(syscall.SIGQUIT)},
	{name: "F3 power cut", do: restart(syscall.SIGKILL)},
	{name: "F4 failover", do: failover},
	{name: "F4 failover, 20 times", do: failovers},
	{name: "F4 switchover", do: switchover},
	{name: "F6 two primaries", do: twoPrimaries},
	{name: "F7 read-only for a second", do: readOnly, calm: true},
	{name: "F8 frozen for 2 s", do: frozen, calm: true},
	{name: "F8 frozen for ever, failover", do: frozenForEver},
	{name: "F10 ZooKeeper's leader killed, 3 times", do: killLeader, calm: true},
	{name: "F11 session expires, failover", do: expireSession},
	{name: "F12 no ZooKeeper for 3 s, failover meanwhile", do: noZooKeeper},
	{name: "F13 torn states", do: tornStates, calm: true},
	{name: "F23 clocks of moray jump by an hour", do: jumpMorays, calm: true},
	{name: "F23 clock of PostgreSQL jumps by an hour", do: jumpPostgreSQL, calm: true},
	{name: "F24 every moray restarted", do: restartMorays},
	{name: "F25 every moray killed", do: killMorays},
	{name: "F26 commits cut short, failover", do: cutCommits},
	{name: "F27 rows locked for 5 s", do: lockRows, calm: true},
	{name: "F28 definition changed 10 times", do: redefine, calm: true},
	{name: "connections reset in COMMIT", do: resets},
}

// awaitAnswer returns how long it takes until a server answers.
func awaitAnswer(t testing.TB, n *node) time.Duration {
	t.Helper()
	return timed(func() {
		eventually(t, n.name+" answers", func() bool { _, err := n.tryQuery("SELECT 1"); return err == nil })
	})
}

func killBackend(t testing.TB, b *bed, _ *load) time.Duration {
	pid, err := strconv.Atoi(b.primary.query(t, "SELECT min(pid) FROM pg_stat_activity WHERE usename = 'moray'"))
	if err != nil {
		t.Fatal(err)
	}
	signalAll([]int{pid}, syscall.SIGKILL) // PostgreSQL then ends all others and begins anew
	log := b.primary.dir + "/log"
	eventually(t, "PostgreSQL notices", func() bool { return fileHas(log, "reinitializing") })
	return awaitAnswer(t, b.primary)
}

func terminateBackends(t testing.TB, b *bed, _ *load) time.Duration {
	b.primary.query(t, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'moray'")
	return 0
}

func restart(signal syscall.Signal) func(testing.TB, *bed, *load) time.Duration {
	return func(t testing.TB, b *bed, _ *load) time.Duration {
		return timed(func() {
			if signal == syscall.SIGKILL {
				b.primary.kill(t)
			} else {
				b.primary.stop(t, signal)
			}
			b.primary.start(t)
		})
	}
}

// promote promotes the standby and names it, and returns how long that took.
func (b *bed) promote(t testing.TB) time.Duration {
	return timed(func() {
		b.nodes[1].promote(t)
		b.name(t, b.nodes[1])
	})
}

func failover(t testing.TB, b *bed, _ *load) time.Duration {
	return timed(func() {
		b.nodes[0].kill(t)
		b.promote(t)
	})
}

// failovers fails over to and fro. It returns what the failover took that was felt longest.
func failovers(t testing.TB, b *bed, l *load) (own time.Duration) {
	longest := time.Duration(0)
	for range 20 {
		took := failover(t, b, l)
		l.goOn(t, 200)
		if gap := l.longest(); gap > longest {
			longest, own = gap, took
		}
		b.rejoin(t)
		l.goOn(t, 1000)
	}
	return own
}

func switchover(t testing.TB, b *bed, _ *load) time.Duration {
	return timed(func() {
		b.nodes[0].stop(t, syscall.SIGINT) // which waits until the standby has everything
		b.promote(t)
	})
}

// twoPrimaries lets the old primary live on, taking writes. After the state has named the new one nothing may reach the old one.
func twoPrimaries(t testing.TB, b *bed, l *load) time.Duration {
	old := b.nodes[0]
	own := b.promote(t)
	l.goOn(t, 100)
	eventually(t, "no moray is connected to the old primary", func() bool {
		return old.query(t, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'moray' AND wait_event IS DISTINCT FROM 'SyncRep'") == "0"
	})
	// Its commits hung, and were acknowledged to nobody. From here on it would acknowledge anything.
	old.exec(t, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")
	eventually(t, "no commit hangs", func() bool {
		return old.query(t, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'moray'") == "0"
	})
	const written = "SELECT pg_current_wal_insert_lsn() || ' ' || (SELECT count(*) FROM ledger)"
	before := old.query(t, written)
	l.goOn(t, 500)
	if after := old.query(t, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'moray'"); after != "0" {
		t.Errorf("%s connections to the old primary", after)
	}
	if after := old.query(t, written); after != before {
		t.Errorf("the old primary was written to: %s, and then %s", before, after)
	}
	return own
}

func readOnly(t testing.TB, b *bed, _ *load) time.Duration {
	return timed(func() {
		b.primary.exec(t, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
		time.Sleep(time.Second) // the length of the fault
		b.primary.exec(t, "ALTER SYSTEM SET default_transaction_read_only = off", "SELECT pg_reload_conf()")
	})
}

func frozen(_ testing.TB, b *bed, _ *load) time.Duration {
	return timed(func() {
		b.primary.freeze()
		time.Sleep(2 * time.Second) // the length of the fault
		b.primary.thaw()
	})
}

func frozenForEver(t testing.TB, b *bed, _ *load) time.Duration {
	return timed(func() {
		b.nodes[0].freeze()
		b.promote(t)
	})
}

func killLeader(t testing.TB, b *bed, l *load) time.Duration {
	for range 3 {
		leader := b.zk.Leader(t)
		b.zk.Kill(t, leader)
		l.goOn(t, 200)
		b.zk.Start(t, leader)
		b.zk.Await(t)
	}
	return 0
}

func expireSession(t testing.TB, b *bed, l *load) time.Duration {
	for _, p := range b.proxies {
		if p.HasSession() {
			p.Expire(t)
		}
	}
	return failover(t, b, l)
}

func noZooKeeper(t testing.TB, b *bed, l *load) time.Duration {
	for i := range b.proxies {
		b.zk.Kill(t, i)
	}
	l.goOn(t, 500) // on the last primary
	return timed(func() {
		b.nodes[0].kill(t)
		b.nodes[1].promote(t)
		time.Sleep(3 * time.Second) // the length of the fault
		for i := range b.proxies {
			b.zk.Start(t, i)
		}
		b.zk.Await(t)
		b.name(t, b.nodes[1])
	})
}

func tornStates(t testing.TB, b *bed, l *load) time.Duration {
	other := b.nodes[len(b.nodes)-1].address() // whatever it is, it must not be followed
	for _, state := range []string{
		`{`, ``, `null`, `{"generation":9}`, `{"generation":0,"primary":{"pgUrl":"tcp://` + other + `"}}`,
		`{"generation":9,"primary":null,"sync":{"pgUrl":"tcp://` + other + `"}}`, `{"generation":9,"primary":{"pgUrl":"tcp://a,b:1"}}`,
	} {
		b.tree.Set(t, "state", state)
		l.goOn(t, 100)
	}
	return 0
}

func restartMorays(t testing.TB, b *bed, l *load) time.Duration {
	for _, m := range b.morays {
		m.terminate(t)
		m.start(t)
		m.awaitReady(t)
		l.goOn(t, 100)
	}
	return 0
}

func killMorays(t testing.TB, b *bed, l *load) time.Duration {
	for _, m := range b.morays {
		m.kill(t)
		l.goOn(t, 100)
		m.start(t)
		m.awaitReady(t)
	}
	eventually(t, "PostgreSQL holds nothing of the dead", func() bool {
		return b.primary.query(t, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'moray' AND state LIKE 'idle in%' AND state_change < now() - interval '2 s'") == "0"
	})
	return 0
}

// cutCommits makes commits wait for a frozen standby, cancels the wait, and fails over to that standby: what was committed on one
// machine only must not have been acknowledged.
func cutCommits(t testing.TB, b *bed, _ *load) time.Duration {
	return timed(func() {
		b.nodes[1].freeze()
		eventually(t, "commits wait for the standby", func() bool {
			return b.primary.query(t, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") != "0"
		})
		for range 3 {
			b.primary.query(t, "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE usename = 'moray'")
			time.Sleep(50 * time.Millisecond) // for more to come as far
		}
		b.nodes[0].kill(t)
		b.nodes[1].thaw()
		b.promote(t)
	})
}

// resets puts something between moray and PostgreSQL that resets connections at the worst moment: when the answer to a commit is
// on its way.
func resets(t testing.TB, b *bed, l *load) time.Duration {
	cutter := newCutter(t, b.primary.address())
	b.generation++
	b.tree.Set(t, "state", fmt.Sprintf(`{"generation":%d,"primary":{"pgUrl":"tcp://%s"}}`, b.generation, cutter.address()))
	for cutter.cuts.Load() < 20 {
		l.goOn(t, 20)
	}
	b.name(t, b.primary)
	return 0
}

// lockRows keeps some rows locked. Requests for others go on.
func lockRows(t testing.TB, b *bed, l *load) time.Duration {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, b.primary.url("moray"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "BEGIN; SELECT 1 FROM chain WHERE _key = 'chain-0' FOR UPDATE; SELECT 1 FROM hot FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	l.goOn(t, 1000)
	time.Sleep(time.Until(start.Add(5 * time.Second))) // the length of the fault
	if _, err := conn.Exec(ctx, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	return 0
}

// redefine changes, under writers, the definition of the bucket that they write to: each time a column and an index are added.
func redefine(t testing.TB, b *bed, l *load) time.Duration {
	c := client.New(client.Config{Addresses: b.addresses(), Connections: 1})
	defer c.Close()
	var columns []string
	for i := range 10 {
		columns = append(columns, fmt.Sprintf(`"c%d":{"type":"string"}`, i))
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := c.UpdateBucket(ctx, ledgerBucket, &client.BucketConfig{
			Index: json.RawMessage("{" + strings.Join(columns, ",") + "}"), Options: fmt.Appendf(nil, `{"version":%d}`, i+1),
		}, nil)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		l.goOn(t, 200)
	}
	return 0
}
