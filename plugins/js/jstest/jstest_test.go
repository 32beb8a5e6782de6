package jstest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
	"github.com/kaizengarden/moray/plugins/js/jstest"
)

func TestMain(m *testing.M) {
	jstest.Serve()
	pgtest.Main(m)
}

// bed is a server with the plugin in a process of its own.
type bed struct {
	t      testing.TB
	db     *pgtest.DB
	client *client.Client
}

func newBed(t testing.TB) *bed {
	t.Helper()
	db := pgtest.New(t)
	server := servertest.Start(t, db.URL(), servertest.Options{Hooks: jstest.Hooks})
	c := client.New(client.Config{Addresses: []string{server.Addr}})
	t.Cleanup(c.Close)
	return &bed{t, db, c}
}

func (b *bed) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	b.t.Cleanup(cancel)
	return ctx
}

// create makes a bucket with one trigger, which may take a while.
func (b *bed) create(name, source string, timeout time.Duration) {
	b.t.Helper()
	config, err := json.Marshal(map[string]any{"pre": []any{map[string]any{
		"plugin": "js", "hook": "trigger", "config": source, "timeout": timeout.Milliseconds(),
	}}})
	if err != nil {
		b.t.Fatal(err)
	}
	args := fmt.Sprintf(`[%q,%s,{}]`, name, config)
	if err := b.client.Call(b.ctx(), "createBucket", []byte(args), nil); err != nil {
		b.t.Fatalf("create %s: %v", name, err)
	}
}

func (b *bed) put(bucket string) error {
	_, err := b.client.PutObject(b.ctx(), bucket, "k", json.RawMessage(`{}`), nil)
	return err
}

// TestHarm: a trigger that needs too much time, or ends the whole process, fails its own put; those of others go on as soon as there
// is a process again. Nothing of what failed is stored.
func TestHarm(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.create("good", `function (req, cb) { req.value.two = 2; cb(); }`, time.Minute)
	bad := map[string]struct {
		source  string
		timeout time.Duration
		want    string
	}{
		"endless":  {`function (req, cb) { for (;;) { } }`, 500 * time.Millisecond, "no answer within 500 ms"},
		"silent":   {`function (req, cb) { req.pg.query('SELECT 1'); }`, 500 * time.Millisecond, "no answer within 500 ms"},
		"sleeping": {`function (req, cb) { req.pg.query('SELECT pg_sleep(60)'); }`, 500 * time.Millisecond, "no answer within 500 ms"},
		"deep":     {`function (req, cb) { eval('('.repeat(1e6)); cb(); }`, time.Minute, "its process ended"},
	}
	for name, c := range bad {
		b.create(name, c.source, c.timeout)
	}
	var puts sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		puts.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := b.put("good"); err != nil && !strings.HasPrefix(err.Error(), "HookUnavailableError: ") {
					t.Errorf("a good put: %v", err)
				}
			}
		})
	}
	for _, name := range []string{"endless", "deep", "silent", "sleeping"} {
		head := "HookUnavailableError: hook js/trigger (pre) of bucket " + name + ": " + bad[name].want
		if err := b.put(name); err == nil || !strings.HasPrefix(err.Error(), head) {
			t.Errorf("%s: %v, want %s…", name, err, head)
		}
	}
	close(stop)
	puts.Wait()
	for deadline := time.Now().Add(30 * time.Second); ; {
		err := b.put("good")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the good bucket does not come back: %v", err)
		}
	}
	for name := range bad {
		if keys := b.db.Strings(t, "SELECT _key FROM "+name); len(keys) > 0 {
			t.Errorf("%s has %q", name, keys)
		}
	}
	if values := b.db.Strings(t, "SELECT _value FROM good"); len(values) != 1 || values[0] != `{"two":2}` {
		t.Errorf("good has %q", values)
	}
}

// TestUpdated: a new definition begins with a new state, on the put that follows.
func TestUpdated(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	const counts = `function (req, cb) { n = typeof n === 'undefined' ? 1 : n + 1; req.value.n = n; cb(); }`
	b.create("b", counts, time.Minute)
	value := func() string {
		t.Helper()
		if err := b.put("b"); err != nil {
			t.Fatal(err)
		}
		return b.db.Strings(t, "SELECT _value FROM b")[0]
	}
	for _, want := range []string{`{"n":1}`, `{"n":2}`} {
		if got := value(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	args := `["b",{"pre":[` + quote(t, counts) + `]},{}]`
	if err := b.client.Call(b.ctx(), "updateBucket", []byte(args), nil); err != nil {
		t.Fatal(err)
	}
	if got, want := value(), `{"n":1}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func quote(t *testing.T, text string) string {
	t.Helper()
	b, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
