package clients

import (
	"encoding/json"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// TestManyClients has a hundred clients of all releases work at the same time, see load.js, which checks their answers.
func TestManyClients(t *testing.T) {
	t.Parallel()
	install(t)
	const clients, rounds = 100, 64
	server := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{})
	host, port, err := net.SplitHostPort(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"load.js", host, port, strconv.Itoa(clients), strconv.Itoa(rounds)}, releases...)
	cmd := command(t, time.Minute, releases[0], server.Addr, "node", args...)
	start := time.Now()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node load.js: %v\n%s%s", err, out, stderrOf(err))
	}
	var done struct{ Requests, Conflicts, Counted int }
	if err := json.Unmarshal(out, &done); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if want := clients * (rounds + 2) / 3; done.Counted != want {
		t.Errorf("the counters were raised %d times, want %d", done.Counted, want)
	}
	took := time.Since(start)
	t.Logf("%d requests of %d clients in %v, %.0f a second, %d etag conflicts", done.Requests, clients, took.Round(time.Millisecond),
		float64(done.Requests)/took.Seconds(), done.Conflicts)
}
