package cluster_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/cluster"
	"github.com/kaizengarden/moray/core/cluster/zktest"
)

func TestSessionExpires(t *testing.T) {
	t.Parallel()
	m := newManatee(t)
	proxy := zktest.NewProxy(t, m.Tree, 0)
	m.state(t, 1, "10.0.0.1:5432", "")
	f := m.follow(t, proxy.Address())
	f.want(t, "10.0.0.1:5432", 1)
	for generation := 2; generation < 6; generation++ {
		proxy.Expire(t)
		primary := "10.0.0.1:543" + string(rune('0'+generation))
		m.state(t, generation, primary, "")
		f.want(t, primary, uint64(generation))
	}
	if log := f.log.String(); strings.Count(log, "connected to the cluster state") != 5 {
		t.Errorf("want five sessions; log:\n%s", log)
	}
}

// A lost connection keeps the session, and what happened meanwhile is noticed.
func TestConnectionLost(t *testing.T) {
	t.Parallel()
	m := newManatee(t)
	proxy := zktest.NewProxy(t, m.Tree, 0)
	m.state(t, 1, "10.0.0.1:5432", "")
	f := m.follow(t, proxy.Address())
	f.want(t, "10.0.0.1:5432", 1)
	proxy.Cut()
	m.state(t, 2, "10.0.0.2:5432", "")
	f.want(t, "10.0.0.2:5432", 2)

	proxy.Down()
	f.await(t, "the loss is told", func(s cluster.Status) bool { return s.Connected == "" && strings.Contains(s.Problem, "refused") })
	m.state(t, 3, "10.0.0.3:5432", "")
	f.none(t)
	if got := f.Status().Topology.Primary; got != "10.0.0.2:5432" {
		t.Errorf("primary %s without ZooKeeper, want the last one", got)
	}
	proxy.Up(t)
	f.want(t, "10.0.0.3:5432", 3)
	f.await(t, "the connection is told", func(s cluster.Status) bool { return s.Connected != "" && s.Problem == "" })
}

// A server that is silent is left for another.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	m := newManatee(t)
	one, two := zktest.NewProxy(t, m.Tree, 0), zktest.NewProxy(t, m.Tree, 0)
	m.state(t, 1, "10.0.0.1:5432", "")
	two.Hold()
	f := follow(t, manateeOver(m, cluster.ZooKeeper{Servers: []string{one.Address(), two.Address()}, SessionTimeout: time.Second}))
	f.want(t, "10.0.0.1:5432", 1) // whichever is tried first
	one.Hold()
	two.Release()
	m.state(t, 2, "10.0.0.2:5432", "")
	f.want(t, "10.0.0.2:5432", 2)
}

// A watch that got lost costs time, not correctness: a doubt, or the slow poll, finds what has changed.
func TestLostWatch(t *testing.T) {
	t.Parallel()
	m := newManatee(t)
	proxy := zktest.NewProxy(t, m.Tree, 0)
	m.state(t, 1, "10.0.0.1:5432", "")
	f := m.follow(t, proxy.Address())
	f.want(t, "10.0.0.1:5432", 1)
	proxy.Deafen(true)
	m.state(t, 2, "10.0.0.2:5432", "")
	f.Doubt()
	f.want(t, "10.0.0.2:5432", 2)
	proxy.Deafen(false)
	m.state(t, 3, "10.0.0.3:5432", "")
	f.want(t, "10.0.0.3:5432", 3)
}

// What is no ZooKeeper, or no host, is passed over.
func TestNoZooKeeper(t *testing.T) {
	t.Parallel()
	m := newManatee(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	t.Cleanup(func() {
		ln.Close()
		<-served
	})
	go func() {
		defer close(served)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			conn.Close()
		}
	}()
	f := m.follow(t, ln.Addr().String(), "no-such-host.invalid:2181")
	f.await(t, "the failure is told", func(s cluster.Status) bool { return strings.Contains(s.Problem, "no server answers") })
	f.none(t)
	f.stop()

	m.state(t, 1, "10.0.0.1:5432", "")
	f = m.follow(t, append(m.Servers(), ln.Addr().String(), "no-such-host.invalid:2181")...)
	f.want(t, "10.0.0.1:5432", 1)
}

// TestEnsemble kills the leader, then everything, under a follower.
func TestEnsemble(t *testing.T) {
	t.Parallel()
	e := zktest.NewEnsemble(t, 3)
	m := manatee{e.Tree(t)}
	m.state(t, 1, "10.0.0.1:5432", "")
	f := m.follow(t)
	f.want(t, "10.0.0.1:5432", 1)

	leader := e.Leader(t)
	e.Kill(t, leader)
	m.state(t, 2, "10.0.0.2:5432", "")
	f.want(t, "10.0.0.2:5432", 2)

	e.Freeze(t, e.Leader(t)) // two of three are gone now
	for i := range 3 {
		e.Kill(t, i)
	}
	f.await(t, "the loss is told", func(s cluster.Status) bool { return s.Connected == "" })
	f.none(t)
	late := m.follow(t) // one that starts without ZooKeeper
	late.await(t, "the failure is told", func(s cluster.Status) bool { return strings.Contains(s.Problem, "no server answers") })

	for i := range 3 {
		e.Start(t, i)
	}
	late.want(t, "10.0.0.2:5432", 2)
	m.state(t, 3, "10.0.0.3:5432", "")
	f.want(t, "10.0.0.3:5432", 3)
	late.want(t, "10.0.0.3:5432", 3)
}

// The end does not wait for ZooKeeper.
func TestEndsWithoutZooKeeper(t *testing.T) {
	t.Parallel()
	m := newManatee(t)
	proxy := zktest.NewProxy(t, m.Tree, 0)
	m.state(t, 1, "10.0.0.1:5432", "")
	f := m.follow(t, proxy.Address())
	f.want(t, "10.0.0.1:5432", 1)
	proxy.Hold()
	f.stop()

	proxy.Down()
	f = m.follow(t, proxy.Address())
	f.await(t, "the failure is told", func(s cluster.Status) bool { return s.Problem != "" })
	f.stop()
}
