package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// directories starts a server with the bucket manta, and with the PostgreSQL trigger that keeps the number of entries of each
// directory in the bucket manta_directory_counts: one long text with several transactions, sent twice as it is at every start
// of the library.
func directories(t *testing.T) (*servertest.Server, *pgtest.DB) {
	t.Helper()
	db := pgtest.New(t)
	server := servertest.Start(t, db.URL(), servertest.Options{})
	client := server.Dial(t, 2)
	for _, d := range load[definition](t, "testdata/buckets.jsonl") {
		if d.Name == "manta" || d.Name == "manta_directory_counts" {
			expect(t, client, "createBucket", arguments(t, d.Name, d.Config, struct{}{}), "END")
		}
	}
	text, err := os.ReadFile("testdata/directory_counts.sql")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		expect(t, client, "sql", arguments(t, string(text), []any{}, struct{}{}),
			`DATA {"locked":""}`, `DATA {"pg_advisory_xact_lock":""}`, `DATA {"pg_advisory_xact_lock":""}`, `DATA {"triggers":"1"}`,
			`DATA {"unlocked":true}`, "END")
	}
	return server, db
}

func entry(dir, name string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"dirname":%q,"name":%q,"owner":"8d085f9e","type":"object","vnode":123456}`, dir, name))
}

// The counts follow what is put, overwritten, put and deleted in batches, and deleted by a filter; what is rolled back counts for nothing.
func TestDirectoryCounts(t *testing.T) {
	t.Parallel()
	server, db := directories(t)
	client := server.Dial(t, 2)
	entries := func(n int) {
		t.Helper()
		if n == 0 {
			expect(t, client, "getObject", json.RawMessage(`["manta_directory_counts","/d",{}]`), "ERROR ObjectNotFoundError: manta_directory_counts::/d does not exist")
			return
		}
		// The stored value is {}: the column is laid over it.
		expect(t, client, "getObject", json.RawMessage(`["manta_directory_counts","/d",{}]`),
			fmt.Sprintf(`DATA {"bucket":"manta_directory_counts","key":"/d","value":{"entries":%d},"_id":*`, n), "END")
	}
	put := func(name, options string, frames ...string) {
		t.Helper()
		expect(t, client, "putObject", json.RawMessage(fmt.Sprintf(`["manta","/d/%s",%s,%s]`, name, entry("/d", name), options)), frames...)
	}
	written := []string{`DATA {"etag":"*`, "END"}

	entries(0)
	put("a", `{}`, written...)
	put("b", `{"etag":null}`, written...)
	entries(2)
	put("a", `{}`, written...) // an overwrite is no new entry
	put("b", `{"etag":null}`, "ERROR EtagConflictError: *")
	entries(2)
	compareLines(t, "rows of the counts", db.Strings(t, `SELECT _key, _value, _etag, _vnode, entries, _id IS NOT NULL, _mtime IS NOT NULL FROM manta_directory_counts`),
		[]string{"/d|{}|DEADBEEF|123456|2|t|t"})

	expect(t, client, "batch", json.RawMessage(fmt.Sprintf(`[[{"bucket":"manta","key":"/d/c","value":%s},{"bucket":"manta","key":"/d/e","value":%s},
		{"bucket":"manta","key":"/d/a","operation":"delete"}],{}]`, entry("/d", "c"), entry("/d", "e"))), `DATA {"etags":[{"bucket":"manta","etag":*`, "END")
	entries(3)
	expect(t, client, "batch", json.RawMessage(fmt.Sprintf(`[[{"bucket":"manta","key":"/d/f","value":%s},
		{"bucket":"manta","key":"/d/none","operation":"delete"}],{}]`, entry("/d", "f"))), "ERROR ObjectNotFoundError: *")
	entries(3)
	expect(t, client, "delObject", json.RawMessage(`["manta","/d/b",{"etag":"00000000"}]`), "ERROR EtagConflictError: *")
	entries(3)
	expect(t, client, "delObject", json.RawMessage(`["manta","/d/b",{}]`), "DATA {}", "END")
	entries(2)
	expect(t, client, "findObjects", json.RawMessage(`["manta_directory_counts","(entries>=2)",{}]`),
		`DATA {"bucket":"manta_directory_counts","key":"/d","value":{"entries":2},*`, "END")
	expect(t, client, "deleteMany", json.RawMessage(`["manta","(dirname=/d)",{}]`), `DATA {"count":2}`, "END")
	entries(0)
}

// Many clients at once: a directory's row is what they all write, and its number is right in the end.
func TestDirectoryCountsConcurrent(t *testing.T) {
	t.Parallel()
	server, db := directories(t)
	const clients, each = 4, 50
	var group errgroup.Group // waited for below
	for c := range clients {
		client := server.Dial(t, 2)
		group.Go(func() error {
			for i := range each {
				key := fmt.Sprintf("/d%d/%d-%d", i%3, c, i)
				if err := try(client, "putObject", fmt.Sprintf(`["manta",%q,%s,{}]`, key, entry(fmt.Sprintf("/d%d", i%3), "x"))); err != nil {
					return err
				}
				if i%2 == 1 {
					if err := try(client, "delObject", fmt.Sprintf(`["manta",%q,{}]`, key)); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	got := db.Strings(t, `SELECT _key, entries FROM manta_directory_counts ORDER BY _key`)
	rows := db.Strings(t, `SELECT dirname, count(*) FROM manta GROUP BY dirname ORDER BY dirname`)
	compareLines(t, "counts", got, rows)
	if len(rows) != 3 {
		t.Errorf("%d directories have entries, want 3", len(rows))
	}
}
