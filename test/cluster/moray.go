package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// freePort returns a port that nobody uses now, below those that the kernel gives to clients.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 15000 + rand.IntN(17000)
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// moray is one moray server.
type moray struct {
	dir           string
	config        string
	port, monitor int
	env           []string
	server        *process
}

// newMoray starts a server whose configuration names its database so: "manatee":{…}. env are variables besides the usual ones.
func newMoray(t testing.TB, database string, env ...string) *moray {
	t.Helper()
	m := &moray{dir: home(t), port: freePort(t), monitor: freePort(t), env: env}
	m.config = filepath.Join(m.dir, "config.json")
	text := fmt.Sprintf(`{"bindip":"127.0.0.1","port":%d,"monitorPort":%d,"bunyan":{"level":"info"},"server_uuid":"test","datacenter":"test",%s}`,
		m.port, m.monitor, database)
	if err := os.WriteFile(m.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	m.start(t)
	t.Cleanup(func() { m.kill(t) })
	return m
}

func (m *moray) address() string { return fmt.Sprintf("127.0.0.1:%d", m.port) }

func (m *moray) log() string { return filepath.Join(m.dir, "log") }

func (m *moray) start(t testing.TB) {
	t.Helper()
	binary, err := morayBinary()
	if err != nil {
		t.Fatal(err)
	}
	env := append(append(minimalEnv(m.dir), "MORAY_DB_NAME=moray"), m.env...)
	m.server = spawn(t, nil, m.dir, m.log(), env, binary, "serve", "-f", m.config)
}

// ready reports whether the server says that it is.
func (m *moray) ready() bool {
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", m.monitor))
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// awaitReady waits until the server can be used.
func (m *moray) awaitReady(t testing.TB) {
	t.Helper()
	eventually(t, "moray is ready", func() bool {
		if !m.server.running() {
			t.Fatalf("moray has ended: %v\n%s", m.server.err, tail(m.log()))
		}
		return m.ready()
	})
}

// kill ends the server as a crash would.
func (m *moray) kill(t testing.TB) { t.Helper(); m.server.end(t, "moray") }

// terminate asks the server to end and waits until it has.
func (m *moray) terminate(t testing.TB) {
	t.Helper()
	m.server.signal(syscall.SIGTERM)
	m.server.await(t, "moray")
	if m.server.err != nil {
		t.Errorf("moray ended with %v:\n%s", m.server.err, tail(m.log()))
	}
}
