package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// BenchmarkWriters is what writers notice of an index that is built over a million rows, and of the reindexing that follows, at the
// pace that a definition has if it says nothing. Four clients put, one object after the other.
func BenchmarkWriters(b *testing.B) {
	const rows = 1_000_000
	const spec = "apiVersion: moray/v1\nkind: Bucket\nmetadata: {name: big}\nspec:\n  version: %d\n  reindex: true\n  index: {s: {type: string}%s}\n"
	db := pgtest.New(b)
	dir := b.TempDir()
	write := func(version int, more string) {
		if err := os.WriteFile(filepath.Join(dir, "b.yaml"), fmt.Appendf(nil, spec, version, more), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	write(1, "")
	s := servertest.Start(b, db.URL(), servertest.Options{Pool: `{"maxConnections":8}`, More: fmt.Sprintf(`"reconcile":{"directory":%q}`, dir)})
	value := func(sql string) string { return db.Strings(b, sql)[0] }
	wait := func(sql, want string) {
		for value(sql) != want {
			time.Sleep(50 * time.Millisecond)
		}
	}
	wait(`SELECT count(*) FROM buckets_config`, "1")
	db.Exec(b, fmt.Sprintf(`INSERT INTO big (_key, _value, _etag, _mtime, s)
 SELECT 'k' || i, '{"s":"x' || i || '","n":' || i || ',"more":"' || repeat('y', 100) || '"}', 'A3A6BF43', 1, 'x' || i FROM generate_series(1, %d) i`, rows))

	var mu sync.Mutex
	var times []time.Duration // of the puts since the last report
	ctx, cancel := context.WithCancel(context.Background())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			c := client.New(client.Config{Addresses: []string{s.Addr}, Connections: 1})
			defer c.Close()
			for i := w; ctx.Err() == nil; i += 4 {
				key := i * 7919 % rows
				begin := time.Now()
				_, err := c.PutObject(ctx, "big", fmt.Sprint("k", key), json.RawMessage(fmt.Sprintf(`{"s":"x%d","n":%d,"more":"z"}`, key, key)), nil)
				if err != nil && ctx.Err() == nil {
					b.Errorf("put: %v", err)
					return
				}
				mu.Lock()
				times = append(times, time.Since(begin))
				mu.Unlock()
			}
		})
	}
	report := func(what string, took time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(times)
		at := func(share float64) time.Duration {
			return times[int(share*float64(len(times)-1))].Round(10 * time.Microsecond)
		}
		b.Logf("%-28s %6.1f s, %5.0f puts/s, p50 %v, p99 %v, max %v", what, took.Seconds(), float64(len(times))/took.Seconds(), at(0.5), at(0.99), at(1))
		b.ReportMetric(float64(at(0.99))/float64(time.Millisecond), what+"-p99-ms")
		times = times[:0]
	}
	time.Sleep(2 * time.Second)
	report("warm-up", 2*time.Second)
	time.Sleep(10 * time.Second)
	report("before", 10*time.Second)
	begin := time.Now()
	write(2, ", n: {type: number}")
	wait(`SELECT options FROM buckets_config`, `{"version":2}`)
	report("index-build", time.Since(begin))
	time.Sleep(20 * time.Second)
	report("reindexing", 20*time.Second)
	b.Logf("reindexed meanwhile: %s rows/s", value(`SELECT round(done / extract(epoch FROM noted - began)) FROM _moray.reindexing`))
	cancel()
	writers.Wait()
}
