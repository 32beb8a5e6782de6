package monitor_test

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/kaizengarden/moray/core/monitor"
)

// The metrics of requests, registered as a server does, have the recorded names, types, help texts, labels and buckets.
func TestMetricsOfOriginal(t *testing.T) {
	t.Parallel()
	registerer, gatherer := monitor.NewRegistry(monitor.Labels{Datacenter: "standalone", Server: "fake-standalone-uuid", Zonename: "vm", PID: 25896})
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
	want := parse(t, string(recorded))
	addr, _ := start(t, &monitor.Monitor{Metrics: gatherer})
	got := parse(t, request(t, addr, "GET", "/metrics").Body)
	if len(got) != 2 || len(want) != 2 {
		t.Errorf("%d metrics, recorded are %d, want 2", len(got), len(want))
	}
	for name := range want {
		if diff := gocmp.Diff(want[name].String(), got[name].String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// parse returns the metrics of a page, with their labels in the order of their names, which means nothing to Prometheus.
func parse(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) })
		}
	}
	return families
}

func TestServiceLabel(t *testing.T) {
	t.Parallel()
	registerer, gatherer := monitor.NewRegistry(monitor.Labels{Datacenter: "d", Server: "s", Zonename: `a"b\`, PID: 1, Service: "1.moray"})
	registerer.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "c", Help: "h"}))
	addr, _ := start(t, &monitor.Monitor{Metrics: gatherer})
	want := "# HELP c h\n# TYPE c counter\n" + `c{datacenter="d",pid="1",server="s",service="1.moray",zonename="a\"b\\"} 0` + "\n"
	if got := request(t, addr, "GET", "/metrics").Body; got != want {
		t.Errorf("got  %swant %s", got, want)
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
