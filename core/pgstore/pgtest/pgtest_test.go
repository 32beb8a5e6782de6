package pgtest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestNew(t *testing.T) {
	t.Parallel()
	a, b := pgtest.New(t), pgtest.New(t)

	got := a.Strings(t, `SELECT current_user, pg_encoding_to_char(encoding), datcollate, datctype, pg_get_userbyid(datdba)
		FROM pg_database WHERE datname = current_database()`)
	if want := []string{"moray|UTF8|C|C|moray"}; !slices.Equal(got, want) {
		t.Errorf("user, encoding, locale and owner %q, want %q", got, want)
	}
	got = a.Strings(t, `SELECT tableowner FROM pg_tables WHERE tablename = 'buckets_config'`)
	if want := []string{"moray"}; !slices.Equal(got, want) {
		t.Errorf("owner of buckets_config %q, want %q", got, want)
	}

	a.Exec(t, `INSERT INTO buckets_config (name, index, pre, post) VALUES ($1, '{}', '[]', '[]')`, "x")
	a.Exec(t, `CREATE TABLE t (); CREATE TABLE u ()`)
	if got, want := a.Strings(t, `SELECT name, options FROM buckets_config`), []string{"x|"}; !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	if got := b.Strings(t, `SELECT name FROM buckets_config`); len(got) != 0 {
		t.Errorf("the other database has rows %q, want none", got)
	}
}

// A database's column order is part of what an operator's set-up step leaves.
func TestConfigTable(t *testing.T) {
	t.Parallel()
	got := pgtest.New(t).Strings(t, `SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns
		WHERE table_name = 'buckets_config' ORDER BY ordinal_position`)
	want := []string{
		"name|text|NO|", "index|text|NO|", "pre|text|NO|", "post|text|NO|", "options|text|YES|",
		"mtime|timestamp without time zone|NO|now()",
	}
	if !slices.Equal(got, want) {
		t.Errorf("columns of buckets_config\n%q, want\n%q", got, want)
	}
}

func TestTerminate(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Connect(t)
	if n := db.Terminate(t); n != 1 {
		t.Errorf("%d sessions were ended, want 1", n)
	}
	if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("an ended session still answers")
	}
	if n := db.Terminate(t); n != 0 {
		t.Errorf("%d sessions are left, want none", n)
	}
}

func TestSignal(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Connect(t)
	if n := db.Signal(t, syscall.SIGSTOP); n != 1 {
		t.Fatalf("%d processes were signalled, want 1", n)
	}
	answered := make(chan error, 1)
	go func() { // waited for below
		_, err := conn.Exec(context.Background(), "SELECT 1")
		answered <- err
	}()
	db.Exec(t, "SELECT 1") // another session, to give the frozen one time to answer if it could
	select {
	case err := <-answered:
		t.Errorf("a frozen session answered, error %v", err)
		answered <- err
	default:
	}
	db.Signal(t, syscall.SIGCONT)
	if err := <-answered; err != nil {
		t.Errorf("the session, no longer frozen: %v", err)
	}
}

func TestClusterStopStart(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t)
	db := c.New(t)
	db.Exec(t, `CREATE TABLE t (a int); INSERT INTO t VALUES (1)`)
	url := db.URL()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		conn := db.Connect(t)
		c.Stop(t, signal)
		if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
			t.Errorf("after %v a session still answers", signal)
		}
		if _, err := pgx.Connect(t.Context(), url); err == nil {
			t.Errorf("after %v the server still accepts connections", signal)
		}
		c.Start(t)
		if got := db.URL(); got != url {
			t.Errorf("URL after the restart %s, want %s", got, url)
		}
		if got, want := db.Strings(t, "SELECT a FROM t"), []string{"1"}; !slices.Equal(got, want) {
			t.Errorf("rows after %v: %q, want %q", signal, got, want)
		}
	}
}

// Directories that a killed test process left are removed by a later one, and no others.
func TestSweep(t *testing.T) {
	parent, err := os.MkdirTemp("", "pgtest-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(parent) })
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", parent)
	old, locked, young := filepath.Join(parent, "moray-pgtest-1"), filepath.Join(parent, "moray-pgtest-2"), filepath.Join(parent, "moray-pgtest-3")
	for _, dir := range []string{old, locked, young} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := os.Create(filepath.Join(locked, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	hourAgo := time.Now().Add(-time.Hour)
	for _, dir := range []string{old, locked} {
		if err := os.Chtimes(dir, hourAgo, hourAgo); err != nil {
			t.Fatal(err)
		}
	}
	pgtest.NewCluster(t)
	for dir, want := range map[string]bool{old: false, locked: true, young: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s exists: %v, want %v (error %v)", filepath.Base(dir), err == nil, want, err)
		}
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	isCommit := func(m pgtest.Message) bool {
		return m.FromClient && m.Type == 'Q' && bytes.HasPrefix(m.Body, []byte("COMMIT"))
	}
	isCommitted := func(m pgtest.Message) bool {
		return !m.FromClient && m.Type == 'C' && bytes.HasPrefix(m.Body, []byte("COMMIT"))
	}
	on := func(match func(pgtest.Message) bool, action pgtest.Action) pgtest.Rule {
		return func(_ context.Context, m pgtest.Message) pgtest.Action {
			if match(m) {
				return action
			}
			return pgtest.Pass
		}
	}
	tests := []struct {
		name   string
		rule   pgtest.Rule
		failed bool
		rows   int
	}{
		{"NoRule", nil, false, 1},
		{"Pass", on(isCommit, pgtest.Pass), false, 1},
		{"CutBeforeCommit", on(isCommit, pgtest.Cut), true, 0},
		{"CutAnswerOfCommit", on(isCommitted, pgtest.Cut), true, 1},
		{"CutAfterAnswerOfCommit", on(isCommitted, pgtest.PassAndCut), true, 1}, // ReadyForQuery is missing
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			db.Exec(t, "CREATE TABLE t (a int)")
			proxy := pgtest.NewProxy(t, db)
			proxy.SetRule(test.rule)

			conn, err := pgx.Connect(t.Context(), proxy.URL())
			if err != nil {
				t.Fatalf("connect: %v", err)
			}
			defer conn.Close(t.Context())
			for _, sql := range []string{"BEGIN", "INSERT INTO t VALUES (1)", "COMMIT"} {
				_, err = conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
			}
			if (err != nil) != test.failed {
				t.Errorf("error of COMMIT %v, want one: %v", err, test.failed)
			}
			if got := len(db.Strings(t, "SELECT * FROM t")); got != test.rows {
				t.Errorf("%d rows are committed, want %d", got, test.rows)
			}
		})
	}
}

func TestProxyWaits(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	proxy := pgtest.NewProxy(t, db)
	conn, err := pgx.Connect(t.Context(), proxy.URL())
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close(t.Context())

	held, release := make(chan bool, 1), make(chan bool)
	proxy.SetRule(func(ctx context.Context, m pgtest.Message) pgtest.Action {
		if !m.FromClient && m.Type == 'C' {
			held <- true
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return pgtest.Pass
	})
	answered := make(chan error, 1)
	go func() { // waited for below
		_, err := conn.Exec(t.Context(), "SELECT 1", pgx.QueryExecModeSimpleProtocol)
		answered <- err
	}()
	<-held
	if len(answered) != 0 {
		t.Errorf("the client has an answer that the proxy holds up: %v", <-answered)
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("the held up query: %v", err)
	}
}

func TestProxyDrop(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	proxy := pgtest.NewProxy(t, db)
	conn, err := pgx.Connect(t.Context(), proxy.URL())
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	dropped := make(chan bool, 1)
	proxy.SetRule(func(_ context.Context, m pgtest.Message) pgtest.Action {
		if m.FromClient && m.Type == 'Q' {
			dropped <- true
			return pgtest.Drop
		}
		return pgtest.Pass
	})
	answered := make(chan error, 1)
	go func() { // waited for below
		_, err := conn.Exec(context.Background(), "SELECT 1", pgx.QueryExecModeSimpleProtocol)
		answered <- err
	}()
	<-dropped
	if n := proxy.Cut(); n != 1 {
		t.Errorf("%d connections were cut, want 1", n)
	}
	if err := <-answered; err == nil {
		t.Error("a query that the server never saw was answered")
	}
}

func TestProxyDownUp(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	proxy := pgtest.NewProxy(t, db)
	url := proxy.URL()
	proxy.Down()
	if _, err := pgx.Connect(t.Context(), url); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("error while down %v, want ECONNREFUSED", err)
	}
	proxy.Up(t)
	if got := proxy.URL(); got != url {
		t.Errorf("URL after Up %s, want %s", got, url)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("connect after Up: %v", err)
	}
	conn.Close(t.Context())
}
