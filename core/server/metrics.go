package server

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/monitor"
)

// register registers the metrics of the process, and of what parts count without metrics of their own.
func (s *Server) register(r prometheus.Registerer, build monitor.Build) {
	gauge := func(name, help string, value func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	clients := func(name, help string, value func(*fast.Stats) uint64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 {
			stats := s.fast.Stats()
			return float64(value(&stats))
		}))
	}
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build.Collector())
	gauge("moray_connections", "open connections of clients", func() float64 { return float64(s.fast.Stats().ConnectionsActive) })
	gauge("moray_requests_in_flight", "requests that are not answered yet, listens among them", func() float64 {
		stats := s.fast.Stats()
		return float64(stats.RequestsStarted - stats.RequestsCompleted)
	})
	gauge("moray_bucket_definitions_cached", "definitions of buckets in memory", func() float64 { return float64(s.buckets.Cache.Len()) })
	clients("moray_connections_accepted_total", "connections of clients, those that ended included",
		func(s *fast.Stats) uint64 { return s.ConnectionsCreated })
	clients("moray_received_bytes_total", "bytes that clients have sent", func(s *fast.Stats) uint64 { return s.BytesReceived })
	clients("moray_sent_bytes_total", "bytes that were sent to clients", func(s *fast.Stats) uint64 { return s.BytesSent })
	clients("moray_aborts_ignored_total", "messages that ask to abort a request, which old clients send",
		func(s *fast.Stats) uint64 { return s.AbortsIgnored })
}
