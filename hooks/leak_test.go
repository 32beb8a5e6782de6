package hooks_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/hooks"
)

// host is a server of plugins and nothing else, which prints the numbers of its plugins' processes. It is killed.
func host() {
	m, err := hooks.New(hooks.Config{Plugins: []hooks.PluginConfig{program("p", "family"), program("q", "act")}, SocketDir: os.Getenv("MORAY_TEST_HOST")})
	if err != nil {
		panic(err)
	}
	go m.Run(context.Background())
	for {
		var pids []string
		for _, s := range m.Statuses() {
			if s.State == hooks.Running {
				pids = append(pids, strconv.Itoa(s.PID))
			}
		}
		if len(pids) == 2 {
			fmt.Println(strings.Join(pids, " "))
			time.Sleep(time.Hour)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestKilledHost kills a server: its plugins go with it.
func TestKilledHost(t *testing.T) {
	t.Parallel()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(path)
	server.Env = append(os.Environ(), "MORAY_TEST_HOST="+shortDir(t))
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	server.Wait() //nolint:errcheck // because it was killed
	for _, text := range strings.Fields(line) {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the plugin is gone", func() bool {
			state, err := os.ReadFile("/proc/" + text + "/stat")
			return err != nil || strings.Contains(string(state), ") Z ")
		})
		// A child that a plugin started is its own business: the kernel tells it nothing. It has to be looked for by hand.
		for _, left := range group(t, pid) {
			if n, err := strconv.Atoi(left); err == nil {
				if p, err := os.FindProcess(n); err == nil {
					p.Kill() //nolint:errcheck // because it may be gone
				}
			}
		}
	}
}

// TestRestarts starts a plugin again and again: nothing is left of the processes before. MORAY_RESTARTS says how often.
func TestRestarts(t *testing.T) {
	restarts := 15
	if text := os.Getenv("MORAY_RESTARTS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		restarts = n
	}
	dir := shortDir(t)
	m, err := hooks.New(hooks.Config{
		Plugins: []hooks.PluginConfig{program("p", "act")}, SocketDir: dir, LongestPause: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer running(t, m)()
	definition := &bucket.Bucket{Name: "b", Pre: []bucket.Trigger{{Plugin: "p", Hook: "pure", Config: jsvalue.Value(`{"do":"member","with":"n"}`), Timeout: time.Minute}}}
	fire := func() error {
		return m.Fire(context.Background(), nil, &object.Event{Bucket: definition, Key: "k", Value: jsvalue.Value(`{}`)})
	}
	var before, after usage
	for i := range restarts + 5 {
		if err := fire(); err != nil {
			t.Fatal(err)
		}
		if i == 5 {
			before = settled(t)
		}
		pid := m.Statuses()[0].PID
		p, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		until(t, "another process runs", func() bool { s := m.Statuses()[0]; return s.PID != pid && s.State == hooks.Running })
	}
	if err := fire(); err != nil {
		t.Fatal(err)
	}
	after = settled(t)
	t.Logf("%d restarts: before %+v, after %+v", restarts, before, after)
	if after.goroutines > before.goroutines+5 || after.files > before.files+5 {
		t.Errorf("%d restarts leave %+v, before there were %+v", restarts, after, before)
	}
	if after.heap > before.heap+16<<20 {
		t.Errorf("%d restarts leave %d bytes, before there were %d", restarts, after.heap, before.heap)
	}
	sockets, err := os.ReadDir(dir)
	if err != nil || len(sockets) != 1 {
		t.Fatalf("%v, %v", sockets, err)
	}
	if left, err := os.ReadDir(dir + "/" + sockets[0].Name()); err != nil || len(left) > 2 { // the lock, one directory
		t.Errorf("left over: %v, %v", left, err)
	}
}

type usage struct {
	goroutines, files int
	heap              uint64
}

// settled returns what the process uses when it has come to rest.
func settled(t *testing.T) (u usage) {
	t.Helper()
	for last := -1; last != u.goroutines; time.Sleep(200 * time.Millisecond) {
		last, u.goroutines = u.goroutines, runtime.NumGoroutine()
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	u.files, u.heap = len(files), memory.HeapAlloc
	return u
}
