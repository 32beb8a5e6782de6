package clients

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/kaizengarden/moray/cmd/moray/bulk"
	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// TestBulk dumps what stock clients have made and loads it into another server: they find the same there, and so do its tables.
func TestBulk(t *testing.T) {
	t.Parallel()
	install(t)
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			from, to := pgtest.New(t), pgtest.New(t)
			server, other := servertest.Start(t, from.URL(), servertest.Options{}), servertest.Start(t, to.URL(), servertest.Options{})
			c := startCaller(t, release, server.Addr)
			for _, call := range [][2]string{
				{"createBucket", `"vms",{"index":{"owner":{"type":"string"},"ram":{"type":"number"},"tags":{"type":"[string]"}},"options":{"version":2}}`},
				{"putObject", `"vms","a",{"owner":"ann","ram":512,"tags":["x","ü"],"more":{"n":1e21}}`},
				{"putObject", `"vms","b/\u00fc",{"owner":"bob","ram":"1024"}`},
				{"putObject", `"vms","c",{"owner":"ann"}`},
				{"updateObjects", `"vms",{"ram":2048},"(owner=bob)"`},
			} {
				if a := c.call(call[0], "["+call[1]+"]"); a.Error != nil || a.Thrown != "" {
					t.Fatalf("%s: %s", call[0], a)
				}
			}

			var file bytes.Buffer
			ours := func(address string) *client.Client {
				all := client.New(client.Config{Addresses: []string{address}, Connections: 1})
				t.Cleanup(all.Close)
				return all
			}
			reader := ours(server.Addr)
			dump := bulk.Dump{Stream: reader, Client: reader, Out: bulk.NewOutput(&file), Members: bulk.AllMembers, Patience: time.Minute}
			if _, err := dump.Run(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
			if err := dump.Out.Close(); err != nil {
				t.Fatal(err)
			}
			load := bulk.Load{Client: ours(other.Addr), In: bulk.NewInput(&file), Concurrency: 4, Patience: time.Minute}
			if done, err := load.Run(t.Context()); err != nil || done.Objects != 3 {
				t.Fatalf("load: %+v, %v", done, err)
			}

			const rows = `SELECT _key, _etag, owner, ram, tags FROM vms ORDER BY _key`
			if got, want := to.Strings(t, rows), from.Strings(t, rows); !slices.Equal(got, want) {
				t.Errorf("rows: got %q, want %q", got, want)
			}
			d := startCaller(t, release, other.Addr)
			const find = `["vms","(|(owner=ann)(ram>=2000))"]`
			if got, want := found(t, d.call("findObjects", find)), found(t, c.call("findObjects", find)); len(want) != 3 || !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", find, got, want)
			}
		})
	}
}

// found returns what a find answered, without ids and times, which are the server's.
func found(t *testing.T, a answer) (all []string) {
	t.Helper()
	for _, record := range a.Records {
		var o struct {
			Key   string
			Value json.RawMessage
		}
		if err := json.Unmarshal(record, &o); err != nil {
			t.Fatal(err)
		}
		all = append(all, o.Key+" "+string(o.Value))
	}
	slices.Sort(all)
	return all
}
