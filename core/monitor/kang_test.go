package monitor_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/monitor"
)

func clock(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at.In(time.FixedZone("", 3600))
}

func address(t *testing.T, text string) net.Addr {
	t.Helper()
	addr, err := net.ResolveTCPAddr("tcp", text)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// memoryBlock is what differs from run to run.
var memoryBlock = regexp.MustCompile(`"memory":\{"rss":(\d+),"heapTotal":(\d+),"heapUsed":(\d+),"external":(\d+)\}`)

// The state that the original was in when it was recorded gives the same text, member by member.
func TestSnapshotOfOriginal(t *testing.T) {
	t.Parallel()
	recorded, err := os.ReadFile("testdata/kang-snapshot.json")
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := json.Compact(&want, recorded); err != nil {
		t.Fatal(err)
	}
	addr, _ := start(t, &monitor.Monitor{
		Hostname: "vm",
		PID:      25896,
		Started:  clock(t, "2026-11-22T07:12:58.351Z"),
		Kang: func() monitor.Snapshot {
			return monitor.Snapshot{
				Stats: monitor.Stats{ConnectionsActive: 1, ConnectionsCreated: 11, RequestsStarted: 105, RequestsCompleted: 103, RequestsFailed: 24},
				Connections: []monitor.Connection{{
					ID: 11, Remote: address(t, "127.0.0.1:47966"), Local: address(t, "127.0.0.1:2041"),
					Started: 38, Completed: 36, Failed: 2, Accepted: clock(t, "2026-11-22T07:15:22.747Z"),
				}},
				Requests: []monitor.Request{
					{Conn: 11, ID: 37, Method: "sql", Args: jsvalue.Value(`["select pg_sleep(2)",[],{}]`), Started: clock(t, "2026-11-22T07:15:24.405Z")},
					{
						Conn: 11, ID: 38, Method: "listen", Args: jsvalue.Value(`["httpchan",{"req_id":"aaaaaaaa-0000-4000-8000-000000000001"}]`),
						Started: clock(t, "2026-11-22T07:15:24.406Z"),
					},
				},
			}
		},
	})
	got := request(t, addr, "GET", "/kang/snapshot")
	if got.Status != 200 || got.Header != "Content-Type: application/json\r\nServer: Monitor\r\n" {
		t.Errorf("status %d, header %q", got.Status, got.Header)
	}
	blank := func(text string) string { return memoryBlock.ReplaceAllString(text, `"memory":{}`) }
	if diff := cmp.Diff(blank(want.String()), blank(got.Body)); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
}

func TestSnapshotMemory(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, &monitor.Monitor{})
	body := request(t, addr, "GET", "/kang/snapshot").Body
	var got struct {
		Stats struct {
			Memory struct{ RSS, HeapTotal, HeapUsed, External uint64 }
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	m := got.Stats.Memory
	if m.RSS < 1<<20 || m.HeapUsed < 1<<10 || m.HeapTotal < m.HeapUsed || m.External != 0 {
		t.Errorf("memory is %+v, want plausible numbers", m)
	}
}

func TestSnapshotObjects(t *testing.T) {
	t.Parallel()
	at := clock(t, "2026-11-22T07:15:24.4Z")
	unix := &net.UnixAddr{Name: "/run/moray.sock", Net: "unix"}
	addr, _ := start(t, &monitor.Monitor{
		Started: at,
		Kang: func() monitor.Snapshot {
			return monitor.Snapshot{
				Stats: monitor.Stats{
					ConnectionsActive: 1, IgnoredNoConn: 2, IgnoredBadConn: 3, IgnoredAborts: 4,
					ConnectionsCreated: 5, RequestsStarted: 6, RequestsCompleted: 7, RequestsFailed: 8,
				},
				Connections: []monitor.Connection{
					{
						ID: 1, Remote: address(t, "[::1]:10"), Local: address(t, "[::1]:2020"), Draining: true,
						ErrorSocket: errors.New(`read "reset"`), ErrorServer: errors.New("bad crc"), Accepted: at,
					},
					{ID: 2, Remote: unix, Local: unix, Accepted: at},
					{ID: 3, Remote: address(t, "[::ffff:10.0.0.1]:10"), Local: address(t, "10.0.0.2:2020"), Accepted: at},
				},
				Requests: []monitor.Request{{Conn: 1, ID: 2147483647, Method: "x\"\xed\xa0\x80", Args: jsvalue.Value(`[]`), Blackholed: true, Started: at}},
			}
		},
	})
	const instant = `"2026-11-22T07:15:24.400Z"`
	want := `"stats":{"nConnectionsActive":1,"nIgnoredMessagesNoConn":2,"nIgnoredMessagesBadConn":3,"nIgnoredMessagesAborts":4,` +
		`"nConnectionsCreated":5,"nRequestsStarted":6,"nRequestsCompleted":7,"nRequestsFailed":8,"started":` + instant + `,"memory":{}},` +
		`"types":["fastconnection","fastrequest"],"fastconnection":{` +
		`"1":{"connid":1,"addrinfo":{"remoteAddress":"::1","remotePort":10,"socketType":"IPv6","localAddress":"::1","localPort":2020,"label":"::1:10"},` +
		`"nStarted":0,"nCompleted":0,"nFailed":0,"draining":true,"errorSocket":{"name":"Error","message":"read \"reset\""},` +
		`"errorServer":{"name":"Error","message":"bad crc"},"timeAccepted":` + instant + `},` +
		`"2":{"connid":2,"addrinfo":{"socketType":"UDS (inferred)","label":"UDS"},"nStarted":0,"nCompleted":0,"nFailed":0,"draining":false,` +
		`"errorSocket":null,"errorServer":null,"timeAccepted":` + instant + `},` +
		`"3":{"connid":3,"addrinfo":{"remoteAddress":"10.0.0.1","remotePort":10,"socketType":"IPv4","localAddress":"10.0.0.2","localPort":2020,"label":"10.0.0.1:10"},` +
		`"nStarted":0,"nCompleted":0,"nFailed":0,"draining":false,"errorSocket":null,"errorServer":null,"timeAccepted":` + instant + `}},` +
		`"fastrequest":{"1/2147483647":{"connid":"1","msgid":"2147483647","rpcmethod":"x\"` + "\ufffd" + `","rpcargs":[],` +
		`"state":"RUNNING","error":null,"blackholed":true,"timeStarted":` + instant + `}}}`

	body := request(t, addr, "GET", "/kang/snapshot").Body
	_, got, _ := strings.Cut(memoryBlock.ReplaceAllString(body, `"memory":{}`), `"version":"1.0.0"},`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	if !json.Valid([]byte(body)) {
		t.Errorf("not JSON: %s", body)
	}
}
