package reconcile

import "github.com/prometheus/client_golang/prometheus"

// Metrics are those of a [Reconciler]. Nil counts nothing.
type Metrics struct {
	outcomes *prometheus.CounterVec
	changes  prometheus.Counter
	defined  prometheus.Gauge
	lastDone prometheus.Gauge
	pending  *prometheus.GaugeVec
	drifted  *prometheus.GaugeVec
}

// gauge makes a metric with a value a bucket.
func gauge(name, help string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"bucket"})
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moray_reconcile_total", Help: "looks at the definitions of buckets, by outcome: done, pending, invalid, failed",
		}, []string{"outcome"}),
		changes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "moray_reconcile_changes_total", Help: "buckets that this server changed as their definitions say",
		}),
		defined: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "moray_reconcile_definitions", Help: "definitions of buckets in the files of this server",
		}),
		lastDone: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "moray_reconcile_done_timestamp_seconds", Help: "when all that this server may do was last done",
		}),
		pending: gauge("moray_bucket_pending", "buckets whose definitions are not applied, because somebody has to allow it or the file is older"),
		drifted: gauge("moray_bucket_drift", "managed buckets that a client changed since their definitions were applied"),
	}
	r.MustRegister(m.outcomes, m.changes, m.defined, m.lastDone, m.pending, m.drifted)
	return m
}

// outcome counts a look at the definitions.
func (m *Metrics) outcome(s Status, outcome string) {
	if m == nil {
		return
	}
	m.outcomes.WithLabelValues(outcome).Inc()
	m.defined.Set(float64(s.Defined))
	if !s.Done.IsZero() {
		m.lastDone.Set(float64(s.Done.UnixMilli()) / 1000)
	}
	set := func(gauge *prometheus.GaugeVec, buckets map[string]string) {
		gauge.Reset()
		for name := range buckets {
			gauge.WithLabelValues(name).Set(1)
		}
	}
	set(m.pending, s.Pending)
	set(m.drifted, s.Drift)
}

func (m *Metrics) applied() {
	if m != nil {
		m.changes.Inc()
	}
}
