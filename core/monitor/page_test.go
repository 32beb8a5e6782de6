package monitor_test

import (
	"context"
	"errors"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/monitor"
	"github.com/kaizengarden/moray/core/monitor/browsertest"
)

// hostile is what a client may call things.
const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`

// text is what a person reads: the page without tags, with one space between words.
func text(dom string) string {
	dom = regexp.MustCompile(`(?s)<noscript>.*?</noscript>`).ReplaceAllString(dom, "")
	dom = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(dom, " ")
	return strings.Join(strings.Fields(html.UnescapeString(dom)), " ")
}

// busy is a server that has something of everything.
func busy() *monitor.Monitor {
	registerer, gatherer := monitor.NewRegistry(monitor.Labels{Datacenter: "dc", Server: "s", Zonename: "vm", PID: 7})
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "fast_server_request_time_seconds", Help: "h", Buckets: monitor.LatencyBounds(),
	}, []string{"rpcMethod"})
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "moray_request_errors_total", Help: "h"}, []string{"rpcMethod", "error"})
	registerer.MustRegister(latency, failed, monitor.Build{Version: "1.2.3"}.Collector())
	for range 100 {
		latency.WithLabelValues("getObject").Observe(0.003)
	}
	failed.WithLabelValues("getObject", "ObjectNotFoundError").Add(7)
	now := time.Now()
	return &monitor.Monitor{
		Hostname: "vm", PID: 7, Started: now.Add(-90 * time.Minute), Metrics: gatherer,
		Checks: []monitor.Check{
			{Name: "fine", Run: func(context.Context) error { return nil }},
			{Name: "so-so", Run: func(context.Context) error { return monitor.Impaired("a plugin is down") }},
			{Name: "broken", Run: func(context.Context) error { return errors.New("no <b>database</b>") }},
		},
		Slow: func() []monitor.SlowRequest {
			return []monitor.SlowRequest{{
				Time: now, Method: "findObjects", Bucket: "cats", Duration: 1500 * time.Millisecond, SQL: "SELECT 1 " + hostile,
				Phases: monitor.Phases{SQL: time.Second},
			}}
		},
		Kang: func() monitor.Snapshot {
			one := func(kind, id, object string) monitor.Objects {
				return monitor.Objects{Type: kind, ByID: map[string]jsvalue.Value{id: jsvalue.Value(object)}}
			}
			return monitor.Snapshot{
				Requests: []monitor.Request{
					{Conn: 1, ID: 2, Method: hostile, Args: append(jsvalue.AppendString([]byte{'['}, hostile), ']'), Started: now},
					{Conn: 1, ID: 3, Method: "sql", Args: jsvalue.Value(`["SELECT pg_sleep(60)"]`), Started: now.Add(-150 * time.Minute)},
				},
				Others: []monitor.Objects{
					one("cluster", "primary", `{"kind":"patroni","primary":"db1:5432","generation":4,"since":"2026-11-22T07:15:24Z","standby":"","problem":""}`),
					one("pool", "id", `{"state":"running","limit":8,"busy":3,"idle":1,"connecting":0,"retired":0,"own":1,"queueLimit":null,"waitingClaims":5,`+
						`"waitingStatements":0,"waitingClients":2,"oldestWaitMs":1200,"held":{"cats":2},"counters":{"claim-timeout":3},"problem":""}`),
					{Type: "bucket", ByID: map[string]jsvalue.Value{
						"cats": jsvalue.Value(`{"version":2,"indexes":[{"name":"fur","type":"string","unique":true,"reindexing":true}],"pre":["js#1"],"post":[],` +
							`"rows":20000,"bytes":3000000,"reindexing":true,"managed":{"source":"cats.yaml","protected":true},"drift":true,"pending":"","problem":"","asOf":"2026-11-22T07:15:24Z"}`),
						hostile: jsvalue.Value(`{"version":0,"indexes":[],"pre":[],"post":[],"rows":null,"bytes":0,"reindexing":false,"managed":null,"drift":false,` +
							`"pending":"","problem":"the table is gone","asOf":"2026-11-22T07:15:24Z"}`),
					}},
					one("job", "reindex/cats", `{"kind":"reindex","bucket":"cats","indexes":["fur"],"remaining":5000,"atLeast":false,"rows":20000,"by":"servers"}`),
					one("plugin", "audit", `{"name":"audit","state":"crashing","pid":0,"version":"","hooks":[],"restarts":4,"events":0,"calls":9,"errors":2,"memory":0,"error":"exit status 3"}`),
				},
			}
		},
	}
}

// The page shows everything in a browser, and what clients named as they named it, without a word in the console.
func TestStatusPage(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, busy())
	dom := browsertest.Dump(t, "http://"+addr+"/")
	shown := text(dom)
	for _, want := range []string{
		"moray vm/7 version 1.2.3, up 1 h 30 min", "✓ fine", "! so-so: a plugin is down", "✗ broken: no <b>database</b>",
		"follows patroni primary db1:5432 generation 4", "synchronous standby none",
		"3 busy, 1 idle, 0 connecting; at most 8", "5 requests for a connection, 0 statements for a round trip, of 2 clients", "claim-timeout 3",
		"busy for cats 2", "1.2 s longest wait", "reindexing of cats indexes fur: 5000 rows left servers",
		"getObject", "100 7 ObjectNotFoundError", "2 h 30 min sql SELECT pg_sleep(60)", "findObjects cats 1.5 s", "SELECT 1 <img",
		"audit crashing", "exit status 3", "cats v2 20.0 k 2.9 MiB fur string, unique, reindexing pre js#1 cats.yaml, protected",
		"changed by a client since its definition was applied 5000 rows left", "the table is gone",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if !strings.Contains(dom, "<title>✗ moray</title>") {
		t.Error("the title does not say that something is wrong")
	}
	if n := strings.Count(shown, hostile[:20]); n != 4 { // a method and its argument, a bucket, a statement
		t.Errorf("what is hostile is shown %d times, want 4", n)
	}
	if t.Failed() {
		t.Log(shown)
	}
}

// A server with nothing to show, as an original would answer, makes an empty page and no errors.
func TestStatusPageOfNothing(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, &monitor.Monitor{Hostname: "vm", PID: 7, Started: time.Now()})
	shown := text(browsertest.Dump(t, "http://"+addr+"/"))
	for _, want := range []string{"moray vm/7", "no requests yet", "Buckets none, or not read yet"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page does not show %q: %s", want, shown)
		}
	}
}

// The three files ask for nothing that is not the server's own, and come with headers that keep a browser from anything else.
func TestStatusPageFiles(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, &monitor.Monitor{})
	for target, mediaType := range map[string]string{"/": "text/html", "/?x": "text/html", "/status.css": "text/css", "/status.js": "text/javascript"} {
		got := request(t, addr, "GET", target)
		for _, header := range []string{"Content-Type: " + mediaType + "; charset=utf-8", "Content-Security-Policy: default-src 'none'; ", "X-Content-Type-Options: nosniff"} {
			if got.Status != 200 || !strings.Contains(got.Header, header) {
				t.Errorf("GET %s: status %d, want %q in %s", target, got.Status, header, got.Header)
			}
		}
		for _, outside := range []string{"http://", "https://", `"//`, "innerHTML", "eval("} {
			if strings.Contains(got.Body, outside) {
				t.Errorf("%s holds %q", target, outside)
			}
		}
	}
	if got := request(t, addr, "POST", "/"); got.Status != 405 {
		t.Errorf("POST /: status %d, want 405", got.Status)
	}
}
