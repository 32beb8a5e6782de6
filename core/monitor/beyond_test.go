package monitor_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/core/monitor"
)

// Slow requests are objects of the snapshot, numbered, whatever is in them.
func TestSlowRequests(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, &monitor.Monitor{Slow: func() []monitor.SlowRequest {
		return []monitor.SlowRequest{
			{
				Time: clock(t, "2026-11-22T07:15:24.4Z"), ID: "a", Method: "findObjects", Bucket: "b", Client: "127.0.0.1:7",
				Duration: 1500 * time.Millisecond, SQL: "SELECT </script>\xff",
				Phases: monitor.Phases{Queue: 250 * time.Microsecond, SQL: time.Second, Hooks: 3 * time.Millisecond},
			},
			{ID: "a", Error: "QueryTimeoutError"},
		}
	}})
	var got struct {
		Types       []string
		SlowRequest map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(request(t, addr, "GET", "/kang/snapshot").Body), &got); err != nil {
		t.Fatal(err)
	}
	if want := []string{"fastconnection", "fastrequest", "slowrequest"}; !cmp.Equal(want, got.Types) {
		t.Errorf("types are %q, want %q", got.Types, want)
	}
	want := map[string]any{
		"time": "2026-11-22T07:15:24.400Z", "req_id": "a", "rpcmethod": "findObjects", "bucket": "b", "client": "127.0.0.1:7",
		"ms": 1500., "queue_ms": 0.25, "sql_ms": 1000., "hooks_ms": 3., "sql": "SELECT </script>\ufffd", "error": "",
	}
	if diff := cmp.Diff(want, got.SlowRequest["1"]); diff != "" {
		t.Errorf("the first (-want +got):\n%s", diff)
	}
	if second := got.SlowRequest["2"]; second["error"] != "QueryTimeoutError" || len(got.SlowRequest) != 2 {
		t.Errorf("all: %v", got.SlowRequest)
	}
}

// Profiles are served where they are asked for, and to GET alone.
func TestProfiles(t *testing.T) {
	t.Parallel()
	without, _ := start(t, &monitor.Monitor{})
	with, _ := start(t, &monitor.Monitor{Profiles: true})
	for line, want := range map[string]struct {
		status int
		text   string
	}{
		"GET /debug/pprof/":                   {200, "goroutine"},
		"GET /debug/pprof/goroutine?debug=1":  {200, "goroutine profile: total"},
		"GET /debug/pprof/profile?seconds=-1": {400, "seconds should be a number up to 300"},
		"GET /debug/pprof/trace?seconds=1e9":  {400, "seconds should be a number up to 300"},
		"GET /debug/pprof/heap?seconds=NaN":   {400, "seconds should be a number up to 300"},
		"GET /debug/pprof/cmdline":            {404, "/debug/pprof/cmdline does not exist"},
		"GET /debug/pprof/nothing":            {404, "Unknown profile"},
		"GET /debug/pprof":                    {404, "/debug/pprof does not exist"},
		"POST /debug/pprof/symbol":            {405, "POST is not allowed"},
	} {
		method, target, _ := strings.Cut(line, " ")
		if got := request(t, with, method, target); got.Status != want.status || !strings.Contains(got.Body, want.text) {
			t.Errorf("%s: %d %s", line, got.Status, got.Body)
		}
		if got := request(t, without, method, target); got.Status != 404 {
			t.Errorf("%s where profiles are off: %d %s", line, got.Status, got.Body)
		}
	}
}

// What is far too long, or no HTTP at all, is refused, and the server goes on.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, &monitor.Monitor{})
	long := strings.Repeat("x", 100<<10)
	for target, want := range map[string]int{
		"/readyz?" + long:              431,
		"/" + long:                     431,
		"/metrics?" + long[:8<<10]:     200,
		"/healthz?a=%zz":               200,
		"/kang/../../../etc/passwd":    404,
		"/%2e%2e/%2e%2e/etc/passwd":    404,
		"/status.js/../monitor.go":     404,
		"http://elsewhere.invalid/x":   404,
		"/<script>alert(1)</script>":   404,
		"/kang/snapshot%00":            404,
		"/kang/snapshot?" + "&a=b;c=d": 200,
	} {
		if got := request(t, addr, "GET", target); got.Status != want {
			t.Errorf("GET %.60s: status %d, want %d", target, got.Status, want)
		} else if want == 404 && strings.Contains(got.Header, "html") {
			t.Errorf("GET %.60s is answered as HTML: %s", target, got.Header)
		}
	}
	if got := request(t, addr, "GET", "/healthz"); got.Status != 200 {
		t.Errorf("afterwards: %v", fmt.Sprint(got))
	}
}
