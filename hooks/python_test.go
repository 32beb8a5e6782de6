package hooks_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kaizengarden/moray/hooks"
)

// TestPython runs the example in Python: another language, another implementation of gRPC. It needs Debian's packages, which make
// deps installs.
func TestPython(t *testing.T) {
	t.Parallel()
	path, err := filepath.Abs("../docs/examples/hook-python/plugin.py")
	if err != nil {
		t.Fatal(err)
	}
	b := newBed(t, hooks.PluginConfig{Name: "p", Command: path, Timeout: 20 * time.Second, Env: map[string]string{"PYTHONDONTWRITEBYTECODE": "1"}})
	title, quota := binding("title", `{"member":"name"}`, ""), binding("quota", `{"objects":2}`, "")
	if got, want := b.create("bad", list(binding("title", `{}`, "")), "[]", ""), "InvalidBucketConfigError: bucket.pre[0]: hook p/title: config.member should name a member"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	b.mustCreate("b", list(title), list(quota))
	b.mustCreate("missing", "[]", list(quota))
	b.db.Exec(t, `ALTER TABLE missing RENAME COLUMN _key TO gone`)
	for _, c := range []struct{ bucket, key, value, want string }{
		{"b", "1", `{"name":"ann é. lee","s":"x"}`, "ok"},
		{"b", "2", `{"s":"x"}`, `NoTitleError: 2 has no text in name {"member":"name"}`},
		{"b", "2", `{"name":"bob"}`, "ok"},
		{"b", "3", `{"name":"cal"}`, `QuotaError: b has 2 objects already`},
		{"b", "1", `{"name":"dan"}`, "ok"},
		{"missing", "1", `{}`, `error: column "_key" does not exist`},
	} {
		if got := b.put(c.bucket, c.key, c.value); got != c.want {
			t.Errorf("%s/%s %s: %s, want %s", c.bucket, c.key, c.value, got, c.want)
		}
	}
	if got := b.get("b", "1") + b.get("b", "3"); got != `{"name":"Dan"}ObjectNotFoundError: b::3 does not exist` {
		t.Errorf("stored: %s", got)
	}
	if !strings.Contains(b.server.Log(), "level=INFO msg=tidied component=hooks plugin=p key=1 hook=title bucket=b req_id=") {
		t.Error("the hook's line is not in the log")
	}
	pid := b.status().PID
	syscall.Kill(pid, syscall.SIGKILL)
	until(t, "the plugin is back", func() bool { return b.put("b", "1", `{"name":"eve"}`) == "ok" })
	if b.status().PID == pid {
		t.Error("the process is the same")
	}
}
