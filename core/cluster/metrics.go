package cluster

import "github.com/prometheus/client_golang/prometheus"

// Collector returns the metrics of a resolver.
func Collector(r Resolver) prometheus.Collector { return collector{r} }

type collector struct{ resolver Resolver }

var (
	primaryDesc = prometheus.NewDesc("moray_cluster_primary",
		"1 for the server that is the primary", []string{"kind", "address"}, nil)
	generationDesc = prometheus.NewDesc("moray_cluster_generation",
		"generation of the cluster's state, or timeline of the primary", nil, nil)
	sinceDesc = prometheus.NewDesc("moray_cluster_primary_since_timestamp_seconds",
		"when the primary was chosen, in seconds since the epoch", nil, nil)
	changesDesc = prometheus.NewDesc("moray_cluster_primary_changes_total",
		"count of changes of the primary, its first choice included", nil, nil)
	ignoredDesc = prometheus.NewDesc("moray_cluster_states_ignored_total",
		"count of cluster states that were refused", nil, nil)
	connectedDesc = prometheus.NewDesc("moray_cluster_connected",
		"1 while the source of the cluster's state answers", nil, nil)
	followedDesc = prometheus.NewDesc("moray_cluster_followed",
		"1 while what the source says is followed", nil, nil)
	standbyDesc = prometheus.NewDesc("moray_cluster_sync_standby",
		"1 while there is a synchronous standby: without one, what is acknowledged is on one machine only", nil, nil)
)

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		primaryDesc, generationDesc, sinceDesc, changesDesc, ignoredDesc, connectedDesc, followedDesc, standbyDesc,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	s := c.resolver.Status()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	if s.Primary != "" {
		gauge(primaryDesc, 1, s.Kind, s.Primary)
		gauge(sinceDesc, float64(s.Since.UnixMilli())/1000)
	}
	gauge(generationDesc, float64(s.Generation))
	to <- prometheus.MustNewConstMetric(changesDesc, prometheus.CounterValue, float64(s.Changes))
	to <- prometheus.MustNewConstMetric(ignoredDesc, prometheus.CounterValue, float64(s.Ignored))
	gauge(followedDesc, truth(s.Problem == ""))
	if s.Kind != static { // which has no source, and knows no standbys
		gauge(connectedDesc, truth(s.Connected != ""))
		gauge(standbyDesc, truth(s.Standby != ""))
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
