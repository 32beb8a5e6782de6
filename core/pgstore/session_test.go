package pgstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// A change of a bucket that falls victim to a deadlock is made again: it is rolled back, and nobody has seen anything of it.
func TestChangeSurvivesDeadlock(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, `CREATE TABLE a (_key TEXT); CREATE TABLE b (_key TEXT)`)
	other, err := pgx.Connect(t.Context(), db.SuperURL())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	exec := func(sql string) {
		t.Helper()
		if _, err := other.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec(`SET deadlock_timeout = '1h'`) // it is never the other one who notices
	exec(`BEGIN`)
	exec(`LOCK TABLE a`)
	waits := make(chan error, 1)

	tries := 0
	store := open(t, db.URL(), pgstore.Limits{})
	err = store.InBucketTx(t.Context(), func(tx bucket.Tx) error {
		if err := tx.LockWriters(t.Context(), "b"); err != nil {
			return err
		}
		if tries++; tries == 1 {
			go func() {
				_, err := other.Exec(context.Background(), `LOCK TABLE b`)
				if err == nil {
					_, err = other.Exec(context.Background(), `COMMIT`)
				}
				waits <- err
			}()
			eventually(t, "the other one waits for us", func() bool {
				return db.Strings(t, `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'b'::regclass`)[0] == "1"
			})
		}
		return tx.LockWriters(t.Context(), "a")
	})
	if err != nil || tries < 2 {
		t.Errorf("the change ended with %v after %d tries", err, tries)
	}
	if err := <-waits; err != nil {
		t.Errorf("the other one: %v", err)
	}
}

// The build of an index that waits for somebody who wants to drop the table is interrupted: neither could go on.
func TestBuildIndexMeetsDrop(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, `CREATE TABLE b (a TEXT)`)
	dropper, err := pgx.Connect(t.Context(), db.SuperURL())
	if err != nil {
		t.Fatal(err)
	}
	defer dropper.Close(context.Background())
	// It is the build that looks for deadlocks, and not before the drop has begun.
	for _, sql := range []string{
		`ALTER DATABASE ` + db.Name + ` SET deadlock_timeout = '3s'`, `SET deadlock_timeout = '1h'`,
		`BEGIN`, `LOCK TABLE b IN ROW EXCLUSIVE MODE`,
	} {
		if _, err := dropper.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	looker := db.Connect(t)
	dropped := make(chan error, 1)
	index := bucket.Index{Name: "b_a_idx", Column: "a", Method: "BTREE"}
	store := open(t, db.URL(), pgstore.Limits{})
	err = store.InBucketSession(t.Context(), "b", func(s bucket.Session) error {
		built := make(chan error, 1)
		go func() { built <- s.BuildIndex(t.Context(), "b", index) }()
		eventually(t, "the build waits", func() bool {
			var n int
			err := looker.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'CREATE INDEX%'`).Scan(&n)
			return err == nil && n == 1
		})
		go func() {
			_, err := dropper.Exec(context.Background(), `DROP TABLE b; COMMIT`)
			dropped <- err
		}()
		if err := <-built; !errors.Is(err, bucket.ErrInterrupted) {
			t.Errorf("the build ended with %v", err)
		}
		if err := <-dropped; err != nil {
			t.Errorf("the drop ended with %v", err)
		}
		return s.BuildIndex(t.Context(), "b", index)
	})
	if !errors.Is(err, bucket.ErrInterrupted) {
		t.Errorf("a build without a table ended with %v", err)
	}
}
