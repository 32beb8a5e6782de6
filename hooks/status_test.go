package hooks_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/hooks"
)

// ask returns the body of an answer of the monitor.
func (b *bed) ask(path string) string {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.ctx(), http.MethodGet, "http://"+b.server.Monitor+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// TestObserved shows what an operator sees of plugins: readiness, metrics, kang, slow hooks in the log.
func TestObserved(t *testing.T) {
	t.Parallel()
	defer http.DefaultClient.CloseIdleConnections()
	slow := program("p", "act")
	slow.Slow = 1 // ns: everything is
	b := newBed(t, slow, program("q", "exit"))
	if text := b.ask("/readyz"); !strings.Contains(text, `"hooks":{"ok":false,"message":"plugins are being started: p, q"}`) && !strings.Contains(text, `"hooks":{"ok":true`) {
		t.Errorf("at the start: %s", text)
	}
	until(t, "the server is ready", func() bool { return strings.HasPrefix(b.ask("/readyz"), `{"ready":true,`) })
	if text := b.ask("/readyz"); !regexp.MustCompile(`"hooks":\{"ok":true,"message":"plugin q is (waiting|starting|crashing): it ended before the handshake: exit status 3"\}`).MatchString(text) {
		t.Errorf("with a plugin that does not run: %s", text)
	}

	b.mustCreate("b", list(binding("act", `{"do":"error","with":"no","key":"bad"}`, "")), list(binding("little", `{}`, "")))
	const id = "39946119-9504-461b-aade-5f106d236323"
	if _, err := b.client.PutObject(b.ctx(), "b", "k", json.RawMessage(`{}`), &client.WriteOptions{Options: client.Options{RequestID: id}}); err != nil {
		t.Fatal(err)
	}
	if got := b.put("b", "bad", `{}`); !strings.HasPrefix(got, "HookRejectedError: no") {
		t.Fatal(got)
	}
	for _, want := range []string{
		`level=WARN msg="slow hook" component=hooks plugin=p hook=act phase=pre bucket=b key=k req_id=` + id + ` took=`,
		`level=WARN msg="slow hook" component=hooks plugin=p hook=little phase=post bucket=b key=k req_id=` + id + ` took=`,
	} {
		if !strings.Contains(b.server.Log(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	text := regexp.MustCompile(`,(datacenter|server|zonename|pid)="[^"]*"`).ReplaceAllString(b.ask("/metrics"), "")
	for _, want := range []string{
		`moray_hook_calls_total{bucket="b",hook="act",outcome="ok",phase="pre",plugin="p"} 1`,
		`moray_hook_calls_total{bucket="b",hook="act",outcome="rejected",phase="pre",plugin="p"} 1`,
		`moray_hook_calls_total{bucket="b",hook="little",outcome="ok",phase="post",plugin="p"} 1`,
		`moray_hook_seconds_count{bucket="b",plugin="p"} 3`,
		`moray_plugin_up{plugin="p"} 1`, `moray_plugin_up{plugin="q"} 0`, `moray_plugin_restarts_total{plugin="p"} 0`, `moray_plugin_events{plugin="p"} 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	kang := regexp.MustCompile(`"(pid|memory|restarts)":\d+|"started":"[^"]*"`).ReplaceAllString(b.ask("/kang/snapshot"), "~")
	for _, want := range []string{
		`"plugin":{"p":{"name":"p","state":"running",~,"version":"1.2.3",~,"hooks":["act","all","early","little","pure"],~,"events":0,"sessions":1,"calls":3,"errors":0,~},"q":{"name":"q",`,
		`"error":"it ended before the handshake: exit status 3"}}`,
	} {
		if !strings.Contains(kang, want) {
			t.Errorf("kang lacks %s\n%s", want, kang)
		}
	}
}

// TestNoPlugins is a server whose buckets have no hooks, and one that has them from elsewhere.
func TestNoPlugins(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.mustCreate("b", "[]", "[]")
	if got := b.put("b", "k", `{}`); got != "ok" {
		t.Error(got)
	}
	b.db.Exec(t, `UPDATE buckets_config SET pre = $1 WHERE name = 'b'`,
		`["function (req, cb) { /* moray-hook v1 {\"plugin\":\"p\",\"hook\":\"act\"} */ cb(new Error(\"hook p/act needs a server with plugins\")); }"]`)
	want := `HookUnavailableError: hook p/act (pre) of bucket b: no plugin of this name is registered at this server {"plugin":"p","hook":"act","phase":"pre","bucket":"b","reason":"down"}`
	until(t, "the definition is noticed", func() bool { return b.put("b", "k", `{}`) != "ok" })
	if got := b.put("b", "k", `{}`); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if err := b.manager.Ready(context.Background()); err != nil || b.manager.Impaired() != "" {
		t.Errorf("no plugins: %v, %s", err, b.manager.Impaired())
	}
	for name, c := range map[string]hooks.Config{
		`"a b" is no name of a plugin: letters, digits, dots, dashes and underscores`: {Plugins: []hooks.PluginConfig{{Name: "a b"}}},
		"plugin a has no command":        {Plugins: []hooks.PluginConfig{{Name: "a"}}},
		"there are two plugins called a": {Plugins: []hooks.PluginConfig{{Name: "a", Command: "x"}, {Name: "a", Command: "y"}}},
	} {
		if _, err := hooks.New(c); err == nil || err.Error() != name {
			t.Errorf("%v, want %s", err, name)
		}
	}
}
