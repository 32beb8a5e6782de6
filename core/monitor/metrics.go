package monitor

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"
)

// original are the metrics of the original, in the order of its page.
var original = []struct{ name, kind, help string }{
	{"postgres_connections_open", "gauge", "count of open postgres connections"},
	{"postgres_connections_pending", "gauge", "count of pending postgres connections"},
	{"postgres_connections_available", "gauge", "count of available postgres connections"},
	{"request_queue_depth", "gauge", "number of queued requests"},
	{"postgres_standalone_connections_open", "gauge", "count of open standalone postgres connections"},
	{"cueball_events", "counter", "Total number of cueball error events"},
	{"fast_requests_completed", "counter", "count of fast requests completed"},
	{"fast_server_request_time_seconds", "histogram", "total time to process fast requests"},
}

// labelOrder has the labels that stand behind those of a metric itself, in the original's order.
var labelOrder = map[string]int{"datacenter": 1, "server": 2, "zonename": 3, "pid": 4, "service": 5, "buckets_version": 6}

func (m *Monitor) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	families, err := m.Metrics.Gather()
	var body bytes.Buffer
	if err == nil {
		err = writeMetrics(&body, families)
	}
	if err != nil {
		refuse(w, http.StatusInternalServerError, "InternalError", err.Error())
		return
	}
	// Exactly this type is what scrapers of the original know; the newer parameters of the format are left out.
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	w.Write(body.Bytes())
}

// The original writes the buckets of its histogram under the histogram's own name, where tools of today do not look for them. So it
// stands on the page a second time, under a name of ours and in their form.
const (
	latency    = "fast_server_request_time_seconds"
	ourLatency = "moray_request_seconds"
)

// writeMetrics writes the metrics as text: first those of the original, which stand there with their comments also before there
// is anything to count, then the others by name.
func writeMetrics(w io.Writer, families []*dto.MetricFamily) error {
	byName := map[string]*dto.MetricFamily{}
	for _, f := range families {
		arrangeLabels(f)
		byName[f.GetName()] = f
	}
	for _, o := range original {
		f := byName[o.name]
		delete(byName, o.name)
		var err error
		switch {
		case f == nil:
			_, err = fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", o.name, o.help, o.name, o.kind)
		case o.name == latency:
			err = writeOriginalHistogram(w, f)
			byName[ourLatency] = &dto.MetricFamily{Name: proto.String(ourLatency), Help: f.Help, Type: f.Type, Metric: f.Metric}
		default:
			_, err = expfmt.MetricFamilyToText(w, f)
		}
		if err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if _, err := expfmt.MetricFamilyToText(w, byName[name]); err != nil {
			return err
		}
	}
	return nil
}

func arrangeLabels(f *dto.MetricFamily) {
	for _, m := range f.Metric {
		m.Label = slices.Clone(m.Label) // it is shared with the metric that was gathered
		slices.SortStableFunc(m.Label, func(a, b *dto.LabelPair) int {
			return cmp.Compare(labelOrder[a.GetName()], labelOrder[b.GetName()])
		})
	}
}

// writeOriginalHistogram writes a histogram as the original does.
func writeOriginalHistogram(w io.Writer, f *dto.MetricFamily) error {
	name := f.GetName()
	text := fmt.Appendf(nil, "# HELP %s %s\n# TYPE %s histogram\n", name, f.GetHelp(), name)
	for _, m := range f.Metric {
		var labels []byte
		for _, l := range m.Label {
			labels = fmt.Appendf(labels, `%s="%s",`, l.GetName(), escaped.Replace(l.GetValue()))
		}
		h, labels := m.Histogram, bytes.TrimSuffix(labels, []byte{','})
		for _, b := range h.Bucket {
			text = fmt.Appendf(text, "%s{%s,le=\"%v\"} %d\n", name, labels, b.GetUpperBound(), b.GetCumulativeCount())
		}
		text = fmt.Appendf(text, "%s{le=\"+Inf\",%s} %d\n", name, labels, h.GetSampleCount())
		text = fmt.Appendf(text, "%s_count{%s} %d\n", name, labels, h.GetSampleCount())
		text = fmt.Appendf(text, "%s_sum{%s} %v\n", name, labels, h.GetSampleSum())
	}
	_, err := w.Write(text)
	return err
}

// escaped writes the value of a label.
var escaped = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
