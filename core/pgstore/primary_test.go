package pgstore_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/query"
)

// pair is a database behind two addresses, a and b, which stand for two servers. The store follows.
type pair struct {
	*pgstore.Store
	a, b   *pgtest.Proxy
	db     *pgtest.DB
	doubts atomic.Int64
	// over is set when b has become the primary. sent counts the messages that a gets after that, but for farewells.
	over atomic.Bool
	sent atomic.Int64
}

func newPair(t *testing.T, limits pgstore.Limits) *pair {
	t.Helper()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (k text PRIMARY KEY, n int); INSERT INTO t VALUES ('x', 0)")
	p := &pair{db: db, a: pgtest.NewProxy(t, db), b: pgtest.NewProxy(t, db)}
	p.Store = follow(t, pgstore.Config{URL: p.a.URL(), Limits: limits, Doubt: func() { p.doubts.Add(1) }})
	return p
}

// follow runs a store that waits to be told the primary.
func follow(t *testing.T, c pgstore.Config) *pgstore.Store {
	t.Helper()
	c.Log, c.Follow = discard, true
	s, err := pgstore.New(c)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	return s
}

func (p *pair) set(t *testing.T, to *pgtest.Proxy, generation uint64) {
	t.Helper()
	if err := p.SetPrimary(to.Address(), generation); err != nil {
		t.Fatal(err)
	}
}

// change makes b the primary. From then on what a gets is counted.
func (p *pair) change(t *testing.T) {
	t.Helper()
	p.set(t, p.b, 2)
	p.over.Store(true)
}

// watch counts what a gets after the change, and does what rule says.
func (p *pair) watch(rule pgtest.Rule) {
	p.a.SetRule(func(ctx context.Context, m pgtest.Message) pgtest.Action {
		const terminate = 'X'
		if m.FromClient && m.Type != terminate && m.Type != 0 && p.over.Load() {
			p.sent.Add(1)
		}
		if rule == nil {
			return pgtest.Pass
		}
		return rule(ctx, m)
	})
}

// value returns what the row has, by another way than the store.
func (p *pair) value(t *testing.T) string {
	t.Helper()
	return strings.Join(p.db.Strings(t, "SELECT n FROM t WHERE k = 'x'"), ",")
}

func increment() *query.Statement {
	return statement(query.Write, "UPDATE t SET n = n + 1 WHERE k = 'x' RETURNING n")
}

func TestNoPrimaryYet(t *testing.T) {
	t.Parallel()
	p := newPair(t, pgstore.Limits{MaxConnections: 2, ClaimDelay: 10 * time.Millisecond})
	ctx := context.Background()
	for name, try := range map[string]func() error{
		"Do":   func() error { _, err := one(ctx, p.Store, increment()); return err },
		"InTx": func() error { return p.InTx(ctx, func(object.Tx) error { return nil }) },
		"Ping": func() error { return p.Ping(ctx) },
	} {
		if err := try(); !errors.Is(err, fault.Generic) || err.Error() != "Error: connect ECONNREFUSED" {
			t.Errorf("%s without a primary: %v", name, err)
		}
	}
	err := p.Listen(ctx, "c", func(string, string) error { return nil })
	if !errors.Is(err, fault.NoDatabasePeers) || err.Error() != "NoDatabasePeersError: no database backends are available" {
		t.Errorf("Listen without a primary: %v", err)
	}
	if err := p.Check(ctx); err == nil || err.Error() != "no primary is known" {
		t.Errorf("Check without a primary: %v", err)
	}
	p.set(t, p.a, 1)
	eventually(t, "the primary is used", func() bool { _, err := one(ctx, p.Store, increment()); return err == nil })
	if a, g := p.Primary(); a != p.a.Address() || g != 1 {
		t.Errorf("primary %s, generation %d", a, g)
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	p := newPair(t, pgstore.Limits{MaxConnections: 4})
	p.watch(nil)
	p.set(t, p.a, 1)
	ctx := context.Background()
	if got, err := one(ctx, p.Store, increment()); got != "1" || err != nil {
		t.Fatalf("%s, %v", got, err)
	}
	eventually(t, "all connections are there", func() bool { _, idle := p.Open(); return idle == 4 })
	p.change(t)
	for n := 2; n < 50; n++ {
		if _, err := one(ctx, p.Store, increment()); err != nil {
			t.Fatalf("after the change: %v", err)
		}
	}
	if got := p.value(t); got != "49" {
		t.Errorf("the value is %s, want 49", got)
	}
	if n := p.sent.Load(); n != 0 {
		t.Errorf("the old primary got %d messages after the news", n)
	}
	eventually(t, "the connections to the old primary are closed", func() bool { return p.a.Cut() == 0 })

	p.set(t, p.a, 1) // a primary of the past
	if _, g := p.Primary(); g != 2 {
		t.Errorf("went back to generation %d", g)
	}
	before, _ := p.Open()
	p.set(t, p.b, 3) // only the standby is another
	if open, _ := p.Open(); open != before || before == 0 {
		t.Errorf("%d connections after a generation with the same primary, %d before", open, before)
	}
	p.over.Store(false)
	p.set(t, p.a, 4) // and back
	if got, err := one(ctx, p.Store, increment()); got != "50" || err != nil {
		t.Errorf("back at the first server: %s, %v", got, err)
	}
}

// What was sent is waited for.
func TestChangeWaits(t *testing.T) {
	t.Parallel()
	p := newPair(t, pgstore.Limits{MaxConnections: 1})
	release := make(chan struct{})
	held := make(chan struct{}, 10)
	p.watch(func(ctx context.Context, m pgtest.Message) pgtest.Action {
		if !m.FromClient && m.Type == 'D' {
			held <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return pgtest.Pass
	})
	p.set(t, p.a, 1)
	answer := make(chan error, 1)
	go func() {
		_, err := one(context.Background(), p.Store, increment())
		answer <- err
	}()
	<-held
	p.change(t)
	if got, err := one(context.Background(), p.Store, statement(query.Read, "SELECT n FROM t")); got != "1" || err != nil {
		t.Errorf("the new primary, while the old one is waited for: %s, %v", got, err)
	}
	close(release)
	if err := <-answer; err != nil {
		t.Errorf("the statement that was under way: %v", err)
	}
	if got := p.value(t); got != "1" {
		t.Errorf("the value is %s, want 1", got)
	}
}

// A server that does not answer any more is not waited for much longer than a second. What cannot have been done is done on the new
// primary.
func TestChangeFromFrozen(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	tests := []struct {
		name    string
		do      func(*pgstore.Store) error
		unknown bool
		value   string
	}{
		{"Read", func(s *pgstore.Store) error {
			_, err := one(ctx, s, statement(query.Read, "SELECT n FROM t"))
			return err
		}, false, "0"},
		{"Find", func(s *pgstore.Store) error {
			_, err := one(ctx, s, statement(query.Alone, "SELECT n FROM t"))
			return err
		}, false, "0"},
		{"Write", func(s *pgstore.Store) error { _, err := one(ctx, s, increment()); return err }, true, "1"},
		{"Transaction", func(s *pgstore.Store) error {
			return s.InTx(ctx, func(tx object.Tx) error {
				_, err := tx.Do(ctx, increment(), nil)
				return err
			})
		}, false, "1"},
		{"Ping", func(s *pgstore.Store) error { return s.Ping(ctx) }, false, "0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, pgstore.Limits{MaxConnections: 1})
			asked := make(chan struct{}, 100)
			p.watch(func(ctx context.Context, m pgtest.Message) pgtest.Action {
				switch {
				case m.FromClient && m.Type == 'S': // the last message of what is sent at once
					asked <- struct{}{}
				case !m.FromClient && (m.Type == 'D' || m.Type == 'C'):
					<-ctx.Done() // no answer gets through
				}
				return pgtest.Pass
			})
			p.set(t, p.a, 1)
			answer := make(chan error, 1)
			go func() { answer <- test.do(p.Store) }()
			<-asked
			p.change(t)
			select {
			case err := <-answer:
				if unknown := err != nil && strings.Contains(errorContext(err), "unknown"); unknown != test.unknown || (err != nil) != test.unknown {
					t.Errorf("%v (%s), want unknown: %v", err, errorContext(err), test.unknown)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("no answer")
			}
			if got := p.value(t); got != test.value {
				t.Errorf("the value is %s, want %s", got, test.value)
			}
			if n := p.sent.Load(); n != 0 {
				t.Errorf("the old primary got %d messages after the news", n)
			}
		})
	}
}

// errorContext returns what the context of a fault says of its outcome.
func errorContext(err error) string {
	if f := fault.From(err); f != nil {
		return string(f.Context)
	}
	return ""
}

// COMMIT is not sent to a server that is not the primary any more. The steps are made again on the new one, unless somebody else has
// taken part in them.
func TestChangeBeforeCommit(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{false, true} {
		p := newPair(t, pgstore.Limits{MaxConnections: 1})
		p.watch(nil)
		p.set(t, p.a, 1)
		ctx := context.Background()
		runs := 0
		err := p.InTx(ctx, func(tx object.Tx) error {
			runs++
			if _, err := tx.Do(ctx, increment(), nil); err != nil {
				return err
			}
			if once {
				tx.Once()
			}
			if runs == 1 {
				p.change(t)
			}
			return nil
		})
		want, wantRuns := "1", 2
		if once {
			want, wantRuns = "0", 1
		}
		if (err != nil) != once || runs != wantRuns {
			t.Errorf("once %v: %d runs, error %v", once, runs, err)
		}
		if err != nil && errorContext(err) != "" {
			t.Errorf("the outcome is told to be %s, and is certain", errorContext(err))
		}
		if got := p.value(t); got != want {
			t.Errorf("once %v: the value is %s, want %s", once, got, want)
		}
		if n := p.sent.Load(); n != 0 {
			t.Errorf("once %v: the old primary got %d messages after the news", once, n)
		}
	}
}

// A lost answer to COMMIT is never taken for anything else, whatever is known of the primary.
func TestChangeInCommit(t *testing.T) {
	t.Parallel()
	p := newPair(t, pgstore.Limits{MaxConnections: 1})
	var updates atomic.Int64
	p.watch(func(ctx context.Context, m pgtest.Message) pgtest.Action {
		if !m.FromClient && m.Type == 'C' && strings.HasPrefix(string(m.Body), "COMMIT") {
			p.change(t)
			return pgtest.Cut
		}
		return pgtest.Pass
	})
	p.set(t, p.a, 1)
	ctx := context.Background()
	err := p.InTx(ctx, func(tx object.Tx) error {
		updates.Add(1)
		_, err := tx.Do(ctx, increment(), nil)
		return err
	})
	if err == nil || errorContext(err) != `{"outcome":"unknown"}` || updates.Load() != 1 {
		t.Errorf("%d runs, error %v with outcome %q, want one and unknown", updates.Load(), err, errorContext(err))
	}
	if got := p.value(t); got != "1" {
		t.Errorf("the value is %s, want 1", got)
	}
}

// A client's text is run again only if it was not sent.
func TestChangeInSQL(t *testing.T) {
	t.Parallel()
	p := newPair(t, pgstore.Limits{MaxConnections: 1})
	p.watch(func(ctx context.Context, m pgtest.Message) pgtest.Action {
		if !m.FromClient && m.Type == 'C' && strings.HasPrefix(string(m.Body), "UPDATE") {
			return pgtest.Cut
		}
		return pgtest.Pass
	})
	p.set(t, p.a, 1)
	ctx := context.Background()
	_, err := rows(ctx, p.Store, "UPDATE t SET n = n + 1")
	if err == nil || errorContext(err) != "" {
		t.Errorf("a lost text that cannot have been committed: %v, outcome %q", err, errorContext(err))
	}
	_, err = rows(ctx, p.Store, "UPDATE t SET n = n + 1; COMMIT")
	if err == nil || errorContext(err) != `{"outcome":"unknown"}` {
		t.Errorf("a lost text that may have been committed: %v, outcome %q", err, errorContext(err))
	}
	p.change(t)
	if _, err = rows(ctx, p.Store, "UPDATE t SET n = 7"); err != nil {
		t.Error(err)
	}
	if got := p.value(t); got != "7" {
		t.Errorf("the value is %s, want 7", got)
	}
}

// An open listen ends with the primary, and a new one is at the new primary.
func TestChangeEndsListen(t *testing.T) {
	t.Parallel()
	p := newPair(t, pgstore.Limits{MaxConnections: 1})
	p.set(t, p.a, 1)
	ctx, cancel := context.WithCancel(context.Background())
	heard := make(chan string, 10)
	ended := make(chan error, 1)
	listen := func() {
		ended <- p.Listen(ctx, "news", func(_, payload string) error {
			heard <- payload
			return nil
		})
	}
	hear := func(payload string) {
		eventually(t, payload+" is heard", func() bool {
			p.db.Exec(t, "NOTIFY news, '"+payload+"'")
			select {
			case got := <-heard:
				return got == payload
			default:
				return false
			}
		})
	}
	go listen()
	hear("first")
	p.change(t)
	if err := <-ended; !errors.Is(err, fault.Multi) || err.Error() != "VError: Postgres client failed: Connection terminated unexpectedly" {
		t.Errorf("the listen ended with %v", err)
	}
	go listen()
	hear("second")
	eventually(t, "nothing is open at the old primary", func() bool { return p.a.Cut() == 0 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A server that refuses writes is not used, also if it did not say so when it was connected to; requests wait until it takes them.
func TestNotWritable(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t)
	db := c.New(t)
	db.Exec(t, "CREATE TABLE t (k text PRIMARY KEY, n int); INSERT INTO t VALUES ('x', 0)")
	var doubts atomic.Int64
	s, err := pgstore.New(pgstore.Config{
		URL: db.URL(), Limits: pgstore.Limits{MaxConnections: 3, ClaimDelay: 5 * time.Second}, Log: discard, Doubt: func() { doubts.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	readOnly := func(setting string) {
		c.Configure(t, "default_transaction_read_only", setting)
	}
	ctx := context.Background()
	if _, err := one(ctx, s, increment()); err != nil {
		t.Fatal(err)
	}
	readOnly("on")
	answers := make(chan error, 6)
	for range cap(answers) / 2 {
		go func() { _, err := one(ctx, s, increment()); answers <- err }()
		go func() {
			answers <- s.InTx(ctx, func(tx object.Tx) error { _, err := tx.Do(ctx, increment(), nil); return err })
		}()
	}
	eventually(t, "all requests wait", func() bool {
		open, _ := s.Open()
		return s.Waiting() == cap(answers) && open == 0 && doubts.Load() > 0
	})
	briefly, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.Check(briefly); err == nil || !strings.Contains(err.Error(), "default_transaction_read_only is on") {
		t.Errorf("Check says %v", err)
	}
	readOnly("off")
	for range cap(answers) {
		if err := <-answers; err != nil {
			t.Errorf("a request that waited: %v", err)
		}
	}
	if got := db.Strings(t, "SELECT n FROM t"); got[0] != "7" {
		t.Errorf("the value is %s, want 7", got)
	}
}

// Where a standby will do, nothing is looked at, and what it refuses is passed on.
func TestReadOnlyWillDo(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, err := pgstore.New(pgstore.Config{URL: db.URL() + "&options=-c%20default_transaction_read_only%3Don", ReadOnly: true, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	ctx := context.Background()
	for range 3 {
		if _, err := one(ctx, s, statement(query.Read, "SELECT 1")); err != nil {
			t.Error(err)
		}
		_, err := one(ctx, s, statement(query.Write, "CREATE TABLE t ()"))
		if !errors.Is(err, fault.PostgreSQL) || err.Error() != "error: cannot execute CREATE TABLE in a read-only transaction" {
			t.Errorf("a write: %v", err)
		}
	}
}

func TestServers(t *testing.T) {
	t.Setenv("PGHOST", "")
	t.Setenv("PGPORT", "")
	for text, want := range map[string]string{
		"host=a,b,/run/x port=1,2,3 sslmode=prefer": "a:1 b:2 /run/x:3",
		"host=::1 sslmode=disable":                  "[::1]:5432",
		"postgres://u@h:7/d":                        "h:7",
	} {
		s, err := pgstore.New(pgstore.Config{URL: text, Log: discard})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := strings.Join(s.Servers(), " "); got != want {
			t.Errorf("%s: servers %s, want %s", text, got, want)
		}
	}
	s, err := pgstore.New(pgstore.Config{URL: "host=a", Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "h", "h:x", "h:99999", "a:b:1"} {
		if err := s.SetPrimary(bad, 1); err == nil {
			t.Errorf("the address %q is accepted", bad)
		}
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db.URL(), pgstore.Limits{})
	canWrite, timeline, err := s.Probe(context.Background(), s.Servers()[0])
	if !canWrite || timeline != 1 || err != nil {
		t.Errorf("writable %v, timeline %d, error %v", canWrite, timeline, err)
	}
	p := pgtest.NewProxy(t, db)
	p.Down()
	if _, _, err := s.Probe(context.Background(), p.Address()); err == nil {
		t.Error("a server that is down can be probed")
	}
}
