package hooks_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kaizengarden/moray/hooks"
)

// TestStarts shows what becomes of programs that are no plugins, or odd ones.
func TestStarts(t *testing.T) {
	t.Parallel()
	self := program("p", "act")
	text, err := os.ReadFile(self.Command)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	good := program("good", "act")
	good.SHA256 = hex.EncodeToString(sum[:])
	bad := program("bad", "act")
	bad.SHA256 = strings.Repeat("0", 64)
	mute := program("mute", "mute")
	script := shortDir(t) + "/script"
	if err := os.WriteFile(script, []byte("#!/no/interpreter\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	notExecutable := shortDir(t) + "/file"
	if err := os.WriteFile(notExecutable, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	notProgram := shortDir(t) + "/file"
	if err := os.WriteFile(notProgram, []byte("\x7fELF of another machine"), 0o700); err != nil {
		t.Fatal(err)
	}
	plugins := []hooks.PluginConfig{
		good, bad, mute, program("noisy", "noisy"), program("exit", "exit"), program("none", "none"),
		shell("garbage", "echo '<html>what is this?'; echo no plugin; sleep 1000"), shell("version", "echo '1|99|unix|/nowhere|grpc'; sleep 1000"),
		shell("netrpc", "echo '1|1|unix|/nowhere|netrpc'; sleep 1000"), shell("prefixed", "echo noise; exec "+self.Command+" act"),
		{Name: "missing", Command: "/no/such/program"},
		{Name: "script", Command: script},
		{Name: "mode", Command: notExecutable},
		{Name: "format", Command: notProgram},
	}
	b := newBed(t, plugins...)
	want := map[string]string{
		"good": "running", "noisy": "running", "prefixed": "running",
		"bad":     "the SHA-256 of " + self.Command + " is " + good.SHA256 + ", and should be " + bad.SHA256 + ": it is not started",
		"mute":    "no handshake within 5s",
		"exit":    "it ended before the handshake: exit status 3",
		"garbage": `no handshake within 5s; it printed "<html>what is this?\nno plugin"`,
		"version": "incompatible API version with plugin. Plugin version: 99, Client versions: [1]",
		"netrpc":  `unsupported plugin protocol "netrpc". Supported: [grpc]`,
		"none":    "it has no hooks",
		"missing": "no such file or directory",
		"script":  "its interpreter or its loader is missing",
		"mode":    "permission denied: is it executable (chmod +x)",
		"format":  "exec format error: is it a program for linux/",
	}
	for _, name := range []string{"garbage", "mute"} {
		until(t, name+" is given up", func() bool {
			return slices.ContainsFunc(b.manager.Statuses(), func(s hooks.Status) bool { return s.Name == name && s.Err != nil })
		})
	}
	for _, s := range b.manager.Statuses() {
		var got string
		until(t, s.Name+" has started or not", func() bool {
			s := b.manager.Statuses()[slices.IndexFunc(b.manager.Statuses(), func(o hooks.Status) bool { return o.Name == s.Name })]
			got = string(s.State)
			if s.Err != nil {
				got = s.Err.Error()
			}
			return s.Err != nil || s.State == hooks.Running
		})
		if !strings.Contains(got, want[s.Name]) {
			t.Errorf("%s: %s, want %s", s.Name, got, want[s.Name])
		}
	}
	if log := b.server.Log(); !strings.Contains(log, "no licence") || !strings.Contains(log, "nor is this, of a child") {
		t.Error("what plugins print is not in the log")
	}
}

// shell is a script as a plugin.
func shell(name, script string) hooks.PluginConfig {
	return hooks.PluginConfig{Name: name, Command: "sh", Args: []string{"-c", script}}
}

// TestRestart kills the plugin again and again under load: requests fail for that reason or succeed, and the plugin comes back.
func TestRestart(t *testing.T) {
	t.Parallel()
	b := newBed(t, program("p", "act"))
	b.mustCreate("b", list(binding("act", "{}", `,"timeout":10000`)), "[]")
	stop := make(chan struct{})
	var all sync.WaitGroup
	var ok, failed atomic.Int32
	for i := range 4 {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprint(i, "-", n)
				got := b.put("b", key, `{}`)
				stored := b.get("b", key) == `{}`
				switch {
				case got == "ok" && stored:
					ok.Add(1)
				case strings.HasPrefix(got, "HookUnavailableError: hook p/act (pre) of bucket b: its process ended: ") && !stored:
					failed.Add(1)
				default:
					t.Errorf("%s, and stored is %v", got, stored)
				}
			}
		})
	}
	for range 3 {
		before := ok.Load()
		until(t, "objects are stored", func() bool { return ok.Load() > before+20 })
		pid := b.status().PID
		syscall.Kill(pid, syscall.SIGKILL)
		until(t, "another process runs", func() bool { s := b.status(); return s.PID != pid && s.State == hooks.Running })
	}
	before := ok.Load()
	until(t, "objects are stored", func() bool { return ok.Load() > before+20 })
	close(stop)
	all.Wait()
	if failed.Load() > 3*4 {
		t.Errorf("%d requests failed, more than were under way", failed.Load())
	}
	if n := b.status().Restarts; n != 3 {
		t.Errorf("%d restarts, want 3", n)
	}
}

// TestCrashLoop gives a plugin up for a while that ends again and again: requests fail at once then.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	b := newBed(t, program("p", "act"))
	b.mustCreate("b", list(binding("act", `{"do":"exit","key":"bad"}`, `,"timeout":20000`)), "[]")
	for b.status().State != hooks.Crashing {
		if got := b.put("b", "bad", `{}`); !strings.Contains(got, "its process ended: exit status 7") && !strings.Contains(got, "not running") {
			t.Fatal(got)
		}
	}
	if got := b.put("b", "good", `{}`); !strings.Contains(got, `it is not running: exit status 7 {"plugin":"p","hook":"act","phase":"pre","bucket":"b","reason":"down"}`) {
		t.Errorf("while it is crashing: %s", got)
	}
	until(t, "it runs again", func() bool { return b.put("b", "good", `{}`) == "ok" })
}

// TestMemory ends a plugin that uses too much.
func TestMemory(t *testing.T) {
	t.Parallel()
	greedy := program("p", "act")
	greedy.Limits.Memory = 200 << 20
	b := newBed(t, greedy)
	b.mustCreate("b", list(binding("act", `{"do":"eat","n":400,"key":"much"}`, `,"timeout":20000`)), "[]")
	if got := b.put("b", "much", `{}`); !strings.Contains(got, "killed, because it used ") || !strings.Contains(got, " MiB of memory, and may use 200") {
		t.Error(got)
	}
	until(t, "the plugin is back", func() bool { return b.put("b", "k", `{}`) == "ok" })
}

// TestStopped notices a process that exists and does nothing.
func TestStopped(t *testing.T) {
	t.Parallel()
	b := newBed(t, program("p", "act"))
	until(t, "the plugin runs", func() bool { return b.status().State == hooks.Running })
	pid := b.status().PID
	syscall.Kill(pid, syscall.SIGSTOP)
	until(t, "another process runs", func() bool { s := b.status(); return s.PID != pid && s.State == hooks.Running })
	if log := b.server.Log(); !strings.Contains(log, "killed, because it did not answer a health check") {
		t.Error("the log does not say why the process was ended")
	}
}

// TestFamily ends the children of a plugin with it.
func TestFamily(t *testing.T) {
	t.Parallel()
	b := newBed(t, program("p", "family"))
	until(t, "the plugin runs", func() bool { return b.status().State == hooks.Running })
	pid := b.status().PID
	if len(group(t, pid)) != 2 {
		t.Fatalf("the plugin and its child are %v", group(t, pid))
	}
	syscall.Kill(pid, syscall.SIGKILL)
	until(t, "all of them are gone", func() bool { return len(group(t, pid)) == 0 })
	until(t, "another process runs", func() bool { s := b.status(); return s.PID != pid && s.State == hooks.Running })
	pid = b.status().PID
	b.server.Stop(t)
	if left := group(t, pid); len(left) > 0 {
		t.Errorf("after the server's end there are %v", left)
	}
}

// group returns the processes of a group that are not just waiting to be forgotten.
func group(t *testing.T, leader int) (pids []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); len(f) > 2 && f[2] == fmt.Sprint(leader) && f[0] != "Z" {
			pids = append(pids, e.Name())
		}
	}
	return pids
}

// TestIsolation shows that a plugin has nothing of the server's but what it is given.
func TestIsolation(t *testing.T) {
	t.Setenv("MORAY_TEST_SECRET", "password")
	t.Setenv("MORAY_TEST_PASSED", "allowed")
	p := program("p", "act")
	p.Env = map[string]string{"GIVEN": "x y"}
	p.PassEnv = []string{"MORAY_TEST_PASSED", "MORAY_TEST_MISSING"}
	p.Limits.OpenFiles = 64
	b := newBed(t, p)
	b.mustCreate("env", list(binding("act", `{"do":"env"}`, "")), "[]")
	b.mustCreate("files", list(binding("act", `{"do":"files"}`, "")), "[]")
	if b.put("env", "k", `{}`) != "ok" || b.put("files", "k", `{}`) != "ok" {
		t.Fatal(b.put("env", "k", `{}`), b.put("files", "k", `{}`))
	}
	var v struct{ Env, Files []string }
	if err := json.Unmarshal([]byte(b.get("env", "k")), &v); err != nil {
		t.Fatal(err)
	}
	for _, entry := range v.Env {
		name, _, _ := strings.Cut(entry, "=")
		if !slices.Contains([]string{"PATH", "LANG", "GIVEN", "MORAY_TEST_PASSED", "MORAY_PLUGIN"}, name) && !strings.HasPrefix(name, "PLUGIN_") {
			t.Errorf("the plugin gets %s", entry)
		}
	}
	if !slices.Contains(v.Env, "GIVEN=x y") || !slices.Contains(v.Env, "MORAY_TEST_PASSED=allowed") {
		t.Errorf("the plugin does not get what it should: %v", v.Env)
	}
	if err := json.Unmarshal([]byte(b.get("files", "k")), &v); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, target := range v.Files {
		kind, _, _ := strings.Cut(target, ":")
		kinds[kind]++
		if strings.HasPrefix(kind, "/sys/fs/cgroup/") {
			continue // the runtime of Go looks there how many processors it may use
		}
		if !slices.Contains([]string{"pipe", "socket", "anon_inode", "/dev/null", "/proc/" + fmt.Sprint(b.status().PID) + "/fd"}, kind) {
			t.Errorf("the plugin holds %s", target)
		}
	}
	// Its stdout, stderr and the stream of both; the listener and one connection.
	if kinds["socket"] != 2 {
		t.Errorf("the plugin holds %v", kinds)
	}
	for _, own := range ownPipes(t) {
		if slices.Contains(v.Files, own) && strings.HasPrefix(own, "socket") {
			t.Errorf("the plugin shares %s with the server", own)
		}
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", b.status().PID))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max open files 64 64 files") {
		t.Errorf("limits are\n%s", limits)
	}
}

func ownPipes(t *testing.T) (targets []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			targets = append(targets, target)
		}
	}
	return targets
}

// TestSockets keeps the sockets where nobody else gets, and removes those of servers that are gone.
func TestSockets(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	if err := os.MkdirAll(dir+"/pold/plugin-dir1", 0o700); err != nil {
		t.Fatal(err)
	}
	run := func() (stop func()) {
		m, err := hooks.New(hooks.Config{Plugins: []hooks.PluginConfig{program("p", "act")}, SocketDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return running(t, m)
	}
	stopFirst := run()
	if _, err := os.Stat(dir + "/pold"); !os.IsNotExist(err) {
		t.Errorf("the directory of a server that is gone is still there: %v", err)
	}
	stopSecond := run()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("two servers have %v (%v)", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s has the mode %v (%v)", e.Name(), info.Mode(), err)
		}
	}
	stopFirst()
	stopSecond()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left over: %v (%v)", entries, err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m, err := hooks.New(hooks.Config{SocketDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "(mode 0700)") {
		t.Errorf("a directory that others can enter: %v", err)
	}
}

// TestLog shows where what plugins say ends up, and that it is bounded.
func TestLog(t *testing.T) {
	t.Parallel()
	b := newBed(t, program("p", "act"))
	b.mustCreate("print", list(binding("act", `{"do":"print","with":"é","n":5}`, "")), "[]")
	b.mustCreate("log", list(binding("act", `{"do":"log","with":"w","n":5}`, "")), "[]")
	b.mustCreate("flood", list(binding("act", `{"do":"flood","n":3000}`, `,"timeout":20000`)), "[]")
	for _, bucket := range []string{"print", "log"} {
		if got := b.put(bucket, "k", `{}`); got != "ok" {
			t.Fatal(got)
		}
	}
	for _, want := range []string{
		`level=INFO msg="stdout: é" component=hooks plugin=p`,
		`level=INFO msg="stderr: é" component=hooks plugin=p`,
		`level=WARN msg="log: é" component=hooks plugin=p n=5`,
		`level=ERROR msg="error w" component=hooks plugin=p n=5 hook=act bucket=log req_id=`,
	} {
		until(t, want, func() bool { return strings.Contains(b.server.Log(), want) })
	}
	if strings.Contains(b.server.Log(), "debug w") {
		t.Error("a line below the level is logged")
	}
	if got := b.put("flood", "k", `{}`); got != "ok" {
		t.Fatal(got)
	}
	until(t, "the flood is cut", func() bool {
		b.put("log", "k", `{}`)
		return strings.Contains(b.server.Log(), "the plugin logs too much")
	})
	if n := len(b.server.Log()); n > 2_000_000 {
		t.Errorf("the log has %d bytes", n)
	}
	if n := strings.Count(b.server.Log(), "msg=flood"); n > 1000 {
		t.Errorf("%d lines of the flood are logged", n)
	}
}

// running runs a manager until stop is called.
func running(t testing.TB, m *hooks.Manager) (stop func()) {
	t.Helper()
	ctx, cancel := withCancel(t)
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	until(t, "the plugins run", func() bool {
		return !slices.ContainsFunc(m.Statuses(), func(s hooks.Status) bool { return s.State != hooks.Running })
	})
	return func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the manager ended with %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("the manager does not end")
		}
	}
}
