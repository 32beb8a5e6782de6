package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// monitored gets a page of the monitor.
func monitored(t *testing.T, server *servertest.Server, path string) string {
	t.Helper()
	response, err := http.Get("http://" + server.Monitor + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, error %v", path, response.StatusCode, err)
	}
	return string(body)
}

// What is counted of requests, under the names and labels of the original; its whole page is compared in core/server.
func TestMetrics(t *testing.T) {
	t.Parallel()
	server := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{})
	client := server.Dial(t, 2)
	for range 3 {
		expect(t, client, "ping", json.RawMessage(`[{"deep":true}]`), "END")
	}
	expect(t, client, "getBucket", json.RawMessage(`[{},"none"]`), "ERROR BucketNotFoundError: none does not exist")
	for _, method := range []string{"deleteBucket", "notify", "putBucket"} {
		expect(t, client, method, json.RawMessage(`[]`), "ERROR FastError: unsupported RPC method: *")
	}
	peer := fasttest.Dial(t, server.Addr)
	peer.Write((&fast.Message{Version: fast.V2, Status: fast.StatusData, ID: 1, Payload: []byte(`{"d":[]}`)}).AppendTo(nil))
	peer.Next()

	body := monitored(t, server, "/metrics")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf(`datacenter="test",server="test",zonename=%q,pid="%d"`, host, os.Getpid())
	for _, line := range []string{
		`fast_requests_completed{rpcMethod="ping",` + own + "} 3\n",
		`fast_requests_completed{rpcMethod="getBucket",` + own + "} 1\n",
		`fast_requests_completed{rpcMethod="unknown",` + own + "} 4\n", // clients do not make up names of series
		`fast_server_request_time_seconds{le="+Inf",rpcMethod="ping",` + own + ",buckets_version=\"1\"} 3\n",
		`moray_request_seconds_bucket{rpcMethod="ping",` + own + ",buckets_version=\"1\",le=\"+Inf\"} 3\n",
	} {
		if !strings.Contains(body, line) {
			t.Errorf("the metrics lack %q:\n%s", line, body)
		}
	}
	// The original cut each request's time to whole milliseconds.
	if zero := `fast_server_request_time_seconds_sum{rpcMethod="unknown",` + own + ",buckets_version=\"1\"} 0\n"; strings.Contains(body, zero) {
		t.Error("four requests took no time")
	}
	for _, made := range []string{"deleteBucket", "notify", "putBucket"} {
		if strings.Contains(body, made) {
			t.Errorf("the metrics have the name %s", made)
		}
	}
}

// kang tells what is going on.
func TestKang(t *testing.T) {
	t.Parallel()
	server := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{})
	client := server.Dial(t, 2)
	expect(t, client, "ping", json.RawMessage(`[{}]`), "END")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { // waited for below
		ended <- client.Call(ctx, "listen", jsvalue.Value(`["chan",{"req_id":"b7e3a9a0-0000-4000-8000-000000000001"}]`), nil)
	}()
	type snapshot struct {
		Service        struct{ Name, Version string }
		Stats          map[string]any
		Types          []string
		Fastconnection map[string]struct {
			Connid    int
			NStarted  int
			Addrinfo  map[string]any
			Draining  bool
			ErrorSock any `json:"errorSocket"`
		}
		Fastrequest map[string]struct {
			Connid, Msgid, Rpcmethod, State string
			Rpcargs                         []any
			Blackholed                      bool
		}
	}
	var shot snapshot
	await(t, "the request in the snapshot", func() bool {
		shot = snapshot{}
		if err := json.Unmarshal([]byte(monitored(t, server, "/kang/snapshot")), &shot); err != nil {
			t.Fatal(err)
		}
		return len(shot.Fastrequest) == 1
	})
	if shot.Service.Name != "moray" || shot.Service.Version != "1.0.0" || strings.Join(shot.Types[:2], " ") != "fastconnection fastrequest" {
		t.Errorf("service %+v, types %q", shot.Service, shot.Types)
	}
	for name, want := range map[string]float64{"nConnectionsActive": 1, "nConnectionsCreated": 1, "nRequestsStarted": 2, "nRequestsCompleted": 1, "nRequestsFailed": 0} {
		if got := shot.Stats[name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	request := shot.Fastrequest["1/2"]
	if got := fmt.Sprint(request); got != "{1 2 listen RUNNING [chan map[req_id:b7e3a9a0-0000-4000-8000-000000000001]] false}" {
		t.Errorf("requests %+v", shot.Fastrequest)
	}
	if c := shot.Fastconnection["1"]; c.Connid != 1 || c.NStarted != 2 || c.Addrinfo["socketType"] != "IPv4" || c.Draining {
		t.Errorf("connections %+v", shot.Fastconnection)
	}
	cancel()
	<-ended
}
