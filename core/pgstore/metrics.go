package pgstore

import "github.com/prometheus/client_golang/prometheus"

// metrics of the pool, with the names that the original gave them.
type metrics struct {
	events  *prometheus.CounterVec
	listens prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer, of func() *pool) *metrics {
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cueball_events", Help: "Total number of cueball error events",
		}, []string{"type", "evt"}),
		listens: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "postgres_standalone_connections_open", Help: "count of open standalone postgres connections",
		}),
	}
	if registerer == nil {
		return m
	}
	gauge := func(name, help string, value func(*pool) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			p := of()
			p.mu.Lock()
			defer p.mu.Unlock()
			return float64(value(p))
		})
	}
	registerer.MustRegister(m.events, m.listens,
		gauge("postgres_connections_open", "count of open postgres connections", func(p *pool) int { return len(p.conns) + p.connecting() }),
		gauge("postgres_connections_pending", "count of pending postgres connections", func(p *pool) int { return p.connecting() }),
		gauge("postgres_connections_available", "count of available postgres connections", func(p *pool) int { return len(p.idle) }),
		gauge("request_queue_depth", "number of queued requests", func(p *pool) int { return p.queue.n }),
	)
	return m
}

func (m *metrics) event(name string) { m.events.WithLabelValues("error", name).Inc() }
