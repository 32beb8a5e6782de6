package reconcile

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kaizengarden/moray/core/bucket"
)

// ReindexMetrics are those of a [Reindexer]. Nil counts nothing.
type ReindexMetrics struct {
	rows      *prometheus.CounterVec
	remaining *prometheus.GaugeVec
	unfit     *prometheus.GaugeVec
}

// NewReindexMetrics registers the metrics.
func NewReindexMetrics(r prometheus.Registerer) *ReindexMetrics {
	m := &ReindexMetrics{
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moray_reindex_rows_total", Help: "rows that this server reindexed behind the clients' requests",
		}, []string{"bucket"}),
		remaining: gauge("moray_reindex_remaining_rows", "rows that are still to be reindexed, about"),
		unfit:     gauge("moray_reindex_unfit_rows", "rows that cannot be reindexed as they are"),
	}
	r.MustRegister(m.rows, m.remaining, m.unfit)
	return m
}

// jobs shows how far they are.
func (m *ReindexMetrics) jobs(jobs []*bucket.ReindexJob) {
	if m == nil {
		return
	}
	m.remaining.Reset()
	m.unfit.Reset()
	for _, j := range jobs {
		if j.Pending && j.Version != "" {
			m.remaining.WithLabelValues(j.Bucket).Set(float64(j.Left()))
		}
		if j.Pending && j.Unfit > 0 {
			m.unfit.WithLabelValues(j.Bucket).Set(float64(j.Unfit))
		}
	}
}

// done counts rows that were reindexed.
func (m *ReindexMetrics) done(name string, rows int) {
	if m != nil && rows > 0 {
		m.rows.WithLabelValues(name).Add(float64(rows))
	}
}
