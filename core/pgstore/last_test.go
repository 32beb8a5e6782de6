package pgstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/query"
)

// The last statement of a transaction brings its commit along, unless the hooks have run SQL, which can have to be undone.
func TestLast(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (a text UNIQUE DEFERRABLE INITIALLY DEFERRED)")
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	ctx := context.Background()
	rows := func() string { return strings.Join(db.Strings(t, "SELECT a FROM t ORDER BY a"), " ") }
	insert := func(a string) *query.Statement {
		return statement(query.Alone, "INSERT INTO t VALUES ($1) RETURNING a", a)
	}
	look := statement(query.Alone, "SELECT 1")
	wrong := errors.New("wrong")

	for _, c := range []struct {
		what string
		hook string // SQL of a hook
		last string
		fail bool   // after the statement
		want string // of the error
		rows string // then
	}{
		{"committed with the statement", "", "a", false, "", "a"},
		{"committed before something else fails", "", "b", true, "wrong", "a b"},
		{"committed with what the hooks did", "INSERT INTO t VALUES ('h')", "c", false, "", "a b c h"},
		{"undone with what the hooks did", "INSERT INTO t VALUES ('i')", "d", true, "wrong", "a b c h"},
		{"refused at the commit", "", "a", false, "UniqueAttributeError: ", "a b c h"},
		{"refused at the commit after hooks", "INSERT INTO t VALUES ('i')", "a", false, "UniqueAttributeError: ", "a b c h"},
	} {
		err := s.InTx(ctx, func(tx object.Tx) error {
			if _, err := tx.Do(ctx, look, nil); err != nil {
				return err
			}
			if c.hook != "" {
				if _, err := tx.Run(ctx, &object.Script{Text: c.hook}); err != nil {
					return err
				}
			}
			var got string
			n, err := tx.Last(ctx, insert(c.last), func(r object.Row) error {
				got = string(r[0])
				return nil
			})
			if err == nil && (n != 1 || got != c.last) {
				t.Errorf("%s: %d rows, %q", c.what, n, got)
			}
			if err == nil && c.hook == "" && !strings.Contains(rows(), c.last) {
				t.Errorf("%s: is not committed yet", c.what)
			}
			if err == nil && c.fail {
				err = wrong
			}
			return err
		})
		text := ""
		if err != nil {
			text = err.Error()
		}
		if !strings.HasPrefix(text, c.want) || (text == "") != (c.want == "") {
			t.Errorf("%s: %v, want %s", c.what, err, c.want)
		}
		if got := rows(); got != c.rows {
			t.Errorf("%s: rows %s, want %s", c.what, got, c.rows)
		}
	}

	// A statement behind it begins another transaction.
	err := s.InTx(ctx, func(tx object.Tx) error {
		for _, a := range []string{"x", "y"} {
			if _, err := tx.Do(ctx, look, nil); err != nil {
				return err
			}
			if _, err := tx.Last(ctx, insert(a), nil); err != nil {
				return err
			}
		}
		_, err := tx.Do(ctx, insert("z"), nil)
		return errors.Join(err, wrong)
	})
	if got := rows(); !errors.Is(err, wrong) || got != "a b c h x y" {
		t.Errorf("one after the other: %v, rows %s", err, got)
	}

	// One that fails leaves the connection as it was.
	err = s.InTx(ctx, func(tx object.Tx) error {
		if _, err := tx.Do(ctx, look, nil); err != nil {
			return err
		}
		_, err := tx.Last(ctx, statement(query.Alone, "SELECT 1/0"), nil)
		if _, again := tx.Do(ctx, look, nil); again != err {
			t.Errorf("after %v a further statement says %v", err, again)
		}
		return err
	})
	if err == nil || err.Error() != "error: division by zero" {
		t.Errorf("%v, want a division by zero", err)
	}
	if open, idle := s.Open(); open != 1 || idle != 1 {
		t.Errorf("%d connections, %d idle, want 1 and 1", open, idle)
	}
}

// Where the answer to it is lost nobody knows whether it was committed.
func TestLastLost(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (a text)")
	proxy := pgtest.NewProxy(t, db)
	s := open(t, proxy.URL(), pgstore.Limits{MaxConnections: 1})
	ctx := context.Background()
	for _, tag := range []string{"INSERT", "COMMIT"} {
		proxy.SetRule(cut('C', true, tag, pgtest.Cut))
		err := s.InTx(ctx, func(tx object.Tx) error {
			if _, err := tx.Do(ctx, statement(query.Alone, "SELECT 1"), nil); err != nil {
				return err
			}
			_, err := tx.Last(ctx, statement(query.Alone, "INSERT INTO t VALUES ($1) RETURNING a", tag), nil)
			return err
		})
		if f := fault.From(err); f == nil || string(f.Context) != `{"outcome":"unknown"}` {
			t.Errorf("lost at %s: %v, want an unknown outcome", tag, err)
		}
	}
	proxy.SetRule(nil)
	if n := db.Strings(t, "SELECT count(*) FROM t")[0]; n != "2" {
		t.Errorf("%s rows; the statements were sent once each", n)
	}
}
