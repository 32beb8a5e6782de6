package hooks

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what hooks do. There are series for buckets that have hooks only.
type metrics struct {
	registerer prometheus.Registerer
	calls      *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	restarts   *prometheus.CounterVec
}

// pluginMetrics are those of one plugin; the counts are for kang.
type pluginMetrics struct {
	restarts      prometheus.Counter
	calls, errors atomic.Uint64
}

// hookMetrics are those of one hook of one bucket.
type hookMetrics struct {
	plugin  *pluginMetrics
	seconds prometheus.Observer
	ok      prometheus.Counter
	calls   *prometheus.CounterVec // with the outcome to be filled in
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		registerer: registerer,
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moray_hook_calls_total", Help: "calls of hooks, by how they ended: ok, or the kind of error",
		}, []string{"plugin", "hook", "phase", "bucket", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "moray_hook_seconds", Help: "time that hooks take, their own SQL included",
			Buckets: []float64{0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30},
		}, []string{"plugin", "bucket"}),
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moray_plugin_restarts_total", Help: "how often a plugin ended, or did not start",
		}, []string{"plugin"}),
	}
	if registerer != nil {
		registerer.MustRegister(m.calls, m.seconds, m.restarts)
	}
	return m
}

func (m *metrics) of(plugin string) *pluginMetrics {
	return &pluginMetrics{restarts: m.restarts.WithLabelValues(plugin)}
}

// hook returns the metrics of a hook.
func (m *metrics) hook(p *place, of *pluginMetrics) *hookMetrics {
	calls := m.calls.MustCurryWith(prometheus.Labels{"plugin": p.plugin, "hook": p.hook, "phase": p.phase, "bucket": p.bucket})
	return &hookMetrics{
		plugin: of, seconds: m.seconds.WithLabelValues(p.plugin, p.bucket), calls: calls, ok: calls.WithLabelValues(string(accepted)),
	}
}

// done counts one call.
func (h *hookMetrics) done(k kind, took time.Duration) {
	h.seconds.Observe(took.Seconds())
	if h.plugin != nil {
		h.plugin.calls.Add(1)
	}
	if k == accepted {
		h.ok.Inc()
		return
	}
	h.calls.WithLabelValues(string(k)).Inc()
	if h.plugin != nil && k != rejected && k != refused {
		h.plugin.errors.Add(1)
	}
}

// watch registers what is looked up when it is asked for.
func (m *metrics) watch(manager *Manager) {
	if m.registerer == nil {
		return
	}
	for _, p := range manager.plugins {
		gauge := func(name, help string, value func() float64) {
			m.registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: name, Help: help, ConstLabels: prometheus.Labels{"plugin": p.Name},
			}, value))
		}
		gauge("moray_plugin_up", "1 while the plugin is running", func() float64 {
			if p.Status().State == Running {
				return 1
			}
			return 0
		})
		gauge("moray_plugin_events", "events under way in the plugin", func() float64 { return float64(len(p.slots)) })
		gauge("moray_plugin_memory_bytes", "memory that the plugin has in use", func() float64 { return float64(p.Status().Memory) })
	}
}
