package rpc_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/rpc"
)

// Clients name methods, and hooks name errors: neither makes more than so many series.
func TestMetricsAreBounded(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m := rpc.NewMetrics(registry, []float64{1})
	for i := range 1000 {
		m.RequestDone(&fast.Request{Method: fmt.Sprint("odd", i)}, time.Millisecond, &fast.Error{Name: "FastError"})
		m.RequestDone(&fast.Request{Method: "putObject"}, time.Millisecond, fmt.Errorf("batch: %w", &fast.Error{Name: fmt.Sprint("Odd", i)}))
		m.RequestDone(&fast.Request{Method: "getObject"}, time.Millisecond, nil)
	}
	m.RequestDone(&fast.Request{Method: "getObject"}, time.Millisecond, errors.New("a mistake of ours"))
	m.RequestDone(&fast.Request{Method: "listen"}, time.Millisecond, fast.ErrGone)

	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	series := map[string]int{}
	for _, f := range families {
		series[f.GetName()] = len(f.Metric)
		for _, metric := range f.Metric {
			name := f.GetName()
			for _, l := range metric.Label {
				name += " " + l.GetValue()
			}
			got[name] = metric.GetCounter().GetValue()
		}
	}
	if n := series["fast_requests_completed"]; n != 4 {
		t.Errorf("%d series of requests, want unknown, putObject, getObject, listen", n)
	}
	if n := series["moray_request_errors_total"]; n > 50 {
		t.Errorf("%d series of errors", n)
	}
	for name, want := range map[string]float64{
		"fast_requests_completed unknown":                    1000,
		"fast_requests_completed getObject":                  1001,
		"moray_request_errors_total FastError unknown":       1000,
		"moray_request_errors_total Odd0 putObject":          1,
		"moray_request_errors_total other putObject":         960,
		"moray_request_errors_total InternalError getObject": 1,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}
