package hooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server"
	"github.com/kaizengarden/moray/core/server/servertest"
	"github.com/kaizengarden/moray/hooks"
)

// bed is a server with plugins, over a real database, and a client.
type bed struct {
	t       testing.TB
	db      *pgtest.DB
	server  *servertest.Server
	manager *hooks.Manager
	client  *client.Client
}

// program is this program as a plugin.
func program(name, mode string) hooks.PluginConfig {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return hooks.PluginConfig{Name: name, Command: path, Args: []string{mode}}
}

// newBed starts a server. Its supervisor looks at plugins more often than usual.
func newBed(t testing.TB, plugins ...hooks.PluginConfig) *bed {
	t.Helper()
	b := &bed{t: t, db: pgtest.New(t)}
	b.db.Exec(t, `CREATE TABLE seen (n SERIAL, event TEXT)`)
	b.server = servertest.Start(t, b.db.URL(), servertest.Options{
		Pool: `{"maxConnections":6}`, Fast: `{"maxFrameBytes":1048576}`,
		Hooks: func(s server.HookSettings) (server.Hooks, error) {
			m, err := hooks.New(hooks.Config{
				Plugins: plugins, SocketDir: shortDir(t), MessageBytes: s.MessageBytes, Log: s.Log, Metrics: s.Metrics,
				StartTimeout: 5 * time.Second, HealthInterval: 500 * time.Millisecond, HealthTimeout: 2 * time.Second,
			})
			b.manager = m
			return m, err
		},
	})
	b.client = client.New(client.Config{Addresses: []string{b.server.Addr}})
	t.Cleanup(b.client.Close)
	return b
}

// shortDir is a directory whose path leaves room for the name of a socket.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (b *bed) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	b.t.Cleanup(cancel)
	return ctx
}

// create makes a bucket. pre and post are JSON arrays; rest is what its definition has beside them.
func (b *bed) create(name, pre, post, rest string) string {
	b.t.Helper()
	text := fmt.Sprintf(`{"pre":%s,"post":%s,"index":{"s":{"type":"string"},"u":{"type":"number","unique":true}}%s}`, pre, post, rest)
	args, err := json.Marshal([]any{name, json.RawMessage(text), map[string]any{}})
	if err != nil {
		b.t.Fatal(err)
	}
	return answer(b.client.Call(b.ctx(), "createBucket", args, nil))
}

func (b *bed) mustCreate(name, pre, post string) {
	b.t.Helper()
	if got := b.create(name, pre, post, ""); got != "ok" {
		b.t.Fatalf("create %s: %s", name, got)
	}
}

// answer is an error as a client sees it, or ok.
func answer(err error) string {
	var e *client.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e) && len(e.Members) > 0:
		return fmt.Sprintf("%s: %s %s %s", e.Name, e.Message, e.Context, e.Members)
	case errors.As(err, &e) && len(e.Context) > 2:
		return fmt.Sprintf("%s: %s %s", e.Name, e.Message, e.Context)
	}
	return err.Error()
}

func (b *bed) put(bucket, key, value string) string {
	b.t.Helper()
	_, err := b.client.PutObject(b.ctx(), bucket, key, json.RawMessage(value), nil)
	return answer(err)
}

// get returns the value of an object, or the error.
func (b *bed) get(bucket, key string) string {
	b.t.Helper()
	o, err := b.client.GetObject(b.ctx(), bucket, key, nil)
	if err != nil {
		return answer(err)
	}
	return string(o.Value)
}

// seen returns the events that hooks noted in the transaction of the object, and forgets them.
func (b *bed) seen() []string {
	b.t.Helper()
	events := b.db.Strings(b.t, `SELECT event FROM seen ORDER BY n`)
	b.db.Exec(b.t, `DELETE FROM seen`)
	return events
}

// status is that of the only plugin.
func (b *bed) status() hooks.Status { return b.manager.Statuses()[0] }

// until waits for a condition, which events outside of the test make true.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func withCancel(t testing.TB) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx, cancel
}
