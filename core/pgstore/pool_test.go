package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/query"
)

const (
	noBackend  = "Error: connect ECONNREFUSED"
	overloaded = "NoDatabasePeersError: unable to acquire backend connection due to service being overloaded"
)

// More requests than places in the queue are refused at once, and those that wait too long in the end: in the form of a lost
// database if the pool is tiny, as the original does.
func TestOverload(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, c := range []struct {
		connections int
		late        string
	}{{1, noBackend}, {3, overloaded}} {
		s := open(t, db.URL(), pgstore.Limits{MaxConnections: c.connections, MaxQueue: 3, ClaimDelay: 50 * time.Millisecond})
		release := busy(t, s, c.connections)
		start := time.Now()
		results := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := one(context.Background(), s, statement(query.Read, "SELECT 1"))
				results <- err
			}()
		}
		eventually(t, "three wait", func() bool { return s.Waiting() == 3 })
		for _, sharing := range []query.Sharing{query.Read, query.Alone} {
			_, err := one(context.Background(), s, statement(sharing, "SELECT 1"))
			if err == nil || err.Error() != overloaded {
				t.Errorf("fourth in the queue: %v, want %s", err, overloaded)
			}
			if f := fault.From(err); f == nil || string(f.Context) != `{"name":"OverloadedError","message":"maximum moray queue length reached"}` {
				t.Errorf("fourth in the queue: context of %v", err)
			}
		}
		for range 3 {
			if err := <-results; err == nil || err.Error() != c.late {
				t.Errorf("%d connections: after too long a wait: %v, want %s", c.connections, err, c.late)
			}
		}
		if waited := time.Since(start); waited < 150*time.Millisecond {
			t.Errorf("requests were refused after %v", waited)
		}
		release()
		if _, err := one(context.Background(), s, statement(query.Read, "SELECT 1")); err != nil {
			t.Errorf("after the overload: %v", err)
		}
	}
}

// A full queue refuses the youngest request of the client that has most of them.
func TestFullQueueIsFair(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1, MaxQueue: 10, ClaimDelay: time.Minute})
	release := busy(t, s, 1)
	defer release()
	greedy, modest := make(chan error, 10), make(chan error, 1)
	request := func(client uint64, result chan error) {
		_, err := one(caller(context.Background(), object.Caller{Client: client}), s, statement(query.Read, "SELECT 1"))
		result <- err
	}
	for range 10 {
		go request(1, greedy)
	}
	eventually(t, "the queue is full", func() bool { return s.Waiting() == 10 })
	go request(2, modest)
	if err := <-greedy; err == nil || err.Error() != overloaded {
		t.Errorf("youngest of the greedy client: %v, want %s", err, overloaded)
	}
	release()
	if err := <-modest; err != nil {
		t.Errorf("the modest client: %v", err)
	}
	for range 9 {
		if err := <-greedy; err != nil {
			t.Errorf("the greedy client: %v", err)
		}
	}
}

// One bucket, and finds, leave connections for others.
func TestShares(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 4, ClaimDelay: time.Minute})
	eventually(t, "all connections are open", func() bool { open, _ := s.Open(); return open == 4 })
	hold := make(chan struct{})
	var holders sync.WaitGroup
	start := func(c object.Caller) {
		holders.Go(func() {
			err := s.InTx(caller(context.Background(), c), func(object.Tx) error {
				<-hold
				return nil
			})
			if err != nil {
				t.Errorf("%+v: %v", c, err)
			}
		})
	}
	for range 10 {
		start(object.Caller{Client: 1, Bucket: "b"})
	}
	eventually(t, "eight of the bucket's requests wait", func() bool { return s.Waiting() == 8 })
	if _, idle := s.Open(); idle != 2 {
		t.Errorf("%d connections are idle, want 2", idle)
	}
	// Short statements of the same bucket still get through.
	if _, err := one(caller(context.Background(), object.Caller{Bucket: "b"}), s, statement(query.Read, "SELECT 1")); err != nil {
		t.Error(err)
	}
	start(object.Caller{Client: 2, Find: true})
	start(object.Caller{Client: 2, Find: true, Bucket: "c"})
	eventually(t, "all connections are in use", func() bool { _, idle := s.Open(); return idle == 0 })
	close(hold)
	holders.Wait()
}

// Without a database requests wait for it, and are refused at once when it has been gone for long. It is found again.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	cluster := pgtest.NewCluster(t)
	db := cluster.New(t)
	cluster.Stop(t, syscall.SIGINT)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 3, ClaimDelay: 100 * time.Millisecond})
	ctx := context.Background()
	start := time.Now()
	if _, err := one(ctx, s, statement(query.Read, "SELECT 1")); err == nil || err.Error() != noBackend {
		t.Errorf("without a database: %v, want %s", err, noBackend)
	}
	if waited := time.Since(start); waited < 900*time.Millisecond || waited > 10*time.Second {
		t.Errorf("the first request was refused after %v, want about 1 s", waited)
	}
	eventually(t, "requests are refused at once", func() bool {
		start := time.Now()
		_, err := one(ctx, s, statement(query.Alone, "SELECT 1"))
		return err != nil && err.Error() == noBackend && time.Since(start) < 50*time.Millisecond
	})
	if err := s.Ping(ctx); err == nil || err.Error() != noBackend {
		t.Errorf("ping: %v, want %s", err, noBackend)
	}
	err := s.Listen(ctx, "c", func(string, string) error { return nil })
	if err == nil || !strings.HasPrefix(err.Error(), "VError: Postgres client failed: connect ENOENT ") {
		t.Errorf("listen: %v", err)
	}
	cluster.Start(t)
	eventually(t, "requests are served again", func() bool {
		_, err := one(ctx, s, statement(query.Read, "SELECT 1"))
		return err == nil
	})
}

// A restart of the database costs no request that is made after it.
func TestRestart(t *testing.T) {
	t.Parallel()
	cluster := pgtest.NewCluster(t)
	db := cluster.New(t)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 4})
	eventually(t, "all connections are idle", func() bool { _, idle := s.Open(); return idle == 4 })
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		cluster.Stop(t, signal)
		cluster.Start(t)
		// On a busy machine a restart takes so long that the pool has noticed, and is about to give up.
		eventually(t, "the pool has connections, or thinks so", func() bool { return s.PoolStatus().State == pgstore.PoolRunning })
		for i := range 8 {
			sharing := []query.Sharing{query.Read, query.Write, query.Alone}[i%3]
			if _, err := one(context.Background(), s, statement(sharing, "SELECT 1")); err != nil {
				t.Errorf("request %d after the restart by %v: %v", i, signal, err)
			}
		}
	}
	// Reads that were under way are made again.
	var reads sync.WaitGroup
	var served atomic.Int32
	stop := make(chan struct{})
	for range 8 {
		reads.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := one(context.Background(), s, statement(query.Read, "SELECT 1")); err != nil {
					t.Errorf("a read under way: %v", err)
					return
				}
				served.Add(1)
			}
		})
	}
	eventually(t, "reads are under way", func() bool { return served.Load() > 100 })
	if n := db.Terminate(t); n == 0 {
		t.Error("no session was there to be ended")
	}
	before := served.Load()
	eventually(t, "reads go on", func() bool { return served.Load() > before+100 })
	close(stop)
	reads.Wait()
}

// A statement whose time is up is answered, and does not go on in PostgreSQL if it reads; a write is certainly not stored.
func TestTimeout(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 2})
	ctx := caller(context.Background(), object.Caller{Timeout: 100 * time.Millisecond})

	for _, sharing := range []query.Sharing{query.Alone, query.Read} {
		_, err := one(ctx, s, statement(sharing, "SELECT pg_sleep(60)"))
		if err == nil || err.Error() != "QueryTimeoutError: query timeout: SELECT pg_sleep(60)" {
			t.Errorf("sharing %d: %v", sharing, err)
		}
	}
	eventually(t, "PostgreSQL has ended the statements", func() bool {
		return db.Strings(t, "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'")[0] == "0"
	})

	_, err := one(ctx, s, statement(query.Write, "WITH s AS (SELECT pg_sleep(0.5)) UPDATE t SET a = 2 FROM s RETURNING a"))
	if !errors.Is(err, fault.QueryTimeout) {
		t.Errorf("write: %v, want a QueryTimeoutError", err)
	}
	eventually(t, "the session of the write is gone", func() bool {
		return db.Strings(t, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'WITH s AS%'")[0] == "0"
	})
	if got := db.Strings(t, "SELECT a FROM t"); got[0] != "1" {
		t.Errorf("the write that was given up is stored: %s", got)
	}

	// The first row ends the time.
	rows := 0
	err = s.Do(ctx, statement(query.Alone, "SELECT CASE WHEN i = 3000 THEN pg_sleep(0.3) END, repeat('x', 100) FROM generate_series(1, 3000) i"), func(object.Row) error {
		rows++
		return nil
	})
	if err != nil || rows != 3000 {
		t.Errorf("rows in time: %d, %v", rows, err)
	}
	// So it is in a transaction, for each statement.
	err = s.InTx(ctx, func(tx object.Tx) error {
		for range 3 {
			if _, err := tx.Do(ctx, statement(query.Alone, "SELECT pg_sleep(0.05)"), nil); err != nil {
				return err
			}
		}
		_, err := tx.Do(ctx, statement(query.Alone, "SELECT pg_sleep(60)"), nil)
		return err
	})
	if !errors.Is(err, fault.QueryTimeout) {
		t.Errorf("in a transaction: %v, want a QueryTimeoutError", err)
	}
	// And a limit for all applies where a request brings none.
	limited := open(t, db.URL(), pgstore.Limits{MaxConnections: 1, QueryTimeout: 100 * time.Millisecond})
	if _, err := one(context.Background(), limited, statement(query.Read, "SELECT pg_sleep(60)")); !errors.Is(err, fault.QueryTimeout) {
		t.Errorf("with the server's own limit: %v, want a QueryTimeoutError", err)
	}
}

// cut ends connections when a message comes by that fits.
func cut(kind byte, fromServer bool, text string, action pgtest.Action) pgtest.Rule {
	return func(_ context.Context, m pgtest.Message) pgtest.Action {
		if m.Type == kind && m.FromClient != fromServer && strings.Contains(string(m.Body), text) {
			return action
		}
		return pgtest.Pass
	}
}

// When the answer to a write is lost, nobody knows what became of it, and the client is told so. It is not run again.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (a text)")
	proxy := pgtest.NewProxy(t, db)
	s := open(t, proxy.URL(), pgstore.Limits{MaxConnections: 2})
	ctx := context.Background()
	insert := func(text string) *query.Statement {
		return statement(query.Write, "INSERT INTO t VALUES ($1) RETURNING 1", text)
	}
	if _, err := one(ctx, s, insert("warm")); err != nil {
		t.Fatal(err)
	}

	unknown := func(what string, err error) {
		t.Helper()
		f := fault.From(err)
		if f == nil || f.Name != fault.Multi || f.Message != "Postgres client failed: Connection terminated unexpectedly" || string(f.Context) != `{"outcome":"unknown"}` {
			t.Errorf("%s: %v, want an unknown outcome", what, err)
		}
	}
	proxy.SetRule(cut('C', true, "INSERT", pgtest.Cut))
	_, err := one(ctx, s, insert("alone"))
	unknown("one write", err)

	proxy.SetRule(nil)
	release := busy(t, s, 2)
	results := make(chan error, 8)
	for i := range 8 {
		go func() {
			_, err := one(ctx, s, insert(fmt.Sprint("group", i)))
			results <- err
		}()
	}
	eventually(t, "all wait", func() bool { return s.Waiting() == 8 })
	proxy.SetRule(cut('C', true, "INSERT", pgtest.Cut))
	release()
	for range 8 {
		unknown("a member of a group", <-results)
	}

	proxy.SetRule(cut('C', true, "COMMIT", pgtest.Cut))
	unknown("a transaction", s.InTx(ctx, func(tx object.Tx) error {
		_, err := tx.Do(ctx, insert("transaction"), nil)
		return err
	}))

	// What had not come to its commit is not stored, and the client is not told that it may be.
	proxy.SetRule(cut('C', true, "INSERT", pgtest.Cut))
	err = s.InTx(ctx, func(tx object.Tx) error {
		_, err := tx.Do(ctx, insert("uncommitted"), nil)
		return err
	})
	if f := fault.From(err); f == nil || f.Name != fault.Multi || f.Context != nil {
		t.Errorf("before the commit: %v, want a lost connection", err)
	}
	proxy.SetRule(nil)
	for _, row := range db.Strings(t, "SELECT a, count(*) FROM t GROUP BY a") {
		if !strings.HasSuffix(row, "|1") || strings.HasPrefix(row, "uncommitted") {
			t.Errorf("stored: %s", row)
		}
	}
}

// A read is made again when its connection is lost, also if its row had arrived.
func TestReadAgain(t *testing.T) {
	t.Parallel()
	proxy := pgtest.NewProxy(t, pgtest.New(t))
	s := open(t, proxy.URL(), pgstore.Limits{MaxConnections: 1})
	for _, message := range []byte("DCZ") { // DataRow, CommandComplete, ReadyForQuery
		var once atomic.Bool
		eventually(t, "a connection is idle", func() bool { _, idle := s.Open(); return idle == 1 })
		proxy.SetRule(func(_ context.Context, m pgtest.Message) pgtest.Action {
			if !m.FromClient && m.Type == message && once.CompareAndSwap(false, true) {
				return pgtest.Cut
			}
			return pgtest.Pass
		})
		got, err := one(context.Background(), s, statement(query.Read, "SELECT 'x'"))
		if err != nil || got != "x" || !once.Load() {
			t.Errorf("cut at %c: %q, error %v", message, got, err)
		}
	}
}

// The end of a store ends what uses it.
func TestEnd(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, err := pgstore.New(pgstore.Config{URL: db.URL(), Limits: pgstore.Limits{MaxConnections: 1}, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	results := make(chan error, 3)
	go func() {
		_, err := one(context.Background(), s, statement(query.Alone, "SELECT pg_sleep(60)"))
		results <- err
	}()
	eventually(t, "the statement runs", func() bool {
		return db.Strings(t, "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'")[0] == "1"
	})
	for range 2 {
		go func() {
			_, err := one(context.Background(), s, statement(query.Read, "SELECT 1"))
			results <- err
		}()
	}
	eventually(t, "two wait", func() bool { return s.Waiting() == 2 })
	cancel()
	for range 3 {
		if err := <-results; err == nil {
			t.Error("a request succeeded after the end")
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := one(context.Background(), s, statement(query.Read, "SELECT 1")); err == nil || err.Error() != noBackend {
		t.Errorf("after the end: %v, want %s", err, noBackend)
	}
}

// The end of its context ends the wait of a request that has parked, as it does that of others.
func TestParkedGivesUp(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1, ClaimDelay: time.Minute})
	release := busy(t, s, 1)
	defer release()
	gone := errors.New("gone")
	for _, run := range []func(context.Context, *pgstore.Store, *query.Statement) (string, error){do, parking} {
		ctx, cancel := context.WithCancelCause(context.Background())
		result := make(chan error, 1)
		go func() {
			_, err := run(ctx, s, statement(query.Read, "SELECT 1"))
			result <- err
		}()
		eventually(t, "it waits", func() bool { return s.Waiting() == 1 })
		cancel(gone)
		if err := <-result; !errors.Is(err, gone) {
			t.Errorf("%v, want %v", err, gone)
		}
		if n := s.Waiting(); n != 0 {
			t.Errorf("%d wait", n)
		}
	}
}

// A connection that the server closed while it was idle is not what a parked request's statement is sent over.
func TestParkedMeetsClosedConnection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 2, ClaimDelay: time.Minute})
	db.Exec(t, "CREATE TABLE t (n int)")
	for range 20 {
		eventually(t, "there are connections", func() bool { open, _ := s.Open(); return open == 2 })
		db.Exec(t, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'moray' AND datname = current_database()")
		if _, err := parking(context.Background(), s, statement(query.Write, "INSERT INTO t VALUES (1) RETURNING n")); err != nil {
			t.Fatal(err)
		}
	}
	if n := db.Strings(t, "SELECT count(*) FROM t")[0]; n != "20" {
		t.Errorf("%s rows, want 20", n)
	}
}
