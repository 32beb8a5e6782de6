package pgstore_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/query"
)

// TestGroupSize counts the transactions that writes of 64 clients take: a figure that does not depend on the machine. Without
// groups it would be one a write.
func TestGroupSize(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (k text PRIMARY KEY, n int)")
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 8})
	xid := func() int {
		n, err := strconv.Atoi(db.Strings(t, "SELECT pg_current_xact_id()")[0])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const clients, each = 64, 25
	before := xid()
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			ctx := caller(context.Background(), object.Caller{Client: uint64(c % 4)})
			for i := range each {
				st := statement(query.Write, "INSERT INTO t VALUES ($1, $2) RETURNING n", fmt.Sprint(c, "-", i), "1")
				if _, err := one(ctx, s, st); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if transactions := xid() - before; transactions > clients*each/3 {
		t.Errorf("%d writes took %d transactions, more than a third", clients*each, transactions)
	}
}

// TestFairness: while one client keeps thousands of requests waiting, another's single requests are served in between: during
// one of them only the requests that share its round trips, and those that Go's scheduler puts before it.
func TestFairness(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.New(t).URL(), pgstore.Limits{MaxConnections: 2, MaxQueue: -1})
	const crowd = 5000
	for _, sharing := range []query.Sharing{query.Read, query.Alone} {
		ctx, cancel := context.WithCancel(context.Background())
		var served atomic.Int64
		var all sync.WaitGroup
		for range crowd {
			all.Go(func() {
				ctx := caller(ctx, object.Caller{Client: 1})
				for ctx.Err() == nil {
					if _, err := one(ctx, s, statement(sharing, "SELECT 1")); err == nil {
						served.Add(1)
					}
				}
			})
		}
		eventually(t, "the crowd waits", func() bool { return s.Waiting() > crowd/2 })
		const bound = crowd / 4 // first come, first served would be all of them
		for i := range 20 {
			before := served.Load()
			if _, err := one(caller(context.Background(), object.Caller{Client: 2}), s, statement(sharing, "SELECT 2")); err != nil {
				t.Fatal(err)
			}
			if n := served.Load() - before; n > bound {
				t.Errorf("sharing %d: %d of the other's requests were served during request %d, more than %d", sharing, n, i, bound)
			}
		}
		cancel()
		all.Wait()
	}
}

// A statement that fails, and shared its round trip with none, is not run again: that would draw a second number from a sequence.
func TestLoneFailureRunsOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (id bigserial, k text UNIQUE); INSERT INTO t (k) VALUES ('x')")
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	for _, run := range []func(context.Context, *pgstore.Store, *query.Statement) (string, error){do, parking} {
		if _, err := run(context.Background(), s, statement(query.Write, "INSERT INTO t (k) VALUES ('x') RETURNING id")); err == nil {
			t.Error("a second row with one key was stored")
		}
	}
	if last := db.Strings(t, "SELECT last_value FROM t_id_seq")[0]; last != "3" {
		t.Errorf("the sequence stands at %s, want 3", last)
	}
}
