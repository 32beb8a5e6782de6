package monitor_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/kaizengarden/moray/core/monitor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs m on a port of its own until stop is called, which returns what Run returned. Fields that a test does not care
// for are filled in.
func start(t *testing.T, m *monitor.Monitor) (addr string, stop func() error) {
	t.Helper()
	if m.Metrics == nil {
		m.Metrics = prometheus.NewRegistry()
	}
	if m.Kang == nil {
		m.Kang = func() monitor.Snapshot { return monitor.Snapshot{} }
	}
	if m.Log == nil {
		m.Log = slog.New(slog.DiscardHandler)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx, ln) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return ln.Addr().String(), stop
}

// answer is what a client sees; headers that HTTP itself needs are left out.
type answer struct {
	Status int
	Header string
	Body   string
}

// request sends one request as it stands and closes the connection.
func request(t *testing.T, addr, method, target string) answer {
	t.Helper()
	a, err := tryRequest(addr, method, target)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func tryRequest(addr, method, target string) (answer, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", method, target)
	r, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", method, target, err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", method, target, err)
	}
	for _, name := range []string{"Date", "Content-Length", "Connection"} {
		r.Header.Del(name)
	}
	var header strings.Builder
	r.Header.Write(&header)
	return answer{r.StatusCode, header.String(), string(body)}, nil
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	registerer, gatherer := monitor.NewRegistry(monitor.Labels{Datacenter: "dc", Server: "s", Zonename: "vm", PID: 7})
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "request_queue_depth", Help: "number of queued requests"})
	registerer.MustRegister(gauge)
	gauge.Set(3)
	addr, _ := start(t, &monitor.Monitor{Metrics: gatherer})

	const (
		server = "Server: Monitor\r\n"
		asJSON = "Content-Type: application/json\r\n" + server
	)
	metrics := answer{
		200, "Content-Type: text/plain; version=0.0.4\r\n" + server,
		`# HELP postgres_connections_open count of open postgres connections
# TYPE postgres_connections_open gauge
# HELP postgres_connections_pending count of pending postgres connections
# TYPE postgres_connections_pending gauge
# HELP postgres_connections_available count of available postgres connections
# TYPE postgres_connections_available gauge
# HELP request_queue_depth number of queued requests
# TYPE request_queue_depth gauge
request_queue_depth{datacenter="dc",server="s",zonename="vm",pid="7"} 3
# HELP postgres_standalone_connections_open count of open standalone postgres connections
# TYPE postgres_standalone_connections_open gauge
# HELP cueball_events Total number of cueball error events
# TYPE cueball_events counter
# HELP fast_requests_completed count of fast requests completed
# TYPE fast_requests_completed counter
# HELP fast_server_request_time_seconds total time to process fast requests
# TYPE fast_server_request_time_seconds histogram
`,
	}
	noKang := answer{404, server, ""}
	missing := func(path string) answer {
		return answer{404, asJSON, `{"code":"ResourceNotFound","message":"` + path + ` does not exist"}`}
	}
	refused := func(method string) answer {
		return answer{405, "Allow: GET\r\n" + asJSON, `{"code":"MethodNotAllowed","message":"` + method + ` is not allowed"}`}
	}
	for line, want := range map[string]answer{
		"GET /metrics":         metrics,
		"GET /metrics/":        metrics,
		"GET /metrics?x=1":     metrics,
		"GET /kang/schema":     {200, asJSON, "{}"},
		"GET /kang/snapshot/":  noKang,
		"GET /kang/":           noKang,
		"GET /kang/x%2fy":      noKang,
		"GET /kang":            missing("/kang"),
		"GET //metrics":        missing("//metrics"),
		"GET /a%22b/../c?d":    missing("/a%22b/../c"),
		"GET /Metrics":         missing("/Metrics"),
		"POST /x":              missing("/x"),
		"HEAD /x":              {404, asJSON, ""},
		"OPTIONS *":            missing("*"),
		"POST /metrics":        refused("POST"),
		"OPTIONS /metrics":     refused("OPTIONS"),
		"HEAD /metrics":        {405, "Allow: GET\r\n" + asJSON, ""},
		"PUT /kang/snapshot":   refused("PUT"),
		"DELETE /kang/unknown": refused("DELETE"),
		"BREW /healthz":        refused("BREW"),
		"GET /healthz":         {200, "Content-Type: text/plain; charset=utf-8\r\n" + server, "ok"},
		"GET /readyz":          {200, asJSON, `{"ready":true,"checks":{}}`},
		"POST /readyz":         refused("POST"),
	} {
		method, target, _ := strings.Cut(line, " ")
		if diff := cmp.Diff(want, request(t, addr, method, target)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, &monitor.Monitor{
		CheckTimeout: time.Millisecond,
		Checks: []monitor.Check{
			{Name: "fine", Run: func(context.Context) error { return nil }},
			{Name: "down", Run: func(context.Context) error { return errors.New(`connect "refused"`) }},
			{Name: "hangs", Run: func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			}},
			{Name: "broken", Run: func(context.Context) error { panic("oh") }},
		},
	})
	want := answer{503, "Content-Type: application/json\r\nServer: Monitor\r\n", `{"ready":false,"checks":{` +
		`"fine":{"ok":true},` +
		`"down":{"ok":false,"message":"connect \"refused\""},` +
		`"hangs":{"ok":false,"message":"context deadline exceeded"},` +
		`"broken":{"ok":false,"message":"the check panics: oh"}}}`}
	if diff := cmp.Diff(want, request(t, addr, "GET", "/readyz")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// However many ask, the database is asked once at a time.
func TestProbesShareChecks(t *testing.T) {
	t.Parallel()
	const probes = 20
	var running, most atomic.Int32
	var sent sync.WaitGroup
	sent.Add(probes)
	addr, _ := start(t, &monitor.Monitor{Checks: []monitor.Check{{Name: "counts", Run: func(context.Context) error {
		defer running.Add(-1)
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		sent.Wait()
		return nil
	}}}})
	var all sync.WaitGroup
	for range probes {
		all.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				sent.Done()
				return
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET /readyz HTTP/1.0\r\n\r\n")
			sent.Done()
			if text, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(text), "HTTP/1.0 200 ") {
				t.Errorf("got %q, %v, want status 200", text, err)
			}
		})
	}
	all.Wait()
	if most.Load() != 1 {
		t.Errorf("%d runs of the check at once, want 1", most.Load())
	}
}

// A request in progress is answered although the server is told to stop; new ones are not.
func TestStop(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	var log bytes.Buffer
	addr, stop := start(t, &monitor.Monitor{
		Log: slog.New(slog.NewTextHandler(&log, nil)),
		Checks: []monitor.Check{{Name: "slow", Run: func(context.Context) error {
			close(entered)
			<-release
			return nil
		}}},
	})
	answered := make(chan answer, 1)
	go func() {
		a, err := tryRequest(addr, "GET", "/readyz")
		if err != nil {
			t.Error(err)
		}
		answered <- a
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for { // until the listener is closed
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		conn.Close()
	}
	select {
	case err := <-stopped:
		t.Errorf("Run returned %v while a request was in progress", err)
	default:
	}
	close(release)
	if got := <-answered; got.Status != 200 {
		t.Errorf("the request in progress got %+v, want status 200", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
	_, port, _ := net.SplitHostPort(addr)
	if want := `level=INFO msg="monitoring server started on port ` + port + `"`; !strings.Contains(log.String(), want) {
		t.Errorf("log is %q, want %s in it", log.String(), want)
	}
}

func TestListenerFails(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	m := monitor.Monitor{Log: slog.New(slog.DiscardHandler)}
	if err := m.Run(t.Context(), ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run on a closed listener: %v, want %v", err, net.ErrClosed)
	}
}
