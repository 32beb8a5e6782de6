package conformance

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// down is a call that was recorded from the original Moray (server 2.6.1) while its database did not answer, or could not keep
// up: its pool had one connection, a queue of three and a target of 300 ms for waits.
type down struct {
	Label, RPC string
	Args       json.RawMessage
	MS         int // until the last response
	Responses  []struct {
		Status string
		D      json.RawMessage
	}
}

// overloadedPool is the configuration that the calls were recorded with.
const overloadedPool = `{"maxConnections":1,"maxQueueLength":3,"targetClaimDelay":300}`

// late is the longest wait in the queue: ten times the target.
const late = 3 * time.Second

// refused is the answer when there is no database.
const refused = `ERROR {"name":"Error","message":"connect ECONNREFUSED","context":{},"info":{}}`

// Where we differ from the original while the database is down, by decision.
var downChanges = map[string]struct {
	reason string
	answer string
	ms     int
}{
	"PG down getBucket":             {"a refused connection is noticed at once, so nobody waits once the first has waited in vain", refused, 0},
	"PG down putObject":             {"a refused connection is noticed at once, so nobody waits once the first has waited in vain", refused, 0},
	"PG down findObjects":           {"those whose wait has ended do not count as waiting: the queue is not full, the database is away", refused, 0},
	"PG down sql":                   {"those whose wait has ended do not count as waiting: the queue is not full, the database is away", refused, 0},
	"PG down, 12 s later getBucket": {"a database that is away is not an overload", refused, 0},
}

// The test is not parallel to others: it compares times. Its two parts do not disturb each other.
func TestDown(t *testing.T) {
	var away, overload []down
	for _, d := range load[down](t, "testdata/database-down.jsonl") {
		if strings.HasPrefix(d.Label, "overload") {
			overload = append(overload, d)
		} else {
			away = append(away, d)
		}
	}
	t.Run("Away", func(t *testing.T) {
		t.Parallel()
		testAway(t, away)
	})
	t.Run("Overload", func(t *testing.T) {
		t.Parallel()
		testOverload(t, overload)
	})
}

// testAway makes the calls one after the other, with the database stopped before the server starts.
func testAway(t *testing.T, calls []down) {
	cluster := pgtest.NewCluster(t)
	db := cluster.New(t)
	proxy := pgtest.NewProxy(t, db) // gives the database an address that connections can be refused at
	proxy.Down()
	cluster.Stop(t, syscall.SIGINT)

	server := servertest.Start(t, proxy.URL(), servertest.Options{Pool: overloadedPool})
	peer := fasttest.Dial(t, server.Addr)
	for i, c := range calls {
		want, ms := c.answer(), c.MS
		if change, ok := downChanges[c.Label+" "+c.RPC]; ok {
			want, ms = []string{change.answer}, change.ms
			t.Logf("%s %s: %s", c.Label, c.RPC, change.reason)
		}
		start := time.Now()
		peer.Request(2, uint32(i+1), c.RPC, string(c.Args))
		var got []string
		for done := false; !done; {
			m := peer.Next()
			done = m.Status != fast.StatusData
			got = append(got, frameText(t, m))
		}
		took := int(time.Since(start).Milliseconds())
		if !slices.Equal(got, want) || !near(took, ms) {
			t.Errorf("%s: %s %s\n got  %q after %d ms\n want %q after %d ms", c.Label, c.RPC, c.Args, got, took, want, ms)
		}
	}
	if log := server.Log(); !strings.Contains(log, `pool has exhausted all retries, now moving to \"failed\" state`) {
		t.Errorf("the server does not say that it gave up; its log:\n%s", log)
	}

	// The database comes back, and nobody has to do anything.
	cluster.Start(t)
	proxy.Up(t)
	client := server.Dial(t, 2)
	await(t, "an answer after the database is back", func() bool {
		frames := call(t, client, "ping", json.RawMessage(`[{"deep":true}]`))
		return len(frames) == 1 && frames[0] == "END"
	})
}

// testOverload keeps the only connection busy for three seconds and makes six calls meanwhile: three wait in vain, for three
// others there is no place in the queue. Which is which depends on how the server's goroutines run.
func testOverload(t *testing.T, calls []down) {
	db := pgtest.New(t)
	server := servertest.Start(t, db.URL(), servertest.Options{Pool: overloadedPool})
	expect(t, server.Dial(t, 2), "createBucket", json.RawMessage(`["golden_basic",{},{}]`), "END")
	// Where no connection came back to the pool for so long, waits are shorter. It is this time that has to pass.
	<-time.After(late + 200*time.Millisecond)

	peer := fasttest.Dial(t, server.Addr)
	start := time.Now()
	busy := slices.IndexFunc(calls, func(c down) bool { return c.RPC == "sql" })
	peer.Request(2, uint32(busy+1), "sql", string(calls[busy].Args))
	await(t, "the statement that keeps the connection busy", func() bool {
		return len(db.Strings(t, `SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'select pg_sleep%'`)) == 1
	})
	queued := time.Now()
	for i, c := range calls {
		if i != busy {
			peer.Request(2, uint32(i+1), c.RPC, string(c.Args))
		}
	}
	answers := map[uint32][]string{}
	for i := 0; i < len(calls); { // in the order of their ends, as they were recorded
		m := peer.Next()
		answers[m.ID] = append(answers[m.ID], frameText(t, m))
		if m.Status == fast.StatusData {
			continue
		}
		since := queued
		if calls[i].RPC == "sql" {
			since = start
		}
		took, got := int(time.Since(since).Milliseconds()), answers[m.ID]
		if want := calls[i].answer(); !slices.Equal(got, want) || !near(took, calls[i].MS) {
			t.Errorf("answer %d: got  %q after %d ms\n want %q after %d ms", i+1, got, took, want, calls[i].MS)
		}
		i++
	}
}

// answer returns the recorded frames in the form of [frameText].
func (d *down) answer() []string {
	var frames []string
	for _, r := range d.Responses {
		frames = append(frames, withoutPort(r.Status+" "+string(printed(r.D))))
	}
	return frames
}

// frameText returns a frame as a line of text, without what differs from run to run.
func frameText(t *testing.T, m *fast.Message) string {
	t.Helper()
	e, err := m.Envelope()
	if err != nil {
		t.Fatalf("%q: %v", m.Payload, err)
	}
	return withoutPort(m.Status.String() + " " + string(printed(e.D)))
}

var port = regexp.MustCompile(`127\.0\.0\.1:\d+`)

func withoutPort(frame string) string { return port.ReplaceAllString(frame, "127.0.0.1:port") }

// near compares times in milliseconds: they may differ by a factor of three or by 300.
func near(got, want int) bool {
	return got <= want+300 && want <= got+300 || got <= 3*want && want <= 3*got
}
