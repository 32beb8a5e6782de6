package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/query"
	"github.com/kaizengarden/moray/core/strand"
)

var discard = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) {
	time.Local = time.UTC // times without a zone are of the server's zone
	pgtest.Main(m)
}

// open runs a store over the database at url until the test ends.
func open(t testing.TB, url string, limits pgstore.Limits) *pgstore.Store {
	t.Helper()
	log := discard
	if os.Getenv("MORAY_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	s, err := pgstore.New(pgstore.Config{URL: url, Limits: limits, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	return s
}

// run runs a store until the test ends.
func run(t testing.TB, s *pgstore.Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("Run does not end")
		}
	})
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func caller(ctx context.Context, c object.Caller) context.Context { return object.WithCaller(ctx, &c) }

// turn counts the calls of one.
var turn atomic.Uint64

// one runs a statement and returns its only value: in turns as somebody who may wait, and as a request that parks.
func one(ctx context.Context, s *pgstore.Store, st *query.Statement) (string, error) {
	if turn.Add(1)%2 == 0 {
		return do(ctx, s, st)
	}
	return parking(ctx, s, st)
}

func do(ctx context.Context, s *pgstore.Store, st *query.Statement) (value string, err error) {
	err = s.Do(ctx, st, func(r object.Row) error {
		value = string(r[0])
		return nil
	})
	return value, err
}

// parking runs a statement as a request does that parks.
func parking(ctx context.Context, s *pgstore.Store, st *query.Statement) (value string, err error) {
	c := *object.CallerFrom(ctx)
	var strands strand.Pool
	defer strands.Close()
	ended := make(chan struct{})
	strands.Run(task(func(own *strand.Strand) {
		defer close(ended)
		c.Strand = own
		value, err = do(caller(ctx, c), s, st)
	}), nowhere{})
	<-ended
	return value, err
}

// nowhere is the outlet of those who leave nothing.
type nowhere struct{}

func (nowhere) Flush() {}

// task is a function as a strand.Task.
type task func(*strand.Strand)

func (t task) Run(s *strand.Strand) { t(s) }

func statement(sharing query.Sharing, sql string, args ...string) *query.Statement {
	st := &query.Statement{SQL: sql, Sharing: sharing}
	for _, a := range args {
		st.Args = append(st.Args, []byte(a))
	}
	return st
}

// busy holds all connections of a store until release is called.
func busy(t testing.TB, s *pgstore.Store, connections int) (release func()) {
	t.Helper()
	hold := make(chan struct{})
	var holders sync.WaitGroup
	held := make(chan error, connections)
	for range connections {
		holders.Go(func() {
			err := s.InTx(context.Background(), func(object.Tx) error {
				held <- nil
				<-hold
				return nil
			})
			if err != nil {
				held <- err
			}
		})
	}
	for range connections {
		if err := <-held; err != nil {
			t.Fatal(err)
		}
	}
	return sync.OnceFunc(func() { close(hold); holders.Wait() })
}

func TestDo(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 2})
	ctx := context.Background()
	for range 3 {
		for _, sharing := range []query.Sharing{query.Alone, query.Read, query.Write} {
			got, err := one(ctx, s, statement(sharing, "SELECT $1::text || 'b'", "a"))
			if err != nil || got != "ab" {
				t.Errorf("sharing %d: %q, %v", sharing, got, err)
			}
		}
	}
	if got, err := one(ctx, s, &query.Statement{SQL: "SELECT $1::text IS NULL", Args: [][]byte{nil}}); err != nil || got != "t" {
		t.Errorf("nil as an argument: %q, %v", got, err)
	}

	wrong := errors.New("enough")
	err := s.Do(ctx, statement(query.Alone, "SELECT generate_series(1, 1000000)"), func(object.Row) error { return wrong })
	if !errors.Is(err, wrong) {
		t.Errorf("error of the row function: %v", err)
	}
}

// What PostgreSQL says becomes the original's faults, on every way that a statement can take.
func TestFaults(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, `CREATE TABLE t (a text, b int[], UNIQUE (a)); CREATE UNIQUE INDEX ON t (b); INSERT INTO t VALUES ('x', '{1,2}'), (E'a\nb)=(c', NULL);
 CREATE TABLE d (a int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO d VALUES (1)`)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	for _, c := range []struct {
		sql  string
		want string
		is   error
	}{
		{"INSERT INTO t VALUES ('x')", `UniqueAttributeError: "a" is a unique attribute; value "x" already exists`, nil},
		{"INSERT INTO t (b) VALUES ('{1,2}')", `UniqueAttributeError: "b" is a unique attribute; value "{1,2}" already exists`, nil},
		{`INSERT INTO t VALUES (E'a\nb)=(c')`, "UniqueAttributeError: \"a\nb\" is a unique attribute; value \"c\" already exists", nil},
		{"INSERT INTO d VALUES (1)", `UniqueAttributeError: "a" is a unique attribute; value "1" already exists`, nil},
		{"SELEC", `InternalError: Invalid SQL: syntax error at or near "SELEC"`, nil},
		{"CREATE TABLE x (a int, A int)", `InternalError: Invalid SQL: column "a" specified more than once`, nil},
		{"SELECT 1/0", "error: division by zero", object.ErrRefused},
		{"SELECT 'x'::bigint", `error: invalid input syntax for type bigint: "x"`, object.ErrRefused},
		{"SELECT nosuch FROM t", `error: column "nosuch" does not exist`, object.ErrStale},
		{"SELECT FROM nosuch", `error: relation "nosuch" does not exist`, object.ErrStale},
		{"SELECT ('moray:id:9007199254740993:null' || coalesce(max(a), '')::text)::bigint FROM t WHERE false", "row with the id 9007199254740993 and the extended id null", nil},
	} {
		for _, sharing := range []query.Sharing{query.Alone, query.Read, query.Write} {
			if sharing == query.Read && strings.HasPrefix(c.sql, "INSERT") {
				continue // that is none
			}
			for _, run := range []func(context.Context, *pgstore.Store, *query.Statement) (string, error){do, parking} {
				_, err := run(context.Background(), s, statement(sharing, c.sql))
				if err == nil || err.Error() != c.want {
					t.Errorf("%s, sharing %d: %v, want %s", c.sql, sharing, err, c.want)
				}
				if c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("%s: %v is not %v", c.sql, err, c.is)
				}
			}
		}
		err := s.InTx(context.Background(), func(tx object.Tx) error {
			_, err := tx.Do(context.Background(), statement(query.Alone, c.sql), nil)
			if _, again := tx.Do(context.Background(), statement(query.Alone, "SELECT 1"), nil); err != nil && again != err {
				t.Errorf("%s: after %v a further statement says %v", c.sql, err, again)
			}
			return err
		})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s, in a transaction: %v, want %s", c.sql, err, c.want)
		}
	}
	var bad *object.BadID
	_, err := one(context.Background(), s, statement(query.Write, "SELECT ('moray:id:null:5' || coalesce(max(a), '')::text)::bigint FROM t WHERE false"))
	if !errors.As(err, &bad) || bad.ID != "null" || bad.IDX != "5" {
		t.Errorf("ids of %v", err)
	}
}

// A transaction is committed if all went well, and rolled back if not, also after a panic.
func TestInTx(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (a int)")
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	ctx := context.Background()
	insert := func(tx object.Tx, a int) error {
		n, err := tx.Do(ctx, statement(query.Alone, "INSERT INTO t VALUES ($1)", fmt.Sprint(a)), nil)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d rows", n)
		}
		return err
	}
	if err := s.InTx(ctx, func(tx object.Tx) error { return errors.Join(insert(tx, 1), insert(tx, 2)) }); err != nil {
		t.Fatal(err)
	}
	wrong := errors.New("wrong")
	if err := s.InTx(ctx, func(tx object.Tx) error { return errors.Join(insert(tx, 3), wrong) }); !errors.Is(err, wrong) {
		t.Errorf("error of the function: %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic got lost")
			}
		}()
		_ = s.InTx(ctx, func(tx object.Tx) error { _ = insert(tx, 4); panic("wrong") })
	}()
	err := s.InTx(ctx, func(tx object.Tx) error {
		tx.Do(ctx, statement(query.Alone, "SELECT 1/0"), nil) //nolint:errcheck // because ignoring it is what is tested
		return nil
	})
	if err == nil || !errors.Is(err, fault.PostgreSQL) || !strings.Contains(err.Error(), "current transaction is aborted") {
		t.Errorf("a commit that is a rollback: %v", err)
	}
	if got := strings.Join(db.Strings(t, "SELECT a FROM t ORDER BY a"), " "); got != "1 2" {
		t.Errorf("rows %s, want 1 2", got)
	}
	if open, idle := s.Open(); open != 1 || idle != 1 {
		t.Errorf("%d connections, %d idle, want 1 and 1", open, idle)
	}
}

// Requests that wait share round trips, and each gets its own answer.
func TestSharing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (k text PRIMARY KEY, n int CHECK (n <> 13), u int UNIQUE)")
	db.Exec(t, "INSERT INTO t VALUES ('taken', 0, 1000)")
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	release := busy(t, s, 1)
	defer release()

	const requests = 200
	errs := make([]error, requests)
	values := make([]string, requests)
	var clients sync.WaitGroup
	for i := range requests {
		clients.Go(func() {
			ctx := caller(context.Background(), object.Caller{Client: uint64(i % 7)})
			switch {
			case i%2 == 0:
				values[i], errs[i] = one(ctx, s, statement(query.Read, "SELECT $1::int * 2", fmt.Sprint(i)))
			case i == 13:
				_, errs[i] = one(ctx, s, statement(query.Write, "INSERT INTO t VALUES ($1, $2) RETURNING n", fmt.Sprint(i), "13"))
			case i == 15:
				_, errs[i] = one(ctx, s, statement(query.Write, "INSERT INTO t VALUES ($1, $2, 1000) RETURNING n", fmt.Sprint(i), "15"))
			default:
				st := statement(query.Write, "INSERT INTO t VALUES ($1, $2) RETURNING n", fmt.Sprint(i), fmt.Sprint(i))
				st.Key = fmt.Sprint(requests - i)
				values[i], errs[i] = one(ctx, s, st)
			}
		})
	}
	eventually(t, "all wait", func() bool { return s.Waiting() == requests })
	release()
	clients.Wait()

	for i := range requests {
		want := fmt.Sprint(i)
		if i%2 == 0 {
			want = fmt.Sprint(2 * i)
		}
		switch i {
		case 13:
			if errs[i] == nil || !strings.Contains(errs[i].Error(), "violates check constraint") {
				t.Errorf("the insert of 13: %v", errs[i])
			}
		case 15:
			if !errors.Is(errs[i], fault.UniqueAttribute) {
				t.Errorf("the insert of a duplicate: %v", errs[i])
			}
		default:
			if errs[i] != nil || values[i] != want {
				t.Errorf("request %d: %q, %v, want %q", i, values[i], errs[i], want)
			}
		}
	}
	if got := db.Strings(t, "SELECT count(*) FROM t"); got[0] != fmt.Sprint(requests/2-2+1) {
		t.Errorf("%s rows are stored, want %d", got[0], requests/2-1)
	}
}

// A write that has answered is undone when another one of its group fails. It runs again, and the receiver of its rows learns only
// of the time that counts: this one then has no answer.
func TestUndoneAnswer(t *testing.T) {
	t.Parallel()
	for name, failures := range map[string]int{"Again": 1, "Alone": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			db.Exec(t, "CREATE TABLE t (k text PRIMARY KEY, n int CHECK (n <> 13)); CREATE SEQUENCE runs")
			s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
			release := busy(t, s, 1)
			defer release()
			var clients sync.WaitGroup
			write := func(key, sql string, row func(object.Row) error, fails bool) {
				clients.Go(func() {
					st := statement(query.Write, sql)
					st.Key = key
					if err := s.Do(context.Background(), st, row); (err != nil) != fails {
						t.Errorf("%s: error %v, want one: %v", sql, err, fails)
					}
				})
			}
			var answers []string
			write("a", fmt.Sprintf("WITH r AS MATERIALIZED (SELECT nextval('runs') AS n) SELECT n FROM r WHERE n <= %d", failures), func(r object.Row) error {
				answers = append(answers, string(r[0]))
				return nil
			}, false)
			for i := range failures {
				write(fmt.Sprint("b", i), fmt.Sprintf("INSERT INTO t VALUES ('%d', 13)", i), nil, true)
			}
			eventually(t, "all wait", func() bool { return s.Waiting() == failures+1 })
			release()
			clients.Wait()
			if len(answers) > 0 {
				t.Errorf("there are the answers %v of transactions that were rolled back", answers)
			}
			if got, want := db.Strings(t, "SELECT last_value FROM runs"), fmt.Sprint(failures+1); got[0] != want {
				t.Errorf("it ran %s times, want %s", got[0], want)
			}
		})
	}
}

// A row that somebody holds delays who wants it, and nobody else.
func TestGroupWithLockedRow(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (k int PRIMARY KEY, n int)")
	db.Exec(t, "INSERT INTO t SELECT i, 0 FROM generate_series(1, 20) i")
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 3})
	holder := db.Connect(t)
	ctx := context.Background()
	if _, err := holder.Exec(ctx, "BEGIN; UPDATE t SET n = 1 WHERE k = 7"); err != nil {
		t.Fatal(err)
	}
	release := busy(t, s, 3)
	defer release()

	var clients sync.WaitGroup
	done := make(chan int, 20)
	for k := 1; k <= 20; k++ {
		clients.Go(func() {
			st := statement(query.Write, "UPDATE t SET n = n + 1 WHERE k = $1 RETURNING n", fmt.Sprint(k))
			if _, err := one(ctx, s, st); err != nil {
				t.Errorf("update of %d: %v", k, err)
			}
			done <- k
		})
	}
	eventually(t, "all wait", func() bool { return s.Waiting() == 20 })
	release()
	for range 19 {
		if k := <-done; k == 7 {
			t.Error("the update of a row that is locked has ended")
		}
	}
	if _, err := holder.Exec(ctx, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	clients.Wait()
	if got := strings.Join(db.Strings(t, "SELECT DISTINCT n FROM t WHERE k <> 7 UNION ALL SELECT n FROM t WHERE k = 7"), " "); got != "1 2" {
		t.Errorf("values %s, want 1 for all, 2 for the row that was updated twice", got)
	}
}

// Two updates that lock rows in opposite orders: PostgreSQL ends one of them, which is run again.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (k int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0)")
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 2})
	ctx := context.Background()
	// The rival never looks for deadlocks, so ours is the victim.
	rival, err := pgx.Connect(ctx, db.SuperURL())
	if err != nil {
		t.Fatal(err)
	}
	defer rival.Close(ctx) //nolint:errcheck // because the test is over
	if _, err := rival.Exec(ctx, "SET deadlock_timeout = '1h'; BEGIN; UPDATE t SET n = 10 WHERE k = 2"); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() {
		_, err := one(ctx, s, statement(query.Write,
			"WITH a AS (UPDATE t SET n = n + 1 WHERE k = 1 RETURNING n), b AS (UPDATE t SET n = n + 1 WHERE k = 2 AND EXISTS (SELECT FROM a) RETURNING n) SELECT n FROM b"))
		result <- err
	}()
	eventually(t, "the statement waits for the rival", func() bool {
		return db.Strings(t, "SELECT count(*) FROM pg_locks WHERE NOT granted")[0] != "0"
	})
	if _, err := rival.Exec(ctx, "UPDATE t SET n = 10 WHERE k = 1; COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("the statement that met a deadlock: %v", err)
	}
}

// The plan of a prepared statement that no longer fits is not the client's problem.
func TestChangedPlan(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 2)")
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	ctx := context.Background()
	st := statement(query.Read, "SELECT * FROM t")
	if got, err := one(ctx, s, st); err != nil || got != "1" {
		t.Fatal(got, err)
	}
	db.Exec(t, "ALTER TABLE t ALTER a TYPE text")
	if _, err := one(ctx, s, st); !errors.Is(err, object.ErrStale) {
		t.Errorf("after the change: %v, want ErrStale", err)
	}
	if got, err := one(ctx, s, st); err != nil || got != "1" {
		t.Errorf("the next time: %q, %v", got, err)
	}
}

// A connection keeps the statements prepared that are in use, and a bounded number of them.
func TestPrepared(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	ctx := context.Background()
	ask := func(sql string) string {
		t.Helper()
		answer, err := one(ctx, s, statement(query.Read, sql))
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	const kept, often, count = 4000, `SELECT 'often'`, `SELECT count(*) FROM pg_prepared_statements`
	prepared := func() string {
		return ask(`SELECT prepare_time FROM pg_prepared_statements WHERE statement = 'SELECT ''often'''`)
	}
	ask(often)
	since := prepared()
	for i := range kept * 3 {
		if got := ask(fmt.Sprintf("SELECT %d", i)); got != strconv.Itoa(i) {
			t.Fatalf("statement %d answered %s", i, got)
		}
		if i%1000 == 0 {
			ask(often)
		}
	}
	if n, err := strconv.Atoi(ask(count)); err != nil || n > kept || n < kept/2 {
		t.Errorf("%d statements are prepared (%v), want %d to %d", n, err, kept/2, kept)
	}
	if prepared() != since {
		t.Error("the statement that was in use all the time was prepared anew")
	}
}
