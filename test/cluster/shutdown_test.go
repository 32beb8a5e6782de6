package cluster

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/client"
)

// TestShutdown tells servers to end while they have work. Everybody is answered who can be within the grace period.
func TestShutdown(t *testing.T) {
	r := newReplication(t, 0, nil)
	m := newMoray(t, standalone(r))
	m.awaitReady(t)
	createBuckets(t, m.address())

	l := startLoad(t, []string{m.address()}, writers)
	l.goOn(t, 200)
	slow := m.sleep(t, r, time.Second)
	m.terminate(t)
	if err := <-slow; err != nil {
		t.Errorf("a request that could have been answered got %v", err)
	}
	m.start(t) // for those who wait for it
	l.goOn(t, 200)
	l.end()
	v := l.check(stored(t, r.nodes[0]))
	v.wantNothingLost(t)
	if v.unknown > 2*writers { // those on their way to the server when it closed
		t.Errorf("%d unknown outcomes: %s", v.unknown, v.reasons())
	}
	t.Logf("%d acknowledged, %d unknown", v.acked, v.unknown)
}

// TestShutdownTwice tells a server twice to end: the second time means at once.
func TestShutdownTwice(t *testing.T) {
	r := newReplication(t, 0, nil)
	m := newMoray(t, standalone(r))
	m.awaitReady(t)
	slow := m.sleep(t, r, time.Hour)
	m.server.signal(syscall.SIGTERM)
	eventually(t, "the server takes notice", func() bool { return fileHas(m.log(), "shutting down") })
	took := timed(func() {
		m.server.signal(syscall.SIGTERM)
		m.server.await(t, "moray")
	})
	if <-slow == nil || took > 5*time.Second {
		t.Errorf("the server went on for %v", took)
	}
	if status := m.server.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v, want the signal, which shells call 143", m.server.err)
	}
}

// TestGrace lets the grace period pass. What PostgreSQL is at does not keep the server.
func TestGrace(t *testing.T) {
	r := newReplication(t, 0, nil)
	m := newMoray(t, `"shutdown":{"grace":300},`+standalone(r))
	m.awaitReady(t)
	slow := m.sleep(t, r, time.Hour)
	m.server.signal(syscall.SIGTERM)
	m.server.await(t, "moray")
	if <-slow == nil {
		t.Error("an hour has passed")
	}
	if m.server.err != nil || !fileHas(m.log(), "requests were cut off at the end of the grace period") {
		t.Errorf("it ended with %v, and said:\n%s", m.server.err, tail(m.log()))
	}
}

// sleep asks for something that takes time, and returns when PostgreSQL is at it. The channel gets what came of it.
func (m *moray) sleep(t testing.TB, r *replication, d time.Duration) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		c := client.New(client.Config{Addresses: []string{m.address()}, Connections: 1})
		defer c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err := error(nil)
		for _, e := range c.SQL(ctx, fmt.Sprintf("SELECT 1 AS one FROM pg_sleep(%f)", d.Seconds()), nil, nil) {
			err = e
		}
		done <- err
	}()
	eventually(t, "PostgreSQL sleeps", func() bool {
		return r.nodes[0].query(t, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'moray' AND wait_event = 'PgSleep'") == "1"
	})
	return done
}

// status runs moray cluster status.
func (m *moray) status(t testing.TB, args ...string) (out string, err error) {
	t.Helper()
	binary, err := morayBinary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, append([]string{"cluster", "status", "-f", m.config}, args...)...)
	cmd.Env = append(minimalEnv(m.dir), "MORAY_DB_NAME=moray")
	var text strings.Builder
	cmd.Stdout = &text
	err = cmd.Run()
	return text.String(), err
}
