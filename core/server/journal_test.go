package server_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// metric returns the value of a metric without labels; 0 if there is none.
func metric(t *testing.T, s *servertest.Server, name string) float64 {
	t.Helper()
	answer, err := http.Get("http://" + s.Monitor + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + name + `\{[^}]*\} (\S+)$`).FindSubmatch(page)
	if found == nil {
		return 0
	}
	v, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestJournal: each request has a record, and a slow one tells what it waited for.
func TestJournal(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	const slow = 50 * time.Millisecond
	s := servertest.Start(t, db.URL(), servertest.Options{Pool: `{"maxConnections":1}`, More: `"requests":{"log":"info","slow":50}`})
	ask := func(method, args string) string {
		t.Helper()
		nc, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		return call(t, nc, method, args)
	}
	ask("createBucket", `["b",{},{"req_id":"00000001-0000-4000-8000-000000000000"}]`)
	ask("putObject", `["b","k",{"secret":"sesame"},{"req_id":"00000002-0000-4000-8000-000000000000"}]`)
	ask("getObject", `["b","nothing",{"req_id":"00000003-0000-4000-8000-000000000000"}]`)
	ask("getObject", `["b",5,{}]`)
	ask("frobnicate", `[]`)

	// One request holds the only connection until the lock is free; the other one waits for it.
	other := db.Connect(t)
	if _, err := other.Exec(t.Context(), "SELECT pg_advisory_lock(7)"); err != nil {
		t.Fatal(err)
	}
	holder, waiter := make(chan string, 1), make(chan string, 1)
	go func() {
		holder <- ask("sql", `["select pg_advisory_lock(7), 'sesame'",[],{"req_id":"00000004-0000-4000-8000-000000000000"}]`)
	}()
	waiting := func() bool {
		return len(db.Strings(t, `SELECT 'x' FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%lock(7)%'`)) > 0
	}
	eventually(t, "the connection is in use", waiting)
	go func() {
		waiter <- ask("getObject", `["b","k",{"req_id":"00000005-0000-4000-8000-000000000000","noCache":true}]`)
	}()
	eventually(t, "the other request has waited", func() bool { return metric(t, s, "moray_pool_oldest_wait_seconds") > slow.Seconds() })
	if _, err := other.Exec(t.Context(), "SELECT pg_advisory_unlock(7)"); err != nil {
		t.Fatal(err)
	}
	<-holder
	<-waiter

	for _, want := range []string{
		`component=fast req_id=00000002\S+ route=putObject client=127.0.0.1:\d+ connId=\d+ msgid=\d+ bucket=b latency=\d`,
		`req_id=00000003\S+ route=getObject .* latency=\S+ err="ObjectNotFoundError: b::nothing does not exist"`,
		`req_id=[0-9a-f-]{36} route=getObject .* err="InvocationError: `,
		`msg="request done" .* route=frobnicate .* err="FastError: unsupported RPC method: `,
		`msg="slow request" component=fast req_id=00000004\S+ route=sql .* latency=\S+ queue=\S+ sql=\S+ hooks=0 statements=1 slowest=\S+ statement="select pg_advisory_lock\(7\)`,
		`msg="slow request" component=fast req_id=00000005\S+ route=getObject .* bucket=b latency=\S+ queue=\S+ sql=\S+ hooks=0 statements=1 slowest=\S+ statement="SELECT .* FROM .*b.* WHERE _key = `,
	} {
		if !regexp.MustCompile(want).MatchString(s.Log()) {
			t.Errorf("the log has no %s", want)
		}
	}
	shot, err := http.Get("http://" + s.Monitor + "/kang/snapshot")
	if err != nil {
		t.Fatal(err)
	}
	defer shot.Body.Close()
	var snapshot struct {
		Slow map[string]struct {
			Request string  `json:"req_id"`
			Queue   float64 `json:"queue_ms"`
			SQL     string
		} `json:"slowrequest"`
	}
	if err := json.NewDecoder(shot.Body).Decode(&snapshot); err != nil {
		t.Fatal(err)
	}
	kept := false
	for _, r := range snapshot.Slow {
		kept = kept || strings.HasPrefix(r.Request, "00000005") && r.Queue > 50 && strings.HasPrefix(r.SQL, "SELECT ")
	}
	if !kept {
		t.Errorf("the snapshot shows %+v", snapshot.Slow)
	}
	record := regexp.MustCompile(`req_id=(\w+)-\S+ .* queue=(\S+) sql=(\S+)`)
	for _, line := range record.FindAllStringSubmatch(s.Log(), -1) {
		longest := map[string]int{"00000005": 2, "00000004": 3}[line[1]]
		if longest == 0 {
			continue // slow for reasons of the machine
		}
		ms, err := strconv.ParseFloat(line[longest], 64)
		if err != nil || ms < float64(slow.Milliseconds()) {
			t.Errorf("%s spent %s ms, want more than %v: %s", line[1], line[longest], slow, line[0])
		}
	}
	if strings.Contains(regexp.MustCompile(`(?m)^.*req_id=00000004.*$`).ReplaceAllString(s.Log(), ""), "sesame") {
		t.Error("values of objects are in the log")
	}
}
