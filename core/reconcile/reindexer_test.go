package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/reconcile"
)

// define applies brief documents.
func (b *bed) define(text string) {
	b.t.Helper()
	if _, err := b.applier().Apply(context.Background(), b.read(brief(text)), nil); err != nil {
		b.t.Fatal(err)
	}
}

// rows makes rows k1 to kN of a bucket, as an original server would have stored them, with the member n.
func (b *bed) rows(name string, n int) {
	b.t.Helper()
	b.db.Exec(b.t, fmt.Sprintf(`INSERT INTO %s (_key, _value, _etag, _mtime)
 SELECT 'k' || i, '{"s":"x","n":' || i || '}', 'A3A6BF43', 1 FROM generate_series(1, %d) i`, name, n))
}

// reindexer makes one that is not running.
func (b *bed) reindexer() *reconcile.Reindexer {
	return &reconcile.Reindexer{Store: b.store, Cache: b.buckets.Cache, By: "a test", Log: slog.New(slog.DiscardHandler)}
}

// reindexing runs one until the function that it returns is called, or the test ends.
func (b *bed) reindexing(r *reconcile.Reindexer) (stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.Run(ctx); err != nil {
			b.t.Error(err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	b.t.Cleanup(stop)
	return stop
}

// job returns the job of a bucket.
func (b *bed) job(name string) *bucket.ReindexJob {
	b.t.Helper()
	jobs, err := b.store.ReindexJobs(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, j := range jobs {
		if j.Bucket == name {
			return j
		}
	}
	return &bucket.ReindexJob{Bucket: name}
}

// due ends the wait of all jobs, in the database and, with another server in its place, in the one that runs.
func (b *bed) due(stop func()) {
	b.t.Helper()
	stop()
	b.db.Exec(b.t, `UPDATE _moray.reindexing SET due = now()`)
	b.reindexing(b.reindexer())
}

// usable waits until the indexes of a bucket can be used.
func (b *bed) usable(name string) {
	b.t.Helper()
	eventually(b.t, "the indexes of "+name+" can be used", func() bool {
		return b.db.Strings(b.t, `SELECT coalesce(reindex_active, '{}') FROM buckets_config WHERE name = $1`, name)[0] == "{}"
	})
}

// checkColumns fails the test unless the column n of all rows is their member n.
func (b *bed) checkColumns(name string, rows int) {
	b.t.Helper()
	got := b.db.Strings(b.t, fmt.Sprintf(`SELECT count(*), count(*) FILTER (WHERE n IS DISTINCT FROM (_value::json ->> 'n')::numeric) FROM %s`, name))
	if want := fmt.Sprintf("%d|0", rows); got[0] != want {
		b.t.Errorf("rows, and those whose column is not their member: %s, want %s", got, want)
	}
}

// The indexes of a managed bucket are filled and become usable without any client's doing; what the job was is told.
func TestReindexer(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.define("users version=1 s=string reindex\nothers version=1 s=string")
	b.rows("users", 730)
	b.rows("others", 10)
	b.define("users version=2 s=string n=number reindex\nothers version=2 s=string n=number")
	b.put("users", "new", `{"n":731}`)
	metrics := prometheus.NewRegistry()
	r := b.reindexer()
	r.Metrics = reconcile.NewReindexMetrics(metrics)
	b.reindexing(r)
	b.usable("users")
	b.checkColumns("users", 731)
	j := b.job("users")
	if j.Pending || j.Finished.IsZero() || j.Done != 730 || j.Total != 730 || j.Unfit != 0 || j.By != "a test" || j.Version != "2" || j.Left() != 0 {
		t.Errorf("the job is %+v", j)
	}
	if other := b.job("others"); !other.Pending || other.Version != "" || other.Pace != nil {
		t.Errorf("the job that is for clients is %+v", other)
	}
	// A client's calls for what is done.
	done, err := b.objects.Reindex(context.Background(), &object.Reindex{Bucket: "users", Count: 5})
	if err != nil || done.Processed != 0 || done.Remaining != -1 {
		t.Errorf("a client's call afterwards: %+v, %v", done, err)
	}
	// The next definition does not wait for the sweep after this one.
	b.define("users version=3 s=string n=number t=string reindex")
	r.Notice()
	if j := b.job("users"); j.Version != "" || !j.Pending || j.Wait > 0 || j.Pace == nil {
		t.Errorf("the job of the next definition is %+v", j)
	}
	b.usable("users")
	if j := b.job("users"); j.Version != "3" || j.Done != 731 {
		t.Errorf("the job of the next definition is %+v", j)
	}
	etags := b.db.Strings(t, `SELECT DISTINCT _etag, _mtime FROM users WHERE _key <> 'new'`)
	if len(etags) != 1 {
		t.Errorf("etags and times were changed: %s", etags)
	}
}

// A bucket is not faster than its document says, however many servers there are.
func TestReindexerPace(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	const rows, rate = 600, 400
	b.define("b version=1")
	b.rows("b", rows)
	b.define("b version=2 n=number reindex")
	b.db.Exec(t, `UPDATE _moray.managed SET rate = $1, batch = 40`, rate)
	begin := time.Now()
	for range 3 {
		b.reindexing(bedAt(t, b.db, b.db.URL()).reindexer())
	}
	b.usable("b")
	if took := time.Since(begin); took < rows*time.Second/rate*8/10 {
		t.Errorf("%d rows took %s, at a rate of %d rows/s", rows, took, rate)
	}
	if j := b.job("b"); j.Done != rows {
		t.Errorf("the job is %+v", j)
	}
}

// Several servers reindex together with clients while others write, and servers come and go. No row is left behind, none says that
// all is done before it is, and no write is lost.
func TestReindexersTogether(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	const rows = 1500
	b.define("b version=1 s=string")
	b.rows("b", rows)
	b.define("b version=2 s=string n=number reindex")
	b.db.Exec(t, `UPDATE _moray.managed SET rate = 0, batch = 7`)
	var workers sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 3 {
		other := bedAt(t, b.db, b.db.URL())
		workers.Go(func() {
			for ctx.Err() == nil { // servers that come and go
				short, stop := context.WithTimeout(ctx, 150*time.Millisecond)
				if err := other.reindexer().Run(short); err != nil {
					t.Error(err)
				}
				stop()
			}
		})
	}
	var clients sync.WaitGroup
	var written atomic.Int64
	for w := range 2 {
		clients.Go(func() {
			for i := w + 1; i <= rows; i += 11 {
				b.put("b", fmt.Sprint("k", i), fmt.Sprintf(`{"s":"y","n":%d}`, i+rows))
				written.Add(1)
			}
		})
	}
	clients.Go(func() {
		for range 20 {
			done, err := b.objects.Reindex(context.Background(), &object.Reindex{Bucket: "b", Count: 9})
			if err != nil {
				t.Errorf("a client's call: %v", err)
				return
			}
			if done.Processed == 0 && b.db.Strings(t, `SELECT count(*) FROM b WHERE _rver IS NULL`)[0] != "0" {
				t.Error("a client is told that nothing is left, and that is not so")
			}
		}
	})
	clients.Wait()
	b.usable("b")
	cancel()
	workers.Wait()
	b.checkColumns("b", rows)
	if got := b.db.Strings(t, `SELECT count(*) FROM b WHERE _value LIKE '%"y"%' AND n <= 1500`); got[0] != "0" {
		t.Errorf("%s writes were lost", got)
	}
}

// A server that is gone in the middle leaves nothing that keeps others from going on where it was.
func TestReindexerLost(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.define("b version=1")
	b.rows("b", 50)
	b.define("b version=2 n=number reindex")
	proxy := pgtest.NewProxy(t, b.db)
	lost := bedAt(t, b.db, proxy.URL())
	pace := bucket.Pace{Batch: 10}
	if _, err := b.reindexer().Step(t.Context(), "b", pace, true); err != nil {
		t.Fatal(err)
	}
	proxy.SetRule(func(ctx context.Context, m pgtest.Message) pgtest.Action {
		if m.FromClient && m.Type == 'P' && strings.Contains(string(m.Body), "_locked") {
			<-ctx.Done()
			return pgtest.Cut
		}
		return pgtest.Pass
	})
	var hanging sync.WaitGroup
	hanging.Go(func() {
		if _, err := lost.reindexer().Step(t.Context(), "b", pace, true); err == nil {
			t.Error("a step succeeds whose server is cut off")
		}
	})
	eventually(t, "the job is held", func() bool {
		_, err := b.reindexer().Step(t.Context(), "b", pace, true)
		return errors.Is(err, bucket.ErrBusy)
	})
	before := b.job("b")
	proxy.Down()
	hanging.Wait()
	b.reindexing(b.reindexer())
	b.usable("b")
	b.checkColumns("b", 50)
	if after := b.job("b"); after.Done != 50 || !after.Began.Equal(before.Began) {
		t.Errorf("the job was %+v, and is %+v", before, after)
	}
}

// Rows that cannot be reindexed keep the index from being used; the others are done, somebody is told of them, and when they are
// put right the end comes.
func TestReindexerUnfit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ column, bad, why string }{
		"type":      {"n=ip", `{"n":"nonsense"}`, `"zbad": index(n) is of type ip`},
		"duplicate": {"n=number!", `{"n":3}`, `"zbad": "n" is a unique attribute; value "3" already exists`},
		"long":      {"n=string", "", `"zbad": index row`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			b.define("b version=1")
			b.db.Exec(t, `INSERT INTO b (_key, _value, _etag) SELECT 'k' || i, '{"n":' || i || '}', 'A3A6BF43' FROM generate_series(1, 30) i`)
			if c.bad == "" { // of what PostgreSQL cannot compress
				b.db.Exec(t, `INSERT INTO b (_key, _value, _etag) SELECT 'zbad', '{"n":"' || string_agg(md5(i::text), '') || '"}', 'A3A6BF43' FROM generate_series(1, 400) i`)
			} else {
				b.put("b", "zbad", c.bad)
			}
			b.db.Exec(t, `INSERT INTO b (_key, _value, _etag) VALUES ('zz', '{"n":77}', 'A3A6BF43')`)
			documents := b.read(brief("b version=2 " + c.column + " reindex"))
			if _, err := b.applier("unique=b.n").Apply(t.Context(), documents, nil); err != nil {
				t.Fatal(err)
			}
			stop := b.reindexing(b.reindexer())
			eventually(t, "the row is told of", func() bool {
				j := b.job("b")
				return j.Unfit == 1 && j.Pass > 1 && len(j.Examples) == 1 && strings.HasPrefix(j.Examples[0], c.why)
			})
			if left := b.db.Strings(t, `SELECT _key FROM b WHERE _rver IS NULL`); strings.Join(left, " ") != "zbad" {
				t.Errorf("rows that are left: %s", left)
			}
			b.put("b", "zbad", `{}`)
			b.due(stop)
			b.usable("b")
		})
	}
}

// What the original servers write by a definition that they kept is found some time after the end.
func TestReindexerSweeps(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.define("b version=1")
	b.rows("b", 5)
	b.define("b version=2 n=number reindex")
	stop := b.reindexing(b.reindexer())
	b.usable("b")
	eventually(t, "the job is done", func() bool { return !b.job("b").Finished.IsZero() })
	j := b.job("b")
	if j.Swept || j.Wait < 290*time.Second || j.Wait > 300*time.Second {
		t.Errorf("the job is %+v", j)
	}
	b.db.Exec(t, `INSERT INTO b (_key, _value, _etag) VALUES ('late', '{"n":7}', 'A3A6BF43')`)
	b.due(stop)
	eventually(t, "the rows are swept", func() bool { return b.job("b").Swept })
	b.checkColumns("b", 6)
}

// A definition that changes before the end begins the work anew; a bucket that goes takes its job with it; one that is paused waits.
func TestReindexerRedefined(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.define("b version=1 reindex")
	b.rows("b", 20)
	b.define("b version=2 n=number reindex")
	r := b.reindexer()
	if _, err := r.Step(t.Context(), "b", bucket.Pace{Batch: 10}, false); err != nil {
		t.Fatal(err)
	}
	b.define("b version=3 n=number s=string reindex")
	j, err := r.Step(t.Context(), "b", bucket.Pace{Batch: 10}, false)
	if err != nil || j.Version != "3" || j.Done != 10 || j.Total != 20 {
		t.Errorf("the job is %+v, %v", j, err)
	}
	if err := b.store.PauseReindexing(t.Context(), "b", true); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Step(t.Context(), "b", bucket.Pace{Batch: 10}, false); !errors.Is(err, bucket.ErrBusy) {
		t.Errorf("a step of a job that is paused: %v", err)
	}
	if err := b.store.PauseReindexing(t.Context(), "b", false); err != nil {
		t.Fatal(err)
	}
	b.reindexing(r)
	b.usable("b")
	b.checkColumns("b", 20)
	if err := b.buckets.Delete(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if left := b.db.Strings(t, `SELECT bucket FROM _moray.reindexing`); len(left) != 0 {
		t.Errorf("jobs are left: %s", left)
	}
}
