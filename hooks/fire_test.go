package hooks_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// act is a binding of the hook act as JSON.
func binding(hook, config, rest string) string {
	return fmt.Sprintf(`{"plugin":"p","hook":%q,"config":%s%s}`, hook, config, rest)
}

func list(bindings ...string) string { return "[" + strings.Join(bindings, ",") + "]" }

// TestEvents shows what hooks see of puts and deletes, in which order, and how they change the object.
func TestEvents(t *testing.T) {
	t.Parallel()
	b := newBed(t, program("p", "act"), program("q", "act"))
	saw := func(name string) string { return binding("all", fmt.Sprintf(`{"do":"seen","with":%q}`, name), "") }
	other := strings.Replace(saw("other"), `"plugin":"p"`, `"plugin":"q"`, 1)
	b.mustCreate("b",
		list(saw("1"), binding("act", `{"do":"member","with":"x","n":1}`, ""), other, saw("2")),
		list(saw("3"), other, saw("4")))
	steps := []struct {
		name string
		run  func() string
		want string
		sees []string
	}{
		{
			"insert", func() string {
				_, err := b.client.PutObject(b.ctx(), "b", "k", json.RawMessage(`{"s":"1"}`), &client.WriteOptions{Headers: json.RawMessage(`{"h":"1"}`)})
				return answer(err)
			}, "ok",
			[]string{
				`1 pre put k {"s":"1"} id=0 {"h":"1"} update=false null`,
				`other pre put k {"s":"1","x":1} id=0 {"h":"1"} update=false null`,
				`2 pre put k {"s":"1","x":1} id=0 {"h":"1"} update=false null`,
				`3 post put k {"s":"1","x":1,"_id":1} id=1 {"h":"1"} update=false null`,
				`other post put k {"s":"1","x":1,"_id":1} id=1 {"h":"1"} update=false null`,
				`4 post put k {"s":"1","x":1,"_id":1} id=1 {"h":"1"} update=false null`,
			},
		},
		{
			"update", func() string { return b.put("b", "k", `{"s":"2"}`) }, "ok",
			[]string{
				`1 pre put k {"s":"2"} id=0 null update=true {"s":"1","x":1}`,
				`other pre put k {"s":"2","x":1} id=0 null update=true {"s":"1","x":1}`,
				`2 pre put k {"s":"2","x":1} id=0 null update=true {"s":"1","x":1}`,
				`3 post put k {"s":"2","x":1} id=1 null update=true {"s":"1","x":1}`,
				`other post put k {"s":"2","x":1} id=1 null update=true {"s":"1","x":1}`,
				`4 post put k {"s":"2","x":1} id=1 null update=true {"s":"1","x":1}`,
			},
		},
		{
			"wrong etag", func() string {
				_, err := b.client.PutObject(b.ctx(), "b", "k", json.RawMessage(`{}`), &client.WriteOptions{Etag: client.IfEtag("no")})
				name, _, _ := strings.Cut(answer(err), ":")
				return name
			}, "EtagConflictError", nil,
		},
		{
			"batch", func() string {
				args := `[[{"operation":"put","bucket":"b","key":"n","value":{}},{"operation":"delete","bucket":"b","key":"k"}],{"req_id":"39946119-9504-461b-aade-5f106d236323"}]`
				return answer(b.client.Call(b.ctx(), "batch", []byte(args), nil))
			}, "ok",
			[]string{
				`1 pre put n {} id=0 null update=false null`,
				`other pre put n {"x":1} id=0 null update=false null`,
				`2 pre put n {"x":1} id=0 null update=false null`,
				`3 post put n {"x":1,"_id":2} id=2 null update=false null`,
				`other post put n {"x":1,"_id":2} id=2 null update=false null`,
				`4 post put n {"x":1,"_id":2} id=2 null update=false null`,
				`3 post delete k null id=1 null update=false {"s":"2","x":1}`,
				`other post delete k null id=1 null update=false {"s":"2","x":1}`,
				`4 post delete k null id=1 null update=false {"s":"2","x":1}`,
			},
		},
		{
			"update of many", func() string {
				return answer(b.client.Call(b.ctx(), "updateObjects", []byte(`["b",{"s":"3"},"(s=2)",{}]`), func(jsvalue.Value) error { return nil }))
			}, "ok", nil,
		},
	}
	for _, step := range steps {
		if got := step.run(); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
		var sees []string
		for _, text := range b.seen() {
			sees = append(sees, brief(t, text))
		}
		if got, want := strings.Join(sees, "\n"), strings.Join(step.sees, "\n"); got != want {
			t.Errorf("%s: hooks see\n%s\nthey should see\n%s", step.name, got, want)
		}
	}
}

// brief shows an event in one line.
func brief(t *testing.T, text string) string {
	t.Helper()
	var e struct {
		Phase, Op, Key, With             string
		Value, Headers, Previous, Schema json.RawMessage
		ID                               int
		Update, Req                      bool
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatal(err)
	}
	if !e.Req || string(e.Schema) != `{"s":{"type":"string"},"u":{"type":"number","unique":true}}` {
		t.Errorf("request id %v, schema %s", e.Req, e.Schema)
	}
	return fmt.Sprintf("%s %s %s %s %s id=%d %s update=%v %s", e.With, e.Phase, e.Op, e.Key, e.Value, e.ID, e.Headers, e.Update, e.Previous)
}

// TestChanges shows what becomes of what hooks make of key and value.
func TestChanges(t *testing.T) {
	t.Parallel()
	b := newBed(t, program("p", "act"))
	for i, c := range []struct {
		do, put, key, want string
	}{
		{`{"do":"key","with":"-x"}`, "ok", "k-x", `{"s":"1"}`},
		{`{"do":"member","with":"s","n":5}`, "ok", "k", `{"s":"5"}`}, // the column wins
		{`{"do":"value","with":"[1,{\"a\":2}]"}`, "ok", "k", `[1,{"a":2}]`},
		{`{"do":"value","with":"5"}`, "AssertionError: object (object) is required", "k", "not there"},
		{`{"do":"value","with":"{\"a\""}`, "unavailable: the value that it leaves: ", "k", "not there"},
		{`{"do":"value","with":"{ \"b\" : 1.0, \"a\":2}"}`, "ok", "k", `{"b":1,"a":2}`},
		{`{"do":"big","n":1000000}`, "ok", "k", "long"},
		{`{"do":"big","n":1100000}`, "unavailable: the value that it leaves has ", "k", "not there"},
		{`{"do":"big","n":9000000}`, "unavailable: its message is too large: ", "k", "not there"},
		{`{"do":"count"}`, "ok", "k", `{"s":"1","n":1}`},
	} {
		name := fmt.Sprint("b", i)
		b.mustCreate(name, list(binding("act", c.do, `,"timeout":20000`)), "[]")
		got := b.put(name, "k", `{"s":"1"}`)
		prefix := strings.Replace(c.put, "unavailable", "HookUnavailableError: hook p/act (pre) of bucket "+name, 1)
		if got != prefix && !(strings.HasPrefix(c.put, "unavailable") && strings.HasPrefix(got, prefix)) {
			t.Errorf("%s: %s, want %s", c.do, got, prefix)
		}
		value := b.get(name, c.key)
		switch {
		case strings.HasPrefix(value, "ObjectNotFoundError"):
			value = "not there"
		case len(value) > 1000:
			value = "long"
		}
		if value != c.want {
			t.Errorf("%s leaves %s, want %s", c.do, value, c.want)
		}
	}
	// The handler of a binding is kept.
	if got := b.put("b9", "l", `{}`); got != "ok" || b.get("b9", "l") != `{"n":2}` {
		t.Errorf("the second event: %s, %s", got, b.get("b9", "l"))
	}
}

// TestRefusals shows how the verdicts of hooks reach a client, and that nothing is stored then.
func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBed(t, program("p", "act"))
	for i, c := range []struct{ do, want string }{
		{`{"do":"reject","with":"QuotaError","n":3}`, `QuotaError: no k {"n":3} [{"message":"first"}]`},
		{`{"do":"reject"}`, `HookRejectedError: no k {"plugin":"p","hook":"act","phase":"PHASE","bucket":"BUCKET"}`},
		{`{"do":"error","with":"é"}`, `HookRejectedError: é {"plugin":"p","hook":"act","phase":"PHASE","bucket":"BUCKET"}`},
		{`{"do":"fail","with":"the other service is down"}`, `UNAVAILABLE the other service is down {"plugin":"p","hook":"act","phase":"PHASE","bucket":"BUCKET","reason":"failed"}`},
		{`{"do":"panic"}`, `UNAVAILABLE panic: oh {"plugin":"p","hook":"act","phase":"PHASE","bucket":"BUCKET","reason":"failed"}`},
		{`{"do":"sql","with":"INSERT INTO seen (n) VALUES (1), (1)"}`, "ok"},
		{`{"do":"sql","with":"SELECT 1/0"}`, `error: division by zero`},
		{`{"do":"sql","with":"SELEC"}`, `InternalError: Invalid SQL: syntax error at or near "SELEC"`},
		{`{"do":"sql","with":"INSERT INTO taken VALUES (1)"}`, `UniqueAttributeError: "u" is a unique attribute; value "1" already exists`},
		{`{"do":"swallow","with":"SELECT 1/0"}`, `error: current transaction is aborted, commands ignored until end of transaction block`},
		{`{"do":"sql","with":"COMMIT"}`, `UNAVAILABLE its SQL began or ended a transaction {"plugin":"p","hook":"act","phase":"PHASE","bucket":"BUCKET","reason":"protocol"}`},
	} {
		if i == 0 {
			b.db.Exec(t, `CREATE TABLE taken (u INT UNIQUE)`)
			b.db.Exec(t, `INSERT INTO taken VALUES (1)`)
		}
		for _, phase := range []string{"pre", "post"} {
			name := fmt.Sprint(phase, i)
			pre, post := list(binding("act", c.do, "")), "[]"
			if phase == "post" {
				pre, post = post, pre
			}
			b.mustCreate(name, pre, post)
			want := strings.NewReplacer("PHASE", phase, "BUCKET", name, "UNAVAILABLE", "HookUnavailableError: hook p/act ("+phase+") of bucket "+name+":").Replace(c.want)
			if got := b.put(name, "k", `{}`); got != want {
				t.Errorf("%s %s: %s, want %s", phase, c.do, got, want)
			}
			stored := !strings.HasPrefix(b.get(name, "k"), "ObjectNotFoundError")
			// What a hook commits after the write is committed.
			if wanted := c.want == "ok" || phase == "post" && strings.Contains(c.do, "COMMIT"); stored != wanted {
				t.Errorf("%s %s: stored %v, want %v", phase, c.do, stored, wanted)
			}
		}
	}
}

// TestDefinitions shows which bindings a bucket can have.
func TestDefinitions(t *testing.T) {
	t.Parallel()
	b := newBed(t, program("plugin", "act"), program("other", "none"))
	bind := func(plugin, hook, rest string) string {
		return fmt.Sprintf(`[{"plugin":%q,"hook":%q%s}]`, plugin, hook, rest)
	}
	for i, c := range []struct{ pre, post, want string }{
		{bind("plugin", "act", ""), bind("plugin", "all", `,"config":{"do":"seen"}`), "ok"},
		{bind("pluign", "act", ""), "[]", `InvalidBucketConfigError: bucket.pre[0]: there is no plugin 'pluign', did you mean 'plugin'?`},
		{bind("xyz", "act", ""), "[]", `InvalidBucketConfigError: bucket.pre[0]: there is no plugin 'xyz'; there are other, plugin`},
		{"[]", bind("plugin", "atc", ""), `InvalidBucketConfigError: bucket.post[0]: plugin plugin: there is no hook 'atc'; there are act, all, early, little, pure`},
		{"[]", bind("plugin", "early", ""), `InvalidBucketConfigError: bucket.post[0]: hook plugin/early cannot be bound there`},
		{bind("plugin", "act", `,"config":{"do":"fly"}`), "[]", `InvalidBucketConfigError: bucket.pre[0]: hook plugin/act: cannot do "fly"`},
		{bind("plugin", "act", `,"config":{"dont":1}`), "[]", `InvalidBucketConfigError: bucket.pre[0]: hook plugin/act: json: unknown field "dont"`},
		{bind("plugin", "act", `,"config":{"do":"refuse","with":"MyError"}`), "[]", `MyError: the plugin refuses this bucket`},
		{`["function (req, cb) { cb(); }"]`, "[]", `InvalidBucketConfigError: bucket.pre[0]: there is no plugin 'js'; there are other, plugin`},
		{bind("other", "act", ""), "[]", `HookUnavailableError: plugin other cannot check its hooks of bucket b9: it is not running: it has no hooks {"plugin":"other","bucket":"b9"}`},
	} {
		if strings.HasPrefix(c.want, "Hook") {
			until(t, "the plugin without hooks is given up", func() bool { return b.manager.Statuses()[0].Restarts >= 5 })
		}
		if got := b.create(fmt.Sprint("b", i), c.pre, c.post, ""); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.pre, c.post, got, c.want)
		}
	}
}

// TestSideBySide has events of several buckets under way at once.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	b := newBed(t, program("p", "act"))
	b.mustCreate("b1", list(binding("act", `{"do":"meet"}`, `,"timeout":30000`)), "[]")
	b.mustCreate("b2", list(binding("act", `{"do":"meet"}`, `,"timeout":30000`)), "[]")
	b.mustCreate("plain", "[]", "[]")
	var all sync.WaitGroup
	for _, bucket := range []string{"b1", "b2"} {
		all.Go(func() {
			if got := b.put(bucket, bucket, `{}`); got != "ok" {
				t.Errorf("%s: %s", bucket, got)
			}
		})
	}
	all.Wait()
	if b.get("b1", "b1 met b2") != `{}` && b.get("b2", "b2 met b1") != `{}` {
		t.Error("the two events did not meet")
	}
	if got := b.put("plain", "k", `{}`); got != "ok" {
		t.Errorf("a bucket without hooks: %s", got)
	}
	if s := b.status(); s.Calls != 2 || s.Sessions != 2 || s.Errors != 0 {
		t.Errorf("%d calls over %d sessions, %d errors; want 2, 2, 0", s.Calls, s.Sessions, s.Errors)
	}
}

// TestPure: a hook that says that it is pure runs no SQL, sees no update, and a put that it changes needs no transaction.
func TestPure(t *testing.T) {
	t.Parallel()
	b := newBed(t, program("p", "act"))
	b.mustCreate("b", list(binding("pure", `{"do":"member","with":"x","n":1}`, ""), binding("pure", `{"do":"member","with":"y","n":2}`, "")), "[]")
	b.mustCreate("sql", list(binding("pure", `{"do":"sql","with":"SELECT 1"}`, "")), "[]")
	b.mustCreate("mixed", list(binding("pure", `{"do":"member","with":"x","n":1}`, ""), binding("act", `{"do":"sql","with":"SELECT 1"}`, "")), "[]")
	for _, value := range []string{`{"s":"1"}`, `{"s":"2"}`} {
		if got := b.put("b", "k", value); got != "ok" {
			t.Error(got)
		}
		if got, want := b.get("b", "k"), strings.TrimSuffix(value, "}")+`,"x":1,"y":2}`; got != want {
			t.Errorf("stored %s, want %s", got, want)
		}
	}
	if got := b.put("sql", "k", `{}`); !strings.Contains(got, "the hook says that it is Pure: it runs no SQL") {
		t.Errorf("a pure hook that runs SQL: %s", got)
	}
	if got := b.put("mixed", "k", `{}`); got != "ok" {
		t.Errorf("beside one that is not: %s", got)
	}
	args := `[[{"operation":"put","bucket":"b","key":"n","value":{}}],{}]`
	if got := answer(b.client.Call(b.ctx(), "batch", []byte(args), nil)); got != "ok" || b.get("b", "n") != `{"x":1,"y":2}` {
		t.Errorf("in a batch: %s, %s", got, b.get("b", "n"))
	}
}
