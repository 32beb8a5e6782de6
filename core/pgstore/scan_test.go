package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/query"
)

// repeated reads with a scan: n rows of so many bytes, after so many seconds.
const repeated = `SELECT repeat('x', $1::int) FROM generate_series(1, $2::int), pg_sleep($3::float8)`

// scan returns the number of rows and the bytes in them.
func scan(s *pgstore.Store, size, n int, seconds string) string {
	got, bytes := 0, 0
	err := s.Do(context.Background(), statement(query.Scan, repeated, fmt.Sprint(size), fmt.Sprint(n), seconds), func(r object.Row) error {
		got++
		bytes += len(r[0])
		return nil
	})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(got, " ", bytes)
}

// becomeBrief runs short scans until those with their text share.
func becomeBrief(t *testing.T, s *pgstore.Store) {
	t.Helper()
	eventually(t, "scans with the text share", func() bool {
		if got := scan(s, 1, 1, "0"); got != "1 1" {
			t.Fatalf("a short scan: %s", got)
		}
		return s.Brief(repeated)
	})
}

// TestScan: scans share round trips while their like are short. What is too much for that comes out all the same.
func TestScan(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.New(t).URL(), pgstore.Limits{MaxConnections: 2})
	if s.Brief(repeated) {
		t.Error("a text shares that nobody knows")
	}
	for _, c := range []struct {
		name    string
		size, n int
		seconds string
		brief   bool // afterwards
	}{
		{"no row", 1, 0, "0", true},
		{"as many rows as are brief", 1, 20, "0", true},
		{"empty rows", 0, 3, "0", true},
		{"too many rows", 1, 21, "0", false},
		{"many rows", 10, 5000, "0", false},
		{"too much text", 200 << 10, 2, "0", false},
	} {
		becomeBrief(t, s)
		want := fmt.Sprint(c.n, " ", c.size*c.n)
		if got := scan(s, c.size, c.n, c.seconds); got != want {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
		if got := s.Brief(repeated); got != c.brief {
			t.Errorf("%s: scans share afterwards: %t, want %t", c.name, got, c.brief)
		}
	}
	becomeBrief(t, s)
	enough := errors.New("enough")
	err := s.Do(context.Background(), statement(query.Scan, repeated, "1", "2", "0"), func(object.Row) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("the error of the row function became %v", err)
	}
	if _, err := one(context.Background(), s, statement(query.Scan, `SELECT 1/$1::int`, "0")); err == nil || err.Error() != "error: division by zero" {
		t.Errorf("a scan that fails: %v", err)
	}
}

// TestScanInCompany: scans, short and long ones, and gets that share their round trips. All are answered, and a scan that
// takes a second does so by itself.
func TestScanInCompany(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.New(t).URL(), pgstore.Limits{MaxConnections: 3})
	becomeBrief(t, s)
	release := busy(t, s, 3)
	var all, quick sync.WaitGroup
	slow := make(chan struct{})
	all.Go(func() {
		defer close(slow)
		if got := scan(s, 1, 1, "1"); got != "1 1" {
			t.Errorf("the slow scan: %s", got)
		}
	})
	for i := range 40 {
		quick.Go(func() {
			if i%2 == 0 {
				if got := scan(s, i, 1, "0"); got != fmt.Sprint("1 ", i) {
					t.Errorf("scan %d: %s", i, got)
				}
				return
			}
			if got, err := one(context.Background(), s, statement(query.Read, `SELECT $1::text`, strings.Repeat("y", i))); err != nil || len(got) != i {
				t.Errorf("get %d: %q, %v", i, got, err)
			}
		})
	}
	eventually(t, "all wait", func() bool { return s.Waiting() == 41 })
	release()
	quick.Wait()
	select {
	case <-slow:
		t.Error("the others waited for the slow scan")
	default:
	}
	all.Wait()
	if s.Brief(repeated) {
		t.Error("scans share after a slow one")
	}
}
