package monitor_test

import (
	"os"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/kaizengarden/moray/core/monitor"
)

// The page of the original, for what it had counted when it was recorded, is the beginning of ours, byte by byte.
func TestMetricsOfOriginal(t *testing.T) {
	t.Parallel()
	registerer, gatherer := monitor.NewRegistry(monitor.Labels{Datacenter: "standalone", Server: "fake-standalone-uuid", Zonename: "vm", PID: 25896})
	for name, help := range map[string]string{
		"postgres_connections_open":             "count of open postgres connections",
		"postgres_connections_pending":          "count of pending postgres connections",
		"postgres_connections_available":        "count of available postgres connections",
		"postgres_standalone_connections_open":  "count of open standalone postgres connections",
		"request_queue_depth":                   "number of queued requests",
		"moray_what_the_original_does_not_have": "comes last",
	} {
		gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		registerer.MustRegister(gauge)
		gauge.Set(map[string]float64{"postgres_connections_open": 2, "postgres_connections_available": 1, "postgres_standalone_connections_open": 1}[name])
	}
	completed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fast_requests_completed", Help: "count of fast requests completed",
	}, []string{"rpcMethod"})
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "fast_server_request_time_seconds", Help: "total time to process fast requests",
		ConstLabels: prometheus.Labels{"buckets_version": "1"}, Buckets: monitor.LatencyBounds(),
	}, []string{"rpcMethod"})
	registerer.MustRegister(completed, latency)
	for _, seconds := range []float64{0, 0, 0.004, 0.006} { // the calls that were recorded
		completed.WithLabelValues("ping").Inc()
		latency.WithLabelValues("ping").Observe(seconds)
	}

	recorded, err := os.ReadFile("testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := start(t, &monitor.Monitor{Metrics: gatherer})
	got, ours, _ := strings.Cut(request(t, addr, "GET", "/metrics").Body, "# HELP moray_")
	if diff := gocmp.Diff(string(recorded), got); diff != "" {
		t.Errorf("the page (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(ours, "request_seconds total time") || strings.Count(ours, "moray_request_seconds_bucket{") != 31 {
		t.Errorf("behind it: %s", ours)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(got + "# HELP moray_" + ours)); err != nil {
		t.Errorf("the page: %v", err)
	}
}

func TestServiceLabel(t *testing.T) {
	t.Parallel()
	registerer, gatherer := monitor.NewRegistry(monitor.Labels{Datacenter: "d", Server: "s", Zonename: `a"b\`, PID: 1, Service: "1.moray"})
	registerer.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "c", Help: "h"}))
	addr, _ := start(t, &monitor.Monitor{Metrics: gatherer})
	want := "# HELP c h\n# TYPE c counter\n" + `c{datacenter="d",server="s",zonename="a\"b\\",pid="1",service="1.moray"} 0` + "\n"
	if got := request(t, addr, "GET", "/metrics").Body; !strings.HasSuffix(got, "\n"+want) {
		t.Errorf("got  %swant at the end %s", got, want)
	}
}

func TestMetricsFail(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "broken"}, func() float64 { return 0 }))
	gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		return prometheus.Gatherers{registry, registry}.Gather() // everything twice
	})
	addr, _ := start(t, &monitor.Monitor{Metrics: gather})
	got := request(t, addr, "GET", "/metrics")
	if got.Status != 500 || !strings.Contains(got.Body, `{"code":"InternalError","message":"`) {
		t.Errorf("got %+v, want status 500 and an InternalError", got)
	}
}
