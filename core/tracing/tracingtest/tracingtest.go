// Package tracingtest has a collector of traces for tests.
package tracingtest

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	trace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector takes traces as an OpenTelemetry collector does, and keeps the name of each span with that of its parent, by the
// id of their trace.
type Collector struct {
	*httptest.Server
	mu    sync.Mutex // guards names
	names map[string][]string
}

// New starts a collector that runs until the test ends.
func New(t *testing.T) *Collector {
	t.Helper()
	c := &Collector{names: map[string][]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var batch trace.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(body, &batch) != nil || r.URL.Path != "/v1/traces" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.take(&batch)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *Collector) take(batch *trace.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range batch.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			parents := map[string]string{"": "-"}
			for _, s := range scope.Spans {
				parents[string(s.SpanId)] = s.Name
			}
			for _, s := range scope.Spans {
				id := hex.EncodeToString(s.TraceId)
				c.names[id] = append(c.names[id], fmt.Sprintf("%s<%s %s", s.Name, parents[string(s.ParentSpanId)], s.Status.GetMessage()))
			}
		}
	}
}

// Traces returns how many traces have come.
func (c *Collector) Traces() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.names)
}

// Spans returns the spans of the request with an id, sorted, each as name<parent error; the parent of the first is "-".
func (c *Collector) Spans(requestID string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(slices.Values(c.names[strings.ReplaceAll(requestID, "-", "")]))
}
