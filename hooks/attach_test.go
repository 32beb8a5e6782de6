package hooks_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/kaizengarden/moray/hooks"
)

// TestAttach uses a process that somebody debugs, as long as it is there, and gives it all the time it takes.
func TestAttach(t *testing.T) {
	t.Parallel()
	file := shortDir(t) + "/attach/p.json"
	p := program("p", "act")
	p.Attach = file
	b := newBed(t, p)
	b.mustCreate("b", "[]", list(binding("act", `{"do":"sql","with":"SELECT pg_sleep(0.4)"}`, `,"timeout":200`)))
	if got := b.put("b", "k", `{}`); !strings.Contains(got, "no answer within 200 ms") {
		t.Errorf("without a debugger: %s", got)
	}
	debugged := exec.Command(p.Command)
	debugged.Env = append(os.Environ(), "MORAY_PLUGIN_ATTACH="+file)
	if err := debugged.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the server uses the other process", func() bool { s := b.status(); return s.PID == debugged.Process.Pid && s.State == hooks.Running })
	if got := b.put("b", "k", `{}`); got != "ok" {
		t.Errorf("with a debugger: %s", got)
	}
	if err := debugged.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := debugged.Wait(); err != nil {
		t.Errorf("the process that was debugged ended with %v", err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("its file is still there: %v", err)
	}
	until(t, "the server starts one of its own", func() bool { s := b.status(); return s.PID != debugged.Process.Pid && s.State == hooks.Running })
	if s := b.status(); s.Restarts != 0 {
		t.Errorf("%d restarts are counted", s.Restarts)
	}
}

// TestReload starts the plugin again when its program changes.
func TestReload(t *testing.T) {
	t.Parallel()
	self := program("p", "act")
	path := shortDir(t) + "/program"
	write := func(text string) {
		if err := os.WriteFile(path+".new", []byte("#!/bin/sh\n# "+text+"\nexec "+self.Command+" act\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	b := newBed(t, hooks.PluginConfig{Name: "p", Command: path, Reload: true})
	until(t, "the plugin runs", func() bool { return b.status().State == hooks.Running })
	pid := b.status().PID
	write("second")
	until(t, "another process runs", func() bool { s := b.status(); return s.PID != pid && s.State == hooks.Running })
	if s := b.status(); s.Restarts != 0 {
		t.Errorf("%d restarts are counted", s.Restarts)
	}
}
