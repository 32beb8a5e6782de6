package cluster

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// insideVariable tells the test binary that it runs in namespaces of its own, where it may drop packets and mount file systems.
const insideVariable = "MORAY_CLUSTER_INSIDE"

// TestNamespaced goes through the faults that need a network and mounts of the test's own, if it is asked to: make cluster-test. The
// test binary runs again in new namespaces; all that it does there ends with it.
func TestNamespaced(t *testing.T) {
	if !*all {
		t.Log("only with -faults: make cluster-test")
		return
	}
	if os.Getenv(insideVariable) != "" {
		insideNamespaces(t)
		return
	}
	if os.Geteuid() != 0 {
		t.Fatal("only root may make namespaces")
	}
	binary, err := morayBinary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--net", "--mount", os.Args[0], "-test.run=^TestNamespaced$", "-test.v", "-faults", "-results", *resultsDir)
	cmd.Env = append(os.Environ(), insideVariable+"=1", "MORAY_BIN="+binary)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

func insideNamespaces(t *testing.T) {
	run(t, nil, "/", "ip", "link", "set", "lo", "up")
	run(t, nil, "/", "nft", "add table inet bed; add chain inet bed input { type filter hook input priority 0; }")
	var r report
	for _, f := range []struct {
		name  string
		mount func(*node)
		do    func(t testing.TB, b *bed, l *load) time.Duration
	}{
		{"F9 PostgreSQL cut off for 8 s", nil, cutOffPostgreSQL},
		{"F9 ZooKeeper cut off for 6 s", nil, cutOffZooKeeper},
		{"F22 WAL volume full for 3 s", func(n *node) {
			n.walDir = filepath.Join(n.dir, "wal", "pg")
			mountSmall(t, n, filepath.Join(n.dir, "wal"), 160)
		}, fullWAL},
		{"F22 data volume full for 3 s", func(n *node) {
			n.walDir = filepath.Join(n.dir, "wal")
			mountSmall(t, n, n.data(), 120)
		}, fullData},
	} {
		t.Run(f.name, func(t *testing.T) {
			b := newBedOn(t, newReplication(t, 0, f.mount), 1, 2)
			l := startLoad(t, b.addresses(), writers)
			l.goOn(t, 500)
			own := f.do(t, b, l)
			l.goOn(t, 500)
			l.end()
			l.history.wantLinear(t)
			t.Logf("%+v", r.add(t, f.name, b.verdict(t, l.ledger), own))
		})
	}
	t.Run("F15 half-open clients", halfOpen)
	if err := r.write(*resultsDir, "namespaced"); err != nil {
		t.Error(err)
	}
}

// halfOpen has clients vanish without a word. The server may hold what they had for a minute.
func halfOpen(t *testing.T) {
	m := newMoray(t, standalone(newReplication(t, 0, nil)))
	m.awaitReady(t)
	files := func() int {
		all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.server.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := files()
	const n = 1000
	for range n {
		defer dialRaw(t, m).Close()
	}
	eventually(t, "all are connected", func() bool { return files() >= before+n })
	heal := drop(t, m.port)
	defer heal()
	took := timed(func() {
		eventually(t, "nothing is held for them", func() bool { return files() <= before+slack })
	})
	t.Logf("%d files were given back within %v", n, took.Round(time.Second))
}

// drop swallows all packets from and to a port, without a word to either side, until the function that it returns is called.
func drop(t testing.TB, port int) (heal func()) {
	t.Helper()
	run(t, nil, "/", "nft", fmt.Sprintf("add rule inet bed input tcp dport %[1]d drop; add rule inet bed input tcp sport %[1]d drop", port))
	return func() { run(t, nil, "/", "nft", "flush chain inet bed input") }
}

func cutOffPostgreSQL(t testing.TB, b *bed, l *load) time.Duration {
	return timed(func() {
		heal := drop(t, b.primary.port)
		noticed := timed(func() {
			eventually(t, "the requests under way are answered", func() bool {
				l.mu.Lock()
				defer l.mu.Unlock()
				return l.count[unknown] > 0
			})
		})
		t.Logf("the silence was noticed after %v", noticed.Round(time.Millisecond))
		if noticed > 8*time.Second {
			t.Errorf("the silence was noticed only after %v", noticed)
		}
		time.Sleep(max(0, 8*time.Second-noticed)) // the length of the fault
		heal()
	})
}

func cutOffZooKeeper(t testing.TB, b *bed, l *load) time.Duration {
	var port int
	if _, err := fmt.Sscanf(strings.Split(b.proxies[0].Address(), ":")[1], "%d", &port); err != nil {
		t.Fatal(err)
	}
	heal := drop(t, port)
	noticed := timed(func() {
		eventually(t, "moray notices", func() bool { return strings.Contains(metrics(t, b.morays[0]), "moray_cluster_connected 0") })
	})
	t.Logf("the silence was noticed after %v", noticed.Round(time.Millisecond))
	l.goOn(t, 1000)
	heal()
	eventually(t, "moray is connected again", func() bool { return strings.Contains(metrics(t, b.morays[0]), "moray_cluster_connected 1") })
	return 0
}

// metrics returns the metrics of a server without their labels.
func metrics(t testing.TB, m *moray) string {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", m.monitor))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	buf := make([]byte, 1<<20)
	for {
		n, err := resp.Body.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			break
		}
	}
	var bare strings.Builder
	for line := range strings.Lines(b.String()) {
		if name, rest, ok := strings.Cut(line, "{"); ok {
			if _, value, ok := strings.Cut(rest, "} "); ok {
				line = name + " " + value
			}
		}
		bare.WriteString(line)
	}
	return bare.String()
}

// mountSmall gives a directory a file system of its own, of so many MB.
func mountSmall(t testing.TB, n *node, dir string, size int) {
	t.Helper()
	own(t, n.as, dir)
	if n.as == nil {
		t.Fatal("only root may mount")
	}
	options := fmt.Sprintf("size=%dm,uid=%d,gid=%d,mode=700", size, n.as.Uid, n.as.Gid)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// fill takes all that is left of a file system, until the function that it returns is called.
func fill(t testing.TB, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "fill")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<16); ; {
		if _, err := f.Write(block); err != nil {
			break
		}
	}
	return func() { os.Remove(path) }
}

// fullWAL makes PostgreSQL panic. It is started again when there is room.
func fullWAL(t testing.TB, b *bed, _ *load) time.Duration {
	n := b.primary
	free := fill(t, filepath.Dir(n.walDir))
	return timed(func() {
		eventually(t, "PostgreSQL panics", func() bool { return fileHas(filepath.Join(n.dir, "log"), "PANIC") })
		time.Sleep(3 * time.Second) // the length of the fault
		free()
		n.kill(t)
		n.start(t)
	})
}

// fullData makes PostgreSQL refuse what needs room. Reads are served.
func fullData(t testing.TB, b *bed, l *load) time.Duration {
	free := fill(t, b.primary.data())
	return timed(func() {
		eventually(t, "a write is refused for lack of room", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			for text := range l.errors {
				if strings.Contains(text, "No space left on device") {
					return true
				}
			}
			return false
		})
		if !b.morays[0].ready() {
			t.Error("reads are not served")
		}
		time.Sleep(time.Second) // the length of the fault
		free()
	})
}
