package hooks_test

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// policies are the ways to bind a hook that fails.
var policies = []struct {
	name, phase, rest string
	ignore            bool
}{
	{"pre", "pre", "", false},
	{"post", "post", "", false},
	{"ignore", "post", `,"onError":"ignore"`, true},
}

// TestFaults lets hooks fail in every way, bound in every way: the error is the right one, nothing is stored that should not be, and
// the server goes on.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		do     string
		want   string // after the name of the hook, a regular expression
		always bool   // it fails even if it may fail
	}{
		{name: "hang", do: `{"do":"hang","key":"k"}`, want: `no answer within 300 ms {.*"reason":"timeout"}`},
		{name: "hang with a transaction", do: `{"do":"sql and hang","with":"INSERT INTO noted VALUES (1)","key":"k"}`, want: `no answer within 300 ms .*"timeout"}`},
		{name: "hang in SQL", do: `{"do":"sql","with":"INSERT INTO noted VALUES (1); SELECT pg_sleep(100)","key":"k"}`, want: `no answer within 300 ms .*"timeout"}`},
		{name: "deaf", do: `{"do":"deaf","key":"k"}`, want: `no answer within 300 ms .*"timeout"}`},
		{name: "exit", do: `{"do":"exit","key":"k"}`, want: `its process ended: exit status 7 {.*"exit"}`},
		{name: "exit with a transaction", do: `{"do":"exit after sql","with":"INSERT INTO noted VALUES (1)","key":"k"}`, want: `its process ended: exit status 7 .*"exit"}`},
		{name: "panic", do: `{"do":"panic","key":"k"}`, want: `panic: oh .*"failed"}`},
		{name: "bad JSON", do: `{"do":"value","with":"{]","key":"k"}`, want: `the value that it leaves: .*"protocol"}`},
		{name: "oversize", do: `{"do":"big","n":5000000,"key":"k"}`, want: `its message is too large: .*"protocol"}`},
		{name: "failed SQL", do: `{"do":"sql","with":"INSERT INTO noted VALUES (1); SELECT 1/0","key":"k"}`, want: `^error: division by zero$`},
		{name: "swallowed SQL error", do: `{"do":"swallow","with":"INSERT INTO noted VALUES (1); SELECT 1/0","key":"k"}`, want: `^error: current transaction is aborted`},
		{name: "rejection", do: `{"do":"sql and reject","with":"INSERT INTO noted VALUES (1)","key":"k"}`, want: `^NoError: after its SQL$`},
		{name: "commit", do: `{"do":"sql","with":"INSERT INTO noted VALUES (1); ROLLBACK","key":"k"}`, want: `its SQL began or ended a transaction .*"protocol"}`, always: true},
		{name: "exit before the event", do: `{"do":"","key":"k"}`, want: `^ok$`},
		{name: "stopped", do: `{"do":"stop","key":"k"}`, want: `no answer within 300 ms .*"timeout"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, program("p", "act"))
			b.db.Exec(t, `CREATE TABLE noted (n INT)`)
			limit := 20_000 // ms
			if strings.Contains(c.want, "within 300 ms") {
				limit = 300
			}
			for _, policy := range policies {
				if policy.phase == "post" && (c.name == "bad JSON" || c.name == "oversize") {
					continue // a hook changes nothing after the write
				}
				fault(t, b, policy.name, policy.phase, binding("act", c.do, fmt.Sprintf(`,"timeout":%d`, limit)+policy.rest), c.want, policy.ignore && !c.always)
			}
		})
	}
}

// fault puts an object whose hook fails, and others around it.
func fault(t *testing.T, b *bed, name, phase, hook, want string, ignored bool) {
	t.Helper()
	// A hook of the same plugin behind the one that fails runs if that one may fail, and its SQL stays.
	behind := binding("act", `{"do":"sql","with":"INSERT INTO seen (event) VALUES ('behind')"}`, `,"timeout":20000`)
	pre, post := list(hook), list(behind)
	if phase == "post" {
		pre, post = "[]", list(hook, behind)
	}
	until(t, "the plugin runs", func() bool { return b.status().State == "running" })
	b.mustCreate(name, pre, post)
	if strings.HasPrefix(t.Name(), "TestFaults/exit_before") {
		pid := b.status().PID
		syscall.Kill(pid, syscall.SIGKILL)
		until(t, "its death is noticed", func() bool { return b.status().PID != pid })
	}
	before := time.Now()
	got := b.put(name, "k", `{"s":"1"}`)
	took := time.Since(before)
	if !strings.HasPrefix(want, "^") {
		want = fmt.Sprintf(`^HookUnavailableError: hook p/act \(%s\) of bucket %s: %s`, phase, name, want)
	}
	if ignored {
		want = "^ok$"
	}
	succeeds := want == "^ok$"
	if !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("%s: %s, want %s", name, got, want)
	}
	if took > 15*time.Second {
		t.Errorf("%s: the answer took %s", name, took)
	}
	if stored := b.get(name, "k") == `{"s":"1"}`; stored != succeeds {
		t.Errorf("%s: stored %v, want %v", name, stored, succeeds)
	}
	if n := len(b.seen()); n > 0 != succeeds {
		t.Errorf("%s: the hook behind has noted %d events", name, n)
	}
	if n := b.db.Strings(t, `SELECT n::text FROM noted`); len(n) > 0 {
		t.Errorf("%s: what the hook did before it failed is stored", name)
	}
	// The connection is back, and so is the plugin, at once or soon.
	until(t, "the next object is stored", func() bool { return b.put(name, "other", `{}`) == "ok" })
	b.seen()
	if idle := b.db.Strings(t, `SELECT query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND datname = current_database()`); len(idle) > 0 {
		t.Errorf("%s: transactions are open: %v", name, idle)
	}
}

// TestExitAfterAnswer stores objects whose hooks have answered, whatever becomes of the process then.
func TestExitAfterAnswer(t *testing.T) {
	t.Parallel()
	b := newBed(t, program("p", "act"))
	b.mustCreate("b", list(binding("act", `{"do":"exit later"}`, `,"timeout":20000`)), "[]")
	for _, key := range []string{"1", "2"} {
		before := b.status().Restarts
		if got := b.put("b", key, `{}`); got != "ok" {
			t.Errorf("%s: %s", key, got)
		}
		until(t, "the process has ended", func() bool { return b.status().Restarts > before })
	}
	if got := b.get("b", "1") + b.get("b", "2"); got != "{}{}" {
		t.Errorf("stored %s", got)
	}
}
