package rpc

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fault"
)

// unknownMethod is the label of requests for methods that do not exist, whose names are up to the client.
const unknownMethod = "unknown"

// maxErrorNames is how many names of errors have series of their own for a method. Hooks may invent names: more than that count as
// otherError.
const (
	maxErrorNames = 40
	otherError    = "other"
)

// Metrics counts requests by method, the first two under the names of the original.
type Metrics struct {
	completed *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	failed    *prometheus.CounterVec
	methods   sync.Map // name -> *methodMetrics, of the methods that were asked for
}

type methodMetrics struct {
	completed prometheus.Counter
	seconds   prometheus.Observer
	failed    *prometheus.CounterVec // with the error's name to be filled in

	mu      sync.Mutex // guards byError
	byError map[string]prometheus.Counter
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
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moray_request_errors_total", Help: "requests that were answered with an error, by its name",
		}, []string{"rpcMethod", "error"}),
	}
	registerer.MustRegister(m.completed, m.seconds, m.failed)
	return m
}

// RequestDone counts one request; it fits [fast.Trace].
func (m *Metrics) RequestDone(r *fast.Request, elapsed time.Duration, err error) {
	method := r.Method
	if methods[method] == nil {
		method = unknownMethod
	}
	of := m.of(method)
	of.completed.Inc()
	of.seconds.Observe(elapsed.Seconds())
	if err != nil && !errors.Is(err, fast.ErrGone) {
		of.fail(err)
	}
}

// of returns the metrics of a method. Methods that nobody asked for have none.
func (m *Metrics) of(method string) *methodMetrics {
	if known, ok := m.methods.Load(method); ok {
		return known.(*methodMetrics)
	}
	of, _ := m.methods.LoadOrStore(method, &methodMetrics{
		completed: m.completed.WithLabelValues(method),
		seconds:   m.seconds.WithLabelValues(method),
		failed:    m.failed.MustCurryWith(prometheus.Labels{"rpcMethod": method}),
		byError:   map[string]prometheus.Counter{},
	})
	return of.(*methodMetrics)
}

// fail counts an error.
func (m *methodMetrics) fail(err error) {
	name := string(fault.Internal)
	if answer := (*fast.Error)(nil); errors.As(err, &answer) {
		name = answer.Name
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	counter := m.byError[name]
	if counter == nil {
		if len(m.byError) >= maxErrorNames {
			name = otherError
		}
		counter = m.failed.WithLabelValues(name)
		m.byError[name] = counter
	}
	counter.Inc()
}
