package clients

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server"
	"github.com/kaizengarden/moray/core/server/servertest"
	"github.com/kaizengarden/moray/hooks"
)

// TestHooks has stock clients use a bucket that is bound to the example plugin: the program that make build builds.
func TestHooks(t *testing.T) {
	t.Parallel()
	install(t)
	program := filepath.Join(t.TempDir(), "example")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/moray-plugin-example").CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, out)
	}
	golden := filepath.Join("testdata", "hooks.txt")
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{Hooks: func(s server.HookSettings) (server.Hooks, error) {
				return hooks.New(hooks.Config{Plugins: []hooks.PluginConfig{{Name: "example", Command: program, Timeout: 20 * time.Second}}, Log: s.Log})
			}})
			create(t, s.Addr)
			host, port, err := net.SplitHostPort(s.Addr)
			if err != nil {
				t.Fatal(err)
			}
			got, err := command(t, time.Minute, release, s.Addr, "node", "hooks.js", release, host, port).Output()
			if err != nil {
				t.Fatalf("node hooks.js: %v\n%s%s", err, got, stderrOf(err))
			}
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// create makes the bucket as its owner does, who knows of plugins.
func create(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := client.New(client.Config{Addresses: []string{address}})
	defer c.Close()
	if err := c.CreateBucket(ctx, "dogs", &client.BucketConfig{
		Index:   json.RawMessage(`{"name":{"type":"string"},"owner":{"type":"string"}}`),
		Pre:     []json.RawMessage{json.RawMessage(`{"plugin":"example","hook":"tidy","config":{"members":["name","owner"]}}`)},
		Post:    []json.RawMessage{json.RawMessage(`{"plugin":"example","hook":"limit"}`)},
		Options: json.RawMessage(`{"version":1}`),
	}, nil); err != nil {
		t.Fatal(err)
	}
}
