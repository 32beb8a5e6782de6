package top_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/cmd/moray/top"
)

// monitor is what a server answers.
type monitor struct {
	mu                   sync.Mutex
	kang, metrics, ready string
}

func (m *monitor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := map[string]string{"/kang/snapshot": m.kang, "/metrics": m.metrics, "/readyz": m.ready}[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
	}
	if r.URL.Path == "/readyz" && strings.Contains(text, `"ready":false`) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	io.WriteString(w, text)
}

func (m *monitor) set(kang, metrics, ready string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kang, m.metrics, m.ready = kang, metrics, ready
}

func watch(t *testing.T, m *monitor) *top.Watch {
	t.Helper()
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	base, err := top.ParseBase(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &top.Watch{Client: &top.Client{Base: base, HTTP: server.Client()}}
}

const ready = `{"ready":true,"checks":{"postgresql":{"ok":true}}}`

// kang is a snapshot of a server that was started an hour ago, with more members.
func kang(more string) string {
	return fmt.Sprintf(`{"service":{"name":"moray","ident":"vm/7"},"stats":{"nConnectionsActive":3,"started":%q,"memory":{"rss":52428800}},"fastrequest":{}%s}`,
		time.Now().Add(-time.Hour).Truncate(time.Hour).Format(time.RFC3339), more)
}

func metrics(fast, slow, errors int) string {
	return fmt.Sprintf(`# TYPE moray_build_info gauge
moray_build_info{version="1.2.3"} 1
# TYPE moray_request_seconds histogram
moray_request_seconds_bucket{rpcMethod="getObject",le="0.001"} %d
moray_request_seconds_bucket{rpcMethod="getObject",le="0.002"} %d
moray_request_seconds_bucket{rpcMethod="getObject",le="+Inf"} %d
moray_request_seconds_sum{rpcMethod="getObject"} 1
moray_request_seconds_count{rpcMethod="getObject"} %d
# TYPE moray_request_errors_total counter
moray_request_errors_total{rpcMethod="getObject",error="A"} %d
moray_request_errors_total{rpcMethod="getObject",error="B"} 1
`, fast, fast+slow, fast+slow, fast+slow, errors)
}

func next(t *testing.T, w *top.Watch) *top.Report {
	t.Helper()
	r, err := w.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Rates and latencies are of the time between two looks, and of the time since the start where the server began anew.
func TestReport(t *testing.T) {
	t.Parallel()
	m := new(monitor)
	w := watch(t, m)
	m.set(kang(""), metrics(1000, 0, 2), ready)
	next(t, w)
	m.set(kang(""), metrics(1000, 10, 5), ready)
	r := next(t, w)
	if len(r.Methods) != 1 {
		t.Fatalf("methods are %+v", r.Methods)
	}
	got := r.Methods[0]
	near := func(a, b float64) bool { return a > b*0.999 && a < b*1.001 }
	if got.Method != "getObject" || !near(got.Rate*r.Seconds, 10) || !near(got.Errors*r.Seconds, 3) || got.Total != 1010 || got.Failures != 6 ||
		!near(*got.Median, 0.0015) || !near(*got.P99, 0.00199) {
		t.Errorf("between the looks: %+v in %v s, median %v, 99 %% %v", got, r.Seconds, *got.Median, *got.P99)
	}
	if r.Server.Version != "1.2.3" || r.Server.Clients != 3 || !r.Server.Ready || r.Pool != nil || r.Cluster != nil {
		t.Errorf("the server is %+v", r.Server)
	}
	r = next(t, w)
	if got = r.Methods[0]; got.Rate != 0 || got.Median != nil {
		t.Errorf("when nothing happened: %+v", got)
	}
	m.set(strings.Replace(kang(""), `"started":"20`, `"started":"19`, 1), metrics(5, 0, 0), ready)
	if got = next(t, w).Methods[0]; got.Rate <= 0 {
		t.Errorf("after a start: %+v", got)
	}
}

// The text shows what there is, in lines that are as wide as they may be.
func TestText(t *testing.T) {
	t.Parallel()
	m := new(monitor)
	w := watch(t, m)
	m.set(kang(`,"fastconnection":{"1":{"addrinfo":{"label":"10.0.0.1:7"}}},
 "fastrequest":{"1/2":{"connid":"1","rpcmethod":"sql","rpcargs":["SELECT \u001b[2J\u0007 1"],"timeStarted":"2020-01-01T00:00:00Z","blackholed":true},
  "1/3":{"connid":"9","rpcmethod":"ping","rpcargs":[{}],"timeStarted":"2999-01-01T00:00:00Z"}},
 "cluster":{"primary":{"kind":"patroni","primary":"","problem":"no member holds leader"}},
 "pool":{"x":{"state":"failed","limit":8,"busy":1,"idle":2,"connecting":3,"waitingClaims":4,"waitingStatements":5,"oldestWaitMs":6000,"counters":{"claim-timeout":7,"b":0},"problem":"refused"}},
 "plugin":{"audit":{"name":"audit","state":"crashing","calls":12345,"errors":2,"restarts":3,"memory":1048576,"error":"exit status 3"}},
 "job":{"r":{"kind":"reindex","bucket":"cats","indexes":["fur"],"remaining":100000,"atLeast":true,"by":"clients"},"d":{"kind":"definitions","directory":"/d","mode":"check","defined":4,"pending":1},"o":{"kind":"overview","problem":"refused"}},
 "bucket":{"cats":{"reindexing":true,"drift":true},"dogs":{"problem":"its table is gone"},"eels":{}},
 "slowrequest":{"10":{"time":"2026-01-01T00:00:00Z","rpcmethod":"tenth"},"2":{"time":"2026-01-01T00:00:00Z","rpcmethod":"second","bucket":"cats","ms":1500,"sql_ms":1000,"sql":"SELECT 2"}}`),
		metrics(12345, 0, 0), `{"ready":false,"checks":{"fine":{"ok":true},"postgresql":{"ok":false,"message":"refused"}}}`)
	report := next(t, w)
	var text bytes.Buffer
	if err := report.WriteText(&text, 0); err != nil {
		t.Fatal(err)
	}
	shown := strings.Join(strings.Fields(text.String()), " ")
	for _, want := range []string{
		"moray vm/7 version 1.2.3, up 1h", "NOT READY postgresql: refused; well: fine", "primary not known, patroni: no member holds leader",
		"pool failed: 1 busy, 2 idle, 3 connecting of 8; claim-timeout 7: refused", "waiting 4 for a connection, 5 for a round trip, the longest for 6s",
		"2 in flight, 3 clients; memory 50 MiB", "buckets 3, 1 reindexing, 1 changed by clients", "cats: changed by a client", "dogs: its table is gone",
		"job reindexing of cats (fur): more than 100.0 k rows left, by clients", "job 4 definitions of /d, mode check, 1 wait for somebody", "job overview: refused",
		"sql 10.0.0.1:7 is gone SELECT ·[2J· 1", "0 ping", "audit crashing 0 – 12.3 k 2 3 1 MiB exit status 3",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("the text lacks %q", want)
		}
	}
	if a, b := strings.Index(shown, "second cats 1.5s 0 1s 0 SELECT 2"), strings.Index(shown, "tenth"); a < 0 || b < a {
		t.Error("slow requests are not in order")
	}
	text.Reset()
	if err := report.WriteText(&text, 40); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 40 {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	if t.Failed() {
		t.Log(text.String())
	}
	if _, err := json.Marshal(report); err != nil {
		t.Error(err)
	}
}

// What does not come from a server of moray is an error that says where it comes from, never a panic.
func TestNotMoray(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ kang, metrics, ready, want string }{
		"a page":         {"<html>", "", ready, "/kang/snapshot is not what a moray monitor serves: invalid character"},
		"other service":  {`{"service":{"name":"cueball"}}`, "", ready, `is the monitor of the service "cueball", not of moray`},
		"broken metrics": {kang(""), "{{{", ready, "/metrics is not what a moray monitor serves: "},
		"broken readyz":  {kang(""), "", "ok", "/readyz is not what a moray monitor serves: "},
		"nulls": {
			kang(`,"plugin":{"p":null},"job":{"j":null},"pool":{"p":null},"cluster":{"c":null},"bucket":{"b":null},"fastrequest":{"r":null},"slowrequest":{"x":null}`),
			"", ready, "",
		},
		"wrong types": {kang(`,"plugin":{"p":{"calls":-1}}`), "", ready, "cannot unmarshal number -1"},
	} {
		m := new(monitor)
		m.set(c.kang, c.metrics, c.ready)
		report, err := watch(t, m).Next(t.Context())
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if err := report.WriteText(io.Discard, 80); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestParseBase(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"127.0.0.1:3020": "http://127.0.0.1:3020", "https://m/x/": "https://m/x", "moray1": "http://moray1", "[::1]:1": "http://[::1]:1",
		"": "", "ftp://x": "", "http://": "", "http://x/?y": "", "tcp://127.0.0.1:2020": "", "http://a b": "", "::": "",
	} {
		got, err := top.ParseBase(text)
		if want == "" {
			got, want = nil, "error"
			if err != nil {
				got = &url.URL{Path: "error"}
			}
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%q is %v, %v; want %s", text, got, err, want)
		}
	}
}

// A report in JSON has the members that scripts rely on, also if there is nothing in them.
func TestJSON(t *testing.T) {
	t.Parallel()
	m := new(monitor)
	m.set(kang(""), "", ready)
	text, err := json.Marshal(next(t, watch(t, m)))
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"time", "seconds", "server", "checks", "cluster", "pool", "methods", "inFlight", "plugins", "jobs", "buckets", "slow"} {
		if members[name] == nil {
			t.Errorf("there is no member %s", name)
		}
		delete(members, name)
	}
	if diff := cmp.Diff(map[string]json.RawMessage{}, members); diff != "" {
		t.Errorf("besides: %s", diff)
	}
}
