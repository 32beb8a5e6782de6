package clients

import (
	"syscall"
	"testing"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// TestFrozenDatabase freezes PostgreSQL. A deep ping ends when the client's time is up, a shallow one is answered, and when the
// database goes on, so do the same connections of the same client.
func TestFrozenDatabase(t *testing.T) {
	t.Parallel()
	install(t)
	db := pgtest.New(t)
	server := servertest.Start(t, db.URL(), servertest.Options{Pool: `{"maxConnections":1}`})
	defer db.Signal(t, syscall.SIGCONT)
	for _, release := range releases {
		c := startCaller(t, release, server.Addr)
		expect := func(args, want string) {
			t.Helper()
			if got := c.call("ping", args).String(); got != want {
				t.Errorf("%s: ping %s\n got  %s\n want %s", release, args, got, want)
			}
		}
		expect(`[{"deep":true}]`, "ok")
		if n := db.Signal(t, syscall.SIGSTOP); n == 0 {
			t.Fatal("the server has no connection to freeze")
		}
		expect(`[{"deep":true,"timeout":100}]`, "VError > FastRequestError > TimeoutError: timed out after 100 milliseconds")
		expect(`[]`, "ok")
		db.Signal(t, syscall.SIGCONT)
		expect(`[{"deep":true,"timeout":10000}]`, "ok")
	}
}
