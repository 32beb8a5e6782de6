package bucket_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// servers are two servers' parts over one database.
type parts struct {
	store   *pgstore.Store
	buckets *bucket.Service
	objects *object.Service
}

func newParts(t *testing.T, url string) *parts {
	t.Helper()
	store, err := pgstore.New(pgstore.Config{URL: url, Limits: pgstore.Limits{MaxConnections: 4, ClaimDelay: 10 * time.Second}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	buckets := &bucket.Service{Store: store, Cache: &bucket.Cache{}}
	return &parts{store, buckets, &object.Service{Store: store, Buckets: buckets.Cache}}
}

func (p *parts) put(key, value string) error {
	o, err := jsvalue.ParseObject([]byte(value))
	if err != nil {
		return err
	}
	_, err = p.objects.Put(context.Background(), &object.Put{Bucket: "b", Key: key, Value: o})
	return err
}

const columnsSQL = `SELECT attname || ' ' || format_type(atttypid, -1) FROM pg_attribute
 WHERE attrelid = 'b'::regclass AND attnum > 7 AND NOT attisdropped ORDER BY attname`

const indexesSQL = `SELECT regexp_replace(pg_get_indexdef(indexrelid), 'public\.', '', 'g') || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END
 FROM pg_index WHERE indrelid = 'b'::regclass AND NOT pg_get_indexdef(indexrelid) ~ '_(id|etag|mtime|vnode|key)\)' ORDER BY 1`

var (
	first = `{"index":{"a":{"type":"string"},"n":{"type":"string"},"u":{"type":"string"},"p":{"type":"string","unique":true},"gone":{"type":"number"}},"options":{"version":1}}`
	// second adds a plain, a unique and an array index, changes a type, makes one index unique and another not, and drops one.
	second = `{"index":{"a":{"type":"string"},"n":{"type":"number"},"u":{"type":"string","unique":true},"p":{"type":"string"},` +
		`"more":{"type":"number"},"single":{"type":"string","unique":true},"tags":{"type":"[string]"}},"options":{"version":2}}`
	afterColumns = "_rver integer, a text, more numeric, n numeric, p text, single text, tags text[], u text"
	afterIndexes = `CREATE INDEX b__rver_idx ON b USING btree (_rver) WHERE (_rver IS NOT NULL), ` +
		`CREATE INDEX b_a_idx ON b USING btree (a) WHERE (a IS NOT NULL), ` +
		`CREATE INDEX b_more_idx ON b USING btree (more) WHERE (more IS NOT NULL), ` +
		`CREATE INDEX b_n_idx ON b USING btree (n) WHERE (n IS NOT NULL), ` +
		`CREATE INDEX b_p_idx ON b USING btree (p) WHERE (p IS NOT NULL), ` +
		`CREATE INDEX b_tags_idx ON b USING gin (tags) WHERE (tags IS NOT NULL), ` +
		`CREATE UNIQUE INDEX b_single_idx ON b USING btree (single) WHERE (single IS NOT NULL), ` +
		`CREATE UNIQUE INDEX b_u_idx ON b USING btree (u) WHERE (u IS NOT NULL)`
)

func value(i int) string {
	return fmt.Sprintf(`{"a":"a%d","n":"%d","u":"u%d","p":"p%d","gone":1,"more":%d,"single":"o%d","tags":["x"]}`, i, i, i, i, i, i)
}

func (p *parts) fill(t *testing.T, rows int) {
	t.Helper()
	if err := p.buckets.Create(context.Background(), "b", jsvalue.Value(first)); err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if err := p.put(fmt.Sprint("k", i), value(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// checkUpdated compares the table with the second definition, and that no trace of the update is left.
func checkUpdated(t *testing.T, db *pgtest.DB) {
	t.Helper()
	if got := strings.Join(db.Strings(t, columnsSQL), ", "); got != afterColumns {
		t.Errorf("columns\n %s, want\n %s", got, afterColumns)
	}
	if got := strings.Join(db.Strings(t, indexesSQL), ", "); got != afterIndexes {
		t.Errorf("indexes\n %s, want\n %s", got, afterIndexes)
	}
	if left := db.Strings(t, "SELECT name FROM _moray.unfinished"); len(left) > 0 {
		t.Errorf("recorded as unfinished: %s", left)
	}
	if wrong := db.Strings(t, `SELECT _key, n, _value FROM b WHERE n IS DISTINCT FROM (_value::json->>'n')::numeric`); len(wrong) > 0 {
		t.Errorf("%d rows are not converted: %.300s", len(wrong), wrong)
	}
}

// An update over rows lets writers go on, on this server and on another one, and loses nothing that they write.
func TestUpdateOnline(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	here, there := newParts(t, db.URL()), newParts(t, db.URL())
	here.fill(t, 1500)

	var writers sync.WaitGroup
	stop := make(chan struct{})
	var written atomic.Int64
	for w, p := range []*parts{here, there, here, there} {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := w*300 + i%300
				if i%3 == 0 { // also new ones
					key = 100000 + w*100000 + i
				}
				if err := p.put(fmt.Sprint("k", key), value(key)); err != nil {
					t.Errorf("a put meanwhile: %v", err)
					return
				}
				written.Add(1)
			}
		})
	}
	for written.Load() < 50 {
		time.Sleep(time.Millisecond) // the writers are at work before the update begins
	}
	before := written.Load()
	err := here.buckets.Update(context.Background(), "b", jsvalue.Value(second), false)
	during := written.Load() - before
	close(stop)
	writers.Wait()
	if err != nil {
		t.Fatalf("update: %v", err)
	}
	if during == 0 {
		t.Error("no put got through during the update")
	}
	t.Logf("%d puts during the update", during)
	checkUpdated(t, db)

	// Objects written by the new definition have all columns; the others get them by reindexing.
	for {
		done, err := here.objects.Reindex(context.Background(), &object.Reindex{Bucket: "b", Count: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if done.Processed == 0 {
			break
		}
	}
	if wrong := db.Strings(t, `SELECT _key FROM b WHERE more IS DISTINCT FROM (_value::json->>'more')::numeric OR tags IS NULL`); len(wrong) > 0 {
		t.Errorf("%d rows lack columns after reindexing: %.300s", len(wrong), wrong)
	}
}

// Duplicates keep an index from becoming unique; nothing changes.
func TestUpdateOnlineDuplicates(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	p.fill(t, 3)
	if err := p.put("again", `{"u":"u1"}`); err != nil {
		t.Fatal(err)
	}
	relations := func() string {
		// The column of row versions may come: it belongs to no definition.
		lines := append(db.Strings(t, columnsSQL), db.Strings(t, indexesSQL)...)
		return strings.Replace(strings.Join(lines, "\n"), "_rver integer\n", "", 1)
	}
	before := relations()
	err := p.buckets.Update(context.Background(), "b", jsvalue.Value(second), false)
	if err == nil || !strings.HasPrefix(err.Error(), "error: could not create unique index") {
		t.Errorf("update: %v", err)
	}
	if after := relations(); after != before {
		t.Errorf("after the failure\n%s\nwant\n%s", after, before)
	}
	if left := db.Strings(t, "SELECT name FROM _moray.unfinished"); len(left) > 0 {
		t.Errorf("recorded as unfinished: %s", left)
	}
	if got := db.Strings(t, "SELECT options FROM buckets_config"); got[0] != `{"version":1}` {
		t.Errorf("definition %s", got)
	}
}

// However far an update came before its connection was lost, the next one comes to the end, and a server that starts removes
// the traces.
func TestUpdateOnlineInterrupted(t *testing.T) {
	t.Parallel()
	for _, at := range []string{
		"ADD COLUMN \"more\"", "UPDATE \"b\" _t SET \"_moray_n\"", "CREATE INDEX CONCURRENTLY \"b_more_idx\"",
		"CREATE UNIQUE INDEX CONCURRENTLY", "LOCK TABLE", "UPDATE buckets_config", "RENAME TO", "DELETE FROM _moray.unfinished",
	} {
		for _, when := range []pgtest.Action{pgtest.Cut, pgtest.PassAndCut} {
			t.Run(fmt.Sprint(at, when), func(t *testing.T) {
				t.Parallel()
				db := pgtest.New(t)
				direct := newParts(t, db.URL())
				direct.fill(t, 20)
				proxy := pgtest.NewProxy(t, db)
				bent := newParts(t, proxy.URL())
				var hit atomic.Bool
				proxy.SetRule(func(_ context.Context, m pgtest.Message) pgtest.Action {
					if m.FromClient && m.Type == 'P' && strings.Contains(string(m.Body), at) && hit.CompareAndSwap(false, true) {
						return when
					}
					return pgtest.Pass
				})
				ctx := context.Background()
				err := bent.buckets.Update(ctx, "b", jsvalue.Value(second), false)
				if !hit.Load() {
					t.Fatalf("the update does not say %s", at)
				}
				if err == nil {
					t.Error("the update succeeded over a connection that was lost")
				}
				proxy.SetRule(nil)
				if err := direct.put("k1", value(1)); err != nil {
					t.Errorf("put afterwards: %v", err)
				}
				if when == pgtest.Cut {
					if err := direct.buckets.CleanUp(ctx); err != nil {
						t.Errorf("clean-up: %v", err)
					}
					if extra := db.Strings(t, columnsSQL+" OFFSET 6"); len(extra) > 0 {
						t.Errorf("columns are left: %s", db.Strings(t, columnsSQL))
					}
				}
				if err := direct.buckets.Update(ctx, "b", jsvalue.Value(second), false); err != nil {
					t.Fatalf("the next update: %v", err)
				}
				checkUpdated(t, db)
			})
		}
	}
}

// The first update of a database adds a column to buckets_config, which everybody reads. It must not hold that table while it
// waits for others, or they wait for each other.
func TestFirstUpdateWaits(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{0, 1} {
		t.Run(fmt.Sprint(rows, " rows"), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			p := newParts(t, db.URL())
			p.fill(t, rows)
			writer := db.Connect(t)
			run := func(sql string) {
				t.Helper()
				if _, err := writer.Exec(t.Context(), sql); err != nil {
					t.Errorf("%s: %v", sql, err)
				}
			}
			run(`BEGIN; SET LOCAL lock_timeout = '200ms'; INSERT INTO b (_key, _value, _etag) VALUES ('new', '{}', 'A3A6BF43')`)
			updated := make(chan error, 1)
			go func() { // waited for below
				updated <- p.buckets.Update(context.Background(), "b", jsvalue.Value(second), false)
			}()
			for len(db.Strings(t, `SELECT FROM pg_locks WHERE relation = 'b'::regclass AND NOT granted`)) == 0 {
				time.Sleep(time.Millisecond) // the update comes to the table that the writer holds
			}
			run(`SELECT name FROM buckets_config`)
			run(`COMMIT`)
			if err := <-updated; err != nil {
				t.Errorf("update: %v", err)
			}
			if got, want := stored(t, db, "b"), `"version":2}|{"2":["more","single","tags"]}`; !strings.HasSuffix(got, want) {
				t.Errorf("definition %s, want …%s", got, want)
			}
		})
	}
}

// Of two updates at once, both over rows, one comes after the other.
func TestUpdateOnlineTwice(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	here, there := newParts(t, db.URL()), newParts(t, db.URL())
	here.fill(t, 100)
	results := make(chan error, 2)
	for _, p := range []*parts{here, there} {
		go func() { results <- p.buckets.Update(context.Background(), "b", jsvalue.Value(second), false) }()
	}
	var refused int
	for range 2 {
		if err := <-results; err != nil {
			refused++
			if err.Error() != "BucketVersionError: b has a newer version than 2 (2)" {
				t.Errorf("the second: %v", err)
			}
		}
	}
	if refused != 1 {
		t.Errorf("%d updates were refused, want 1", refused)
	}
	checkUpdated(t, db)
}

func TestMain(m *testing.M) { pgtest.Main(m) }
