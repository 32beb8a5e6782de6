package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// ran is what a script gave, in short.
func ran(ctx context.Context, tx object.Tx, text string, args ...string) string {
	s := &object.Script{Text: text}
	for _, a := range args {
		if a == "NULL" {
			s.Args = append(s.Args, nil)
			continue
		}
		s.Args = append(s.Args, []byte(a))
	}
	var out []string
	s.Fields = func(fields []object.Field) {
		for _, f := range fields {
			out = append(out, fmt.Sprintf("%s:%d", f.Name, f.Type))
		}
	}
	s.Row = func(r object.Row) error {
		var cells []string
		for _, cell := range r {
			if cell == nil {
				cells = append(cells, "NULL")
				continue
			}
			cells = append(cells, string(cell))
		}
		out = append(out, strings.Join(cells, ","))
		return nil
	}
	result, err := tx.Run(ctx, s)
	var refused *object.Refusal
	switch {
	case errors.As(err, &refused):
		return strings.TrimSpace(strings.Join(out, " ") + " " + refused.Code + " " + refused.Fault.Error())
	case err != nil:
		return strings.TrimSpace(strings.Join(out, " ") + " " + err.Error())
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %d", strings.Join(out, " "), result.Command, result.Rows))
}

// inTx runs fn in a transaction and returns how it ended.
func inTx(t *testing.T, s *pgstore.Store, fn func(tx object.Tx) error) string {
	t.Helper()
	if err := s.InTx(t.Context(), fn); err != nil {
		return err.Error()
	}
	return "committed"
}

func TestScript(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, `CREATE TABLE t (k TEXT UNIQUE, n BIGINT)`)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	for _, c := range []struct {
		name    string
		scripts [][]string // text, arguments; then what it gives
		end     string
		rows    string
	}{
		{
			name: "results",
			scripts: [][]string{
				{`INSERT INTO t VALUES ($1, $2), ($3, 2) RETURNING k, n`, "a", "NULL", "b", "k:25 n:20 a,NULL b,2 INSERT 2"},
				{`UPDATE t SET n = 7 WHERE n IS NULL; SELECT 1 AS one; SELECT true; CREATE TABLE u ()`, "one:23 1 ?column?:16 t CREATE TABLE 0"},
				{` `, " 0"},
				{`DELETE FROM t WHERE k = $1`, "nobody", "DELETE 0"},
			},
			end: "committed", rows: "a7 b2",
		},
		{
			name: "swallowed refusal",
			scripts: [][]string{
				{`INSERT INTO t VALUES ('c')`, "INSERT 1"},
				{`INSERT INTO t VALUES ('c')`, `23505 UniqueAttributeError: "k" is a unique attribute; value "c" already exists`},
				{`SELECT 1`, "25P02 error: current transaction is aborted, commands ignored until end of transaction block"},
			},
			end: "error: current transaction is aborted, commands ignored until end of transaction block", rows: "a7 b2",
		},
		{
			name: "savepoint of its own",
			scripts: [][]string{
				{`INSERT INTO t VALUES ('c', 1)`, "INSERT 1"},
				{`SAVEPOINT mine`, "SAVEPOINT 0"},
				{`SELECT nothing`, `42703 error: column "nothing" does not exist`},
				{`ROLLBACK TO mine`, "ROLLBACK 0"},
				{`INSERT INTO t VALUES ('d', 1)`, "INSERT 1"},
			},
			end: "committed", rows: "a7 b2 c1 d1",
		},
		{
			name: "commit", scripts: [][]string{{`SELECT 1; COMMIT`, "?column?:23 1 " + object.ErrEnded.Error()}, {`SELECT 1`, object.ErrEnded.Error()}},
			end: object.ErrEnded.Error(), rows: "a7 b2 c1 d1",
		},
		{name: "rollback", scripts: [][]string{{`ROLLBACK`, object.ErrEnded.Error()}}, end: object.ErrEnded.Error(), rows: "a7 b2 c1 d1"},
		{name: "chain", scripts: [][]string{{`ROLLBACK and Chain`, object.ErrEnded.Error()}}, end: object.ErrEnded.Error(), rows: "a7 b2 c1 d1"},
		{name: "another", scripts: [][]string{{`ROLLBACK; BEGIN`, object.ErrEnded.Error()}}, end: object.ErrEnded.Error(), rows: "a7 b2 c1 d1"},
		{
			name: "copy in", scripts: [][]string{{`COPY t FROM STDIN`, "57014 error: COPY from stdin failed: No source stream defined"}},
			end: "error: current transaction is aborted, commands ignored until end of transaction block", rows: "a7 b2 c1 d1",
		},
	} {
		end := inTx(t, s, func(tx object.Tx) error {
			failed := error(nil)
			for _, script := range c.scripts {
				want := strings.TrimSpace(script[len(script)-1])
				got := ran(t.Context(), tx, script[0], script[1:len(script)-1]...)
				if got != want {
					t.Errorf("%s: %s\n got %q\nwant %q", c.name, script[0], got, want)
				}
				if want == object.ErrEnded.Error() || strings.HasSuffix(want, object.ErrEnded.Error()) {
					failed = object.ErrEnded
				}
			}
			return failed
		})
		if end != c.end {
			t.Errorf("%s: the transaction ended with %q, want %q", c.name, end, c.end)
		}
		if rows := strings.Join(db.Strings(t, `SELECT k || n FROM t ORDER BY k`), " "); rows != c.rows {
			t.Errorf("%s: rows %q, want %q", c.name, rows, c.rows)
		}
	}
}

// TestScriptCancelled: the statement of a hook whose time is up is ended in PostgreSQL, and the connection stays.
func TestScriptCancelled(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, `CREATE TABLE t (k TEXT)`)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	var pids []string
	pid := func() {
		t.Helper()
		if end := inTx(t, s, func(tx object.Tx) error {
			pids = append(pids, ran(t.Context(), tx, `SELECT pg_backend_pid()`))
			return nil
		}); end != "committed" {
			t.Fatal(end)
		}
	}
	pid()
	reason := errors.New("the time is up")
	end := inTx(t, s, func(tx object.Tx) error {
		err := tx.Attempt(t.Context(), func() error {
			ran(t.Context(), tx, `INSERT INTO t VALUES ('undone')`)
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				eventually(t, "the statement runs", func() bool {
					return len(db.Strings(t, `SELECT 'x' FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'`)) > 0
				})
				cancel(reason)
			}()
			_, err := tx.Run(ctx, &object.Script{Text: `SELECT pg_sleep(600)`})
			return err
		})
		if !errors.Is(err, reason) {
			t.Errorf("got %v, want %v", err, reason)
		}
		if got := ran(t.Context(), tx, `INSERT INTO t VALUES ('kept')`); got != "INSERT 1" {
			t.Errorf("after the attempt: %s", got)
		}
		return nil
	})
	if end != "committed" {
		t.Errorf("the transaction ended with %q", end)
	}
	if rows := db.Strings(t, `SELECT k FROM t`); len(rows) != 1 || rows[0] != "kept" {
		t.Errorf("rows %q, want kept", rows)
	}
	pid()
	if pids[0] != pids[1] {
		t.Errorf("the connection was %s before and %s after", pids[0], pids[1])
	}
}

// TestAttempt undoes what fails, and nothing else.
func TestAttempt(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, `CREATE TABLE t (k TEXT UNIQUE)`)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	mine := errors.New("mine")
	end := inTx(t, s, func(tx object.Tx) error {
		ctx := t.Context()
		insert := func(k string) string { return ran(ctx, tx, `INSERT INTO t VALUES ($1)`, k) }
		insert("before")
		for _, c := range []struct {
			name string
			fn   func() error
			want string
		}{
			{"accepts", func() error { insert("accepted"); return nil }, "<nil>"},
			{"fails", func() error { insert("failed"); return mine }, "mine"},
			{"swallows", func() error { insert("swallowed"); insert("before"); return nil }, "a statement was refused, and the transaction left in its failed state"},
			{"refused", func() error {
				_, err := tx.Run(ctx, &object.Script{Text: `SELECT 1/0`})
				return err
			}, "division by zero"},
			{"accepts again", func() error { insert("again"); return nil }, "<nil>"},
		} {
			if err := tx.Attempt(ctx, c.fn); fmt.Sprint(err) != c.want {
				t.Errorf("%s: got %v, want %s", c.name, err, c.want)
			}
		}
		return nil
	})
	if end != "committed" {
		t.Errorf("the transaction ended with %q", end)
	}
	if rows := strings.Join(db.Strings(t, `SELECT k FROM t ORDER BY k`), " "); rows != "accepted again before" {
		t.Errorf("rows %q", rows)
	}
	end = inTx(t, s, func(tx object.Tx) error {
		err := tx.Attempt(t.Context(), func() error {
			_, err := tx.Run(t.Context(), &object.Script{Text: `COMMIT`})
			return err
		})
		if !errors.Is(err, object.ErrEnded) {
			t.Errorf("after COMMIT: %v", err)
		}
		return err
	})
	if end != object.ErrEnded.Error() {
		t.Errorf("the transaction ended with %q", end)
	}
}

// TestScriptTimeout: the timeout of the request bounds each statement.
func TestScriptTimeout(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.New(t).URL(), pgstore.Limits{MaxConnections: 1})
	err := s.InTx(caller(t.Context(), object.Caller{Timeout: 50 * time.Millisecond}), func(tx object.Tx) error {
		_, err := tx.Run(t.Context(), &object.Script{Text: `SELECT pg_sleep(600)`})
		return err
	})
	if !errors.Is(err, fault.QueryTimeout) {
		t.Errorf("got %v, want QueryTimeoutError", err)
	}
}
