package js

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kaizengarden/moray/hooks/sdk"
)

// direct calls a trigger without a server, and returns what Handle returns: nobody but the log hears it when the time is up.
func direct(t *testing.T, p *plugin, source, key string, timeout time.Duration) string {
	t.Helper()
	h, err := p.bind(&sdk.Binding{Definition: bucket, Config: []byte(quote(source))})
	if err != nil {
		t.Fatal(err)
	}
	timed, cancel := context.WithTimeoutCause(ctx, timeout, errors.New("time is up"))
	defer cancel()
	e := &sdk.Event{Phase: sdk.Pre, Bucket: bucket, Key: key, Value: []byte(`{}`), Schema: []byte(`{}`), Log: slog.New(slog.DiscardHandler)}
	if err := h.Handle(timed, e); err != nil {
		return describe(err)
	}
	return e.Key + " " + string(e.Value)
}

// TestTimeIsUp: whatever a trigger does, its call ends in time, knows why, and the next call finds a working engine.
func TestTimeIsUp(t *testing.T) {
	t.Parallel()
	const count = `n = typeof n === "undefined" ? 1 : n + 1; if (req.key !== "bad") { req.value.n = n; return cb(); }`
	for source, want := range map[string]string{
		`for (;;) { }`: "failed: it was interrupted: time is up",
		`for (;;) { try { for (;;) { } } catch (e) { } finally { continue; } }`: "failed: it was interrupted: time is up",
		`(function f() { return Promise.resolve().then(f); })();`:               "failed: it was interrupted: time is up",
		`[1, 2].sort(function () { for (;;) { } });`:                            "failed: it was interrupted: time is up",
		`"a".replace(/a/, function () { for (;;) { } });`:                       "failed: it was interrupted: time is up",
		`req.value.toJSON = function () { for (;;) { } }; cb();`:                "failed: it was interrupted: time is up",
		`cb(); for (;;) { }`:                    "failed: it was interrupted: time is up",
		`cb({get message() { for (;;) { } }});`: "failed: it was interrupted: time is up",
		`new Promise(function () { });`:         "failed: it did not call back: time is up",
		``:                                      "failed: it did not call back: time is up",
		`late = cb;`:                            "failed: it did not call back: time is up",
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			source := `function (req, cb) { ` + count + source + ` }`
			b := load(t, source)
			b.want(put("k", `{}`), `k {"n":1}`)
			// In the engine of the bucket, with a realm of its own.
			if got := direct(t, b.plugin, source, "bad", 500*time.Millisecond); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			n := 2
			if strings.Contains(want, "interrupted") {
				n = 1 // in a new engine
			}
			b.want(put("k", `{}`), fmt.Sprintf(`k {"n":%d}`, n))
		})
	}
}

// TestTimeout: the server sees the end of a trigger that takes too long, also while that waits for SQL.
func TestTimeout(t *testing.T) {
	t.Parallel()
	for _, source := range []string{`for (;;) { }`, ``, `req.pg.query("WAIT");`} {
		b := load(t, `function (req, cb) { if (req.key === "k") { return cb(); } `+source+` }`)
		wait := make(chan struct{})
		b.answers(nil).wait = map[string]chan struct{}{"WAIT": wait}
		b.limit = 50 * time.Millisecond
		go func() { // the server waits for its database as long as for the plugin
			time.Sleep(100 * time.Millisecond)
			close(wait)
		}()
		b.want(put("bad", `{}`), "failed: the hook took too long")
		b.limit = 0
		b.want(put("k", `{}`), `k {}`)
		<-wait
	}
}

// TestInterleaving: calls take turns only where they wait for SQL, and what one leaves the other sees.
func TestInterleaving(t *testing.T) {
	t.Parallel()
	b := load(t, `function (req, cb) {
		log = typeof log === "undefined" ? [] : log;
		log.push(req.key + "1");
		req.pg.query(req.key).on("end", function () { log.push(req.key + "2"); req.value = log; cb(); });
		log.push(req.key + "3");
	}`)
	db := b.answers(nil)
	wait := make(chan struct{})
	db.wait = map[string]chan struct{}{"a": wait}
	first := *b
	var calls sync.WaitGroup
	calls.Go(func() { first.want(put("a", `{}`), `a ["a1","a3","b1","b3","b2","a2"]`) })
	for db.take() != "a" { // until the first waits
		time.Sleep(time.Millisecond)
	}
	b.want(put("b", `{}`), `b ["a1","a3","b1","b3","b2"]`)
	close(wait)
	calls.Wait()
}

// TestOthersGoOn: a call that waits for SQL while another is interrupted ends in the old engine.
func TestOthersGoOn(t *testing.T) {
	t.Parallel()
	const source = `function (req, cb) {
		if (req.key === "bad") { for (;;) { } }
		n = typeof n === "undefined" ? 1 : n + 1;
		req.pg.query(req.key).on("end", function () { req.value.n = n; cb(); });
	}`
	b := load(t, source)
	db := b.answers(nil)
	wait := make(chan struct{})
	db.wait = map[string]chan struct{}{"a": wait}
	first := *b
	var calls sync.WaitGroup
	calls.Go(func() { first.want(put("a", `{}`), `a {"n":1}`) })
	for db.take() != "a" {
		time.Sleep(time.Millisecond)
	}
	if got := direct(t, b.plugin, source, "bad", 300*time.Millisecond); got != "failed: it was interrupted: time is up" {
		t.Errorf("got %s", got)
	}
	b.want(put("c", `{}`), `c {"n":1}`)
	close(wait)
	calls.Wait()
}

// TestTurn: a call whose turn does not come in time says so.
func TestTurn(t *testing.T) {
	t.Parallel()
	const source = `function (req, cb) { cb(); }`
	b := load(t, source)
	b.want(put("k", `{}`), "k {}")
	e := b.definition().current()
	e.turn <- struct{}{}
	if got := direct(t, b.plugin, source, "k", 10*time.Millisecond); got != "failed: it did not get its turn: time is up" {
		t.Errorf("got %s", got)
	}
	<-e.turn
	b.want(put("k", `{}`), "k {}")
}

// TestCallsOfOthers: the callback of a call may be called by the code of another, and what a call left behind does no harm.
func TestCallsOfOthers(t *testing.T) {
	t.Parallel()
	b := load(t, `function (req, cb) {
		switch (req.key) {
		case "waits": waiting = cb; of = req; req.pg.query("waits"); break;
		case "frees": of.value.freed = true; waiting(); cb(); break;
		case "keeps": old = req; oldcb = cb; cb(); break;
		case "uses": oldcb(new Error("again")); old.value = 5; try { old.pg.query("SELECT"); } catch (e) { cb(e); } break;
		case "rejects": (async function () { await new Promise(function (resolve, reject) { waiting = reject; }); })(); break;
		case "frees rejected": waiting(new Error("of the other")); cb(); break;
		case "waiting": req.value.v = typeof waiting !== "undefined"; cb(); break;
		}
	}`)
	b.answers(nil)
	for key, waits := range map[string][2]string{
		"frees":          {"waits", `waits {"freed":true}`},
		"frees rejected": {"rejects", "Error: of the other"},
	} {
		first := *b
		var calls sync.WaitGroup
		calls.Go(func() { first.want(put(waits[0], `{}`), waits[1]) })
		for b.fire(put("waiting", `{}`)) != `waiting {"v":true}` {
			time.Sleep(time.Millisecond)
		}
		b.want(put(key, `{}`), key+" {}")
		calls.Wait()
		b.definition().discard()
	}
	b.want(put("keeps", `{"a":1}`), `keeps {"a":1}`)
	b.want(put("uses", `{}`), "Error: the request is over: its database handle cannot be used any longer")
}

// TestParallel: triggers of several buckets run at the same time, each with its own state.
func TestParallel(t *testing.T) {
	t.Parallel()
	b := load(t)
	var calls sync.WaitGroup
	for i := range 8 {
		one := b.with(fmt.Sprintf(`function (req, cb) { n = typeof n === "undefined" ? %d : n + 1; req.value.n = n; cb(); }`, i))
		calls.Go(func() {
			for n := range 50 {
				e := put("k", `{}`)
				e.Bucket = fmt.Sprint("b", i)
				one.want(e, fmt.Sprintf(`k {"n":%d}`, i+n))
			}
		})
	}
	calls.Wait()
}

// TestMemory: what runs while memory is short is interrupted; what was collected over time is given up.
func TestMemory(t *testing.T) {
	b := load(t)
	b.limit = time.Minute
	b.plugin.watch.limit = heap() + 40<<20
	watched, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := b.plugin.watch.Run(watched); err != nil {
			t.Errorf("the watch ended: %v", err)
		}
	})
	defer watching.Wait()
	defer stop()
	for _, source := range []string{
		`function (req, cb) { var all = []; for (;;) { all.push({}); } }`,
		`function (req, cb) { var s = "x"; for (;;) { s += s.slice(0, 1 << 20) + "y"; } }`,
		`function (req, cb) { var all = []; for (;;) { all.push(new ArrayBuffer(1 << 16)); } }`,
	} {
		b.with(source).want(put("k", `{}`), "failed: it was interrupted: the triggers need too much memory")
	}
	b = b.with(`function (req, cb) { kept = typeof kept === "undefined" ? [] : kept; kept.push(new ArrayBuffer(1 << 20)); req.value.n = kept.length; cb(); }`)
	most := 0
	for range 200 {
		var n int
		if _, err := fmt.Sscanf(b.fire(put("k", `{}`)), `k {"n":%d}`, &n); err != nil {
			continue // it was running when memory was short
		}
		most = max(most, n)
		time.Sleep(time.Millisecond)
	}
	if most > 150 {
		t.Errorf("the trigger kept %d MiB", most)
	}
}

// TestStuck: the watch ends the process when something cannot be interrupted, and until then calls go elsewhere.
func TestStuck(t *testing.T) {
	t.Parallel()
	w := newPlugin(1 << 30).watch
	w.grace = 20 * time.Millisecond
	e := newEngine(w)
	release := make(chan struct{})
	must(e.vm.Set("wait", func() { <-release }))
	timed, cancel := context.WithTimeoutCause(ctx, 10*time.Millisecond, errors.New("time is up"))
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() {
		err := e.do(timed, nil, func() error {
			_, err := e.vm.RunString("wait()")
			return err
		})
		if err == nil || err.Error() != "it was interrupted: time is up" {
			t.Errorf("the run ended with %v", err)
		}
	})
	if err := w.Run(ctx); err == nil || !strings.Contains(err.Error(), "cannot be interrupted") {
		t.Errorf("the watch ended with %v", err)
	}
	if !e.spent.Load() {
		t.Error("calls go on to an engine that does not stop")
	}
	close(release)
	running.Wait()
}
