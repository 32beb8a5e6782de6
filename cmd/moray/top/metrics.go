package top

import (
	"maps"
	"math"
	"slices"

	dto "github.com/prometheus/client_model/go"
)

// histogram is a latency: how many took at most so many seconds.
type histogram struct {
	count  float64
	bounds map[float64]float64 // cumulative
}

// since returns what was counted after before.
func (h histogram) since(before histogram) histogram {
	d := histogram{count: h.count - before.count, bounds: map[float64]float64{}}
	for bound, n := range h.bounds {
		d.bounds[bound] = n - before.bounds[bound]
	}
	return d
}

// quantile estimates how long the fraction q took at most, in seconds, as Prometheus does: evenly within a bucket. It is nil without
// requests.
func (h histogram) quantile(q float64) *float64 {
	if h.count <= 0 {
		return nil
	}
	rank, low, below := q*h.count, 0., 0.
	for _, bound := range slices.Sorted(maps.Keys(h.bounds)) {
		n := h.bounds[bound]
		if n >= rank && !math.IsInf(bound, 1) {
			if n > below {
				low += (bound - low) * (rank - below) / (n - below)
			}
			return &low
		}
		if !math.IsInf(bound, 1) {
			low, below = bound, n
		}
	}
	return &low
}

// histograms returns those of a metric, added up by a label.
func (l *look) histograms(name, label string) map[string]histogram {
	all := map[string]histogram{}
	for _, m := range l.metrics[name].GetMetric() {
		key := labelOf(m, label)
		h, ok := all[key]
		if !ok {
			h.bounds = map[float64]float64{}
		}
		h.count += float64(m.GetHistogram().GetSampleCount())
		for _, b := range m.GetHistogram().GetBucket() {
			h.bounds[b.GetUpperBound()] += float64(b.GetCumulativeCount())
		}
		all[key] = h
	}
	return all
}

// counters returns those of a metric, added up by a label.
func (l *look) counters(name, label string) map[string]float64 {
	all := map[string]float64{}
	for _, m := range l.metrics[name].GetMetric() {
		all[labelOf(m, label)] += m.GetCounter().GetValue()
	}
	return all
}

// label returns a label of a metric that has one series, or "".
func (l *look) label(name, label string) string {
	for _, m := range l.metrics[name].GetMetric() {
		return labelOf(m, label)
	}
	return ""
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
