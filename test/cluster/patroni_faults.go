package cluster

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patroniFault is something that happens to a cluster under Patroni. It returns how long nobody could have served: until another
// member takes writes.
type patroniFault struct {
	name string
	do   func(t testing.TB, p *patroni, l *load) time.Duration
}

var patroniFaults = []patroniFault{
	{"F5 PostgreSQL killed", func(t testing.TB, p *patroni, _ *load) time.Duration {
		return p.after(t, func(leader *member) { leader.signalPostgreSQL(t, syscall.SIGKILL) })
	}},
	{"F5 node killed", func(t testing.TB, p *patroni, _ *load) time.Duration {
		return p.after(t, func(leader *member) { leader.killAll(t) })
	}},
	{"F5 SIGTERM to Patroni", func(t testing.TB, p *patroni, _ *load) time.Duration {
		return p.after(t, func(leader *member) { leader.agent.signal(syscall.SIGTERM) })
	}},
	{"F5 switchover", func(t testing.TB, p *patroni, _ *load) time.Duration {
		return p.after(t, func(leader *member) { leader.switchover(t) })
	}},
	{"F6 Patroni killed, PostgreSQL lives", patroniKilled},
	{"F8 node frozen", func(t testing.TB, p *patroni, _ *load) time.Duration {
		return p.after(t, func(leader *member) {
			leader.agent.signal(syscall.SIGSTOP)
			leader.signalPostgreSQL(t, syscall.SIGSTOP)
		})
	}},
	{"F9 primary cut off from ZooKeeper", func(t testing.TB, p *patroni, _ *load) time.Duration {
		return p.after(t, func(leader *member) {
			for _, proxy := range leader.proxy {
				proxy.Hold()
			}
		})
	}},
	{"F12 ZooKeeper's quorum lost for 5 s", quorumLost},
	{"F10 ZooKeeper's leader killed", func(t testing.TB, p *patroni, l *load) time.Duration {
		leader := p.zk.Leader(t)
		p.zk.Kill(t, leader)
		l.goOn(t, 1000)
		p.zk.Start(t, leader)
		return 0
	}},
}

// quorumLost makes Patroni demote a healthy primary: it cannot renew its lock. moray stays with it as long as it serves.
func quorumLost(t testing.TB, p *patroni, _ *load) time.Duration {
	return timed(func() {
		leader := p.zk.Leader(t)
		p.zk.Kill(t, leader)
		p.zk.Kill(t, (leader+1)%3)
		time.Sleep(5 * time.Second) // the length of the fault
		p.zk.Start(t, leader)
		p.zk.Start(t, (leader+1)%3)
		p.zk.Await(t)
		p.promoted(t, nil)
	})
}

// after does something to the leader and returns how long it took until another member took writes.
func (p *patroni) after(t testing.TB, do func(leader *member)) time.Duration {
	leader := p.leader(t)
	return timed(func() {
		do(leader)
		p.promoted(t, leader)
	})
}

// switchover asks Patroni to make another member the leader.
func (m *member) switchover(t testing.TB) {
	t.Helper()
	resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/switchover", m.rest), "application/json", strings.NewReader(`{"leader":"`+m.name+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("switchover: %s", resp.Status)
	}
}

// patroniKilled leaves two primaries: nobody tells the old one that it is not one any more.
func patroniKilled(t testing.TB, p *patroni, l *load) time.Duration {
	leader := p.leader(t)
	took := timed(func() {
		leader.agent.end(t, "Patroni")
		p.promoted(t, leader)
	})
	l.goOn(t, 200)
	if recovering := leader.query(t, "SELECT pg_is_in_recovery()"); recovering != "f" {
		t.Errorf("the old primary is none any more, so nothing is shown")
	}
	eventually(t, "no moray is connected to the old primary", func() bool {
		return leader.query(t, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'moray' AND wait_event IS DISTINCT FROM 'SyncRep'") == "0"
	})
	before := leader.query(t, "SELECT pg_current_wal_insert_lsn()")
	l.goOn(t, 500)
	if after := leader.query(t, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'moray' AND wait_event IS DISTINCT FROM 'SyncRep'"); after != "0" {
		t.Errorf("%s connections to the old primary", after)
	}
	t.Logf("the old primary's position is %s, and was %s when the new one was followed", leader.query(t, "SELECT pg_current_wal_insert_lsn()"), before)
	return took
}
