package monitor

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Labels stand on every series of a server.
type Labels struct {
	Datacenter string
	Server     string // identity of the machine
	Zonename   string // the host's name
	PID        int
	Service    string // left out if empty
}

// NewRegistry returns an empty registry: metrics that are registered with the registerer get the labels and come out of the
// gatherer.
func NewRegistry(l Labels) (prometheus.Registerer, prometheus.Gatherer) {
	labels := prometheus.Labels{
		"datacenter": l.Datacenter,
		"server":     l.Server,
		"zonename":   l.Zonename,
		"pid":        strconv.Itoa(l.PID),
	}
	if l.Service != "" {
		labels["service"] = l.Service
	}
	registry := prometheus.NewRegistry()
	return prometheus.WrapRegistererWith(labels, registry), registry
}

// LatencyBounds returns the upper bounds of the original's histograms of latency, in seconds, without +Inf. They are what
// the label buckets_version="1" stands for.
func LatencyBounds() []float64 {
	return []float64{
		0.0002, 0.0004, 0.0006, 0.0008, 0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
		0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100,
	}
}
