package conformance

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// listeners waits until so many sessions of PostgreSQL listen on a channel, whose name is written as in SQL. A listen request is
// not acknowledged, and the end of a connection tells nobody.
func listeners(t *testing.T, db *pgtest.DB, channel string, n int) {
	t.Helper()
	await(t, fmt.Sprintf("%d listeners on %s", n, channel), func() bool {
		sessions := db.Strings(t, `SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' AND query = $1`, "LISTEN "+channel)
		return len(sessions) == n
	})
}

// answers reads n messages and returns them by request.
func answers(t *testing.T, peer *fasttest.Peer, n int) map[uint32][]string {
	t.Helper()
	got := map[uint32][]string{}
	for range n {
		m := peer.Next()
		got[m.ID] = append(got[m.ID], frameText(t, m))
	}
	return got
}

// Steps 378 and 380 of the recorded conversation: several requests at once on one connection, one of which listens.
func TestListen(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	peer := fasttest.Dial(t, servertest.Start(t, db.URL(), servertest.Options{}).Addr)
	recorded := map[string][]string{} // by method
	for _, s := range load[step](t, "testdata/transcript.jsonl") {
		if s.N == 378 {
			for _, r := range s.Responses {
				recorded[r.Name] = append(recorded[r.Name], r.Status+" "+string(printed(r.D)))
			}
		}
	}
	var listened []string
	check := func(got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	notified := recorded["sql"][:2] // DATA and END
	const listen = 7

	peer.Request(2, listen, "listen", `["test-listen",{"req_id":"aaaaaaaa-0000-4000-8000-000000000378"}]`)
	listeners(t, db, `"test-listen"`, 1)
	peer.Request(2, 8, "sql", `["SELECT pg_notify('test-listen', 'payload one')",[],{}]`)
	got := answers(t, peer, 3)
	check(got[8], notified...)
	listened = append(listened, got[listen]...)

	peer.Write(slices.Concat(
		fasttest.Request(2, 9, "sql", `["SELECT pg_notify($1, $2)",["test-listen","{\"a\": 1}"],{}]`),
		fasttest.Request(2, 10, "sql", `["SELECT pg_notify('Test-Listen', 'another channel')",[],{}]`)))
	got = answers(t, peer, 5)
	check(got[9], notified...)
	check(got[10], notified...)
	listened = append(listened, got[listen]...)

	// The id that nobody listens by is not an error. The listen ends before its unlisten does.
	peer.Request(2, 11, "unlisten", `["aaaaaaaa-0000-4000-8000-000000000999",{}]`)
	peer.Expect(2, fast.StatusEnd, 11, `[]`)
	peer.Request(2, 12, "unlisten", `["aaaaaaaa-0000-4000-8000-000000000378",{}]`)
	last := peer.Next()
	listened = append(listened, frameText(t, last))
	peer.Expect(2, fast.StatusEnd, 12, recorded["unlisten"][0][len("END "):])
	check(listened, recorded["listen"]...)
	listeners(t, db, `"test-listen"`, 0)
}

// Step 379: whoever listens goes away, in any manner, and takes the session of PostgreSQL with him. The original died of the
// channel's quote.
func TestListenGone(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	server := servertest.Start(t, db.URL(), servertest.Options{})
	ways := map[string]func(*fasttest.Peer){
		"HalfClose": func(p *fasttest.Peer) {
			p.CloseWrite()
			p.Expect(2, fast.StatusEnd, 1, `[]`)
			p.Ended()
		},
		"Close": func(p *fasttest.Peer) { p.Conn.Close() },
		"Reset": func(p *fasttest.Peer) {
			if err := p.Conn.(*net.TCPConn).SetLinger(0); err != nil {
				t.Error(err)
			}
			p.Conn.Close()
		},
		"ProtocolError": func(p *fasttest.Peer) {
			p.Write([]byte("this is no frame, and it is long enough"))
			p.Gone()
		},
	}
	for name, leave := range ways {
		t.Run(name, func(t *testing.T) {
			peer := fasttest.Dial(t, server.Addr)
			peer.Request(2, 1, "listen", fmt.Sprintf(`["%s\"quoted",{"req_id":"aaaaaaaa-0000-4000-8000-000000000379"}]`, name))
			listeners(t, db, `"`+name+`""quoted"`, 1)
			leave(peer)
			listeners(t, db, `"`+name+`""quoted"`, 0)
		})
	}
}

// A notification reaches the listeners of all servers, whoever sends it. A request id is known to the server that it was sent to.
func TestListenTwoServers(t *testing.T) {
	t.Parallel()
	db, first, second := twoServers(t, false)
	a, b := fasttest.Dial(t, first.Addr), fasttest.Dial(t, second.Addr)
	const channel = "workflow_job_status_changed"
	const options = `{"req_id":"aaaaaaaa-0000-4000-8000-000000000001"}`
	a.Request(2, 1, "listen", `["`+channel+`",`+options+`]`)
	b.Request(2, 1, "listen", `["`+channel+`",`+options+`]`)
	listeners(t, db, `"`+channel+`"`, 2)

	// As the workflow runner tells that a job has changed: with bound values.
	payload := `{\"prevExecution\":\"running\",\"lastResult\":\"OK\",\"name\":\"provision\",\"execution\":\"succeeded\",\"uuid\":\"a41b5c6d\"}`
	for id, peer := range []*fasttest.Peer{a, b} {
		id := uint32(id + 2)
		peer.Request(2, id, "sql", `["SELECT pg_notify($1, $2)",["`+channel+`","`+payload+`"],{}]`)
		notified := `DATA [{"channel":"` + channel + `","payload":"` + payload + `"}]`
		mine, other := peer, b
		if peer == b {
			other = a
		}
		got := answers(t, mine, 3)
		if want := []string{`DATA [{"pg_notify":""}]`, "END []"}; !slices.Equal(got[id], want) {
			t.Errorf("notify: got %q, want %q", got[id], want)
		}
		for _, received := range [][]string{got[1], answers(t, other, 1)[1]} {
			if !slices.Equal(received, []string{notified}) {
				t.Errorf("listener: got %q, want %q", received, notified)
			}
		}
	}

	// An empty payload is delivered.
	a.Request(2, 4, "sql", `["NOTIFY `+channel+`",[],{}]`)
	empty := `DATA [{"channel":"` + channel + `","payload":""}]`
	if got := answers(t, a, 2); !slices.Equal(got[1], []string{empty}) || !slices.Equal(got[4], []string{"END []"}) {
		t.Errorf("got %v, want %q and END", got, empty)
	}
	if got := answers(t, b, 1); !slices.Equal(got[1], []string{empty}) {
		t.Errorf("got %v, want %q", got, empty)
	}

	a.Request(2, 5, "unlisten", `["aaaaaaaa-0000-4000-8000-000000000001",{}]`)
	a.Expect(2, fast.StatusEnd, 1, `[]`)
	a.Expect(2, fast.StatusEnd, 5, `[]`)
	listeners(t, db, `"`+channel+`"`, 1)
	a.Request(2, 6, "sql", `["NOTIFY `+channel+`, 'still'",[],{}]`)
	a.Expect(2, fast.StatusEnd, 6, `[]`)
	b.Expect(2, fast.StatusData, 1, `[{"channel":"`+channel+`","payload":"still"}]`)
}
