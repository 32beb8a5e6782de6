package rpc

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kaizengarden/moray/core/fast"
)

// unknownMethod is the label of requests for methods that do not exist, whose names are up to the client.
const unknownMethod = "unknown"

// Metrics counts requests by method, under the names of the original.
type Metrics struct {
	completed *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	methods   sync.Map // name -> *methodMetrics, of the methods that were asked for
}

type methodMetrics struct {
	completed prometheus.Counter
	seconds   prometheus.Observer
}

// NewMetrics registers the metrics. bounds are the upper bounds of the latencies, in seconds.
func NewMetrics(registerer prometheus.Registerer, bounds []float64) *Metrics {
	m := &Metrics{
		completed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fast_requests_completed", Help: "count of fast requests completed",
		}, []string{"rpcMethod"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fast_server_request_time_seconds", Help: "total time to process fast requests",
			ConstLabels: prometheus.Labels{"buckets_version": "1"}, Buckets: bounds,
		}, []string{"rpcMethod"}),
	}
	registerer.MustRegister(m.completed, m.seconds)
	return m
}

// RequestDone counts one request; it fits [fast.Trace].
func (m *Metrics) RequestDone(r *fast.Request, elapsed time.Duration, _ error) {
	method := r.Method
	if methods[method] == nil {
		method = unknownMethod
	}
	of := m.of(method)
	of.completed.Inc()
	of.seconds.Observe(elapsed.Seconds())
}

// of returns the metrics of a method. Methods that nobody asked for have none.
func (m *Metrics) of(method string) *methodMetrics {
	if known, ok := m.methods.Load(method); ok {
		return known.(*methodMetrics)
	}
	of := &methodMetrics{m.completed.WithLabelValues(method), m.seconds.WithLabelValues(method)}
	m.methods.Store(method, of)
	return of
}
