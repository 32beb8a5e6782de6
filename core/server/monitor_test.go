package server_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// The page of a server begins with the original's, but for the values: the same metrics in the same order, under the same comments,
// with the same labels in the same places.
func TestMetricsOfOriginal(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := dial(t, s).Ping(ctx, &client.PingOptions{Deep: true}); err != nil {
		t.Fatal(err)
	}
	recorded, err := os.ReadFile("../monitor/testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, page := get(t, s, "/metrics")
	ours, _, _ := strings.Cut(page, "# HELP go_")
	if diff := cmp.Diff(outline(string(recorded)), outline(ours)); diff != "" {
		t.Errorf("the outline of the page (-want +got):\n%s", diff)
	}
	for _, name := range []string{
		"moray_build_info", "moray_connections", "moray_requests_in_flight", "moray_received_bytes_total", "moray_sent_bytes_total",
		"moray_bucket_definitions_cached", "moray_pool_wait_seconds", "moray_sql_seconds", "go_goroutines", "process_open_fds",
	} {
		if !strings.Contains(page, "# TYPE "+name+" ") {
			t.Errorf("there is no metric %s", name)
		}
	}
}

var value = regexp.MustCompile(`="[^"]*"`)

// outline is a page of metrics without values, also without those of labels but for the method and the bounds, and without
// cueball_events, of which the recording has none.
func outline(page string) string {
	var lines []string
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "#") {
			line = line[:strings.LastIndexByte(line, ' ')] + "\n"
			line = value.ReplaceAllStringFunc(line, func(v string) string {
				if strings.Contains(line, "le"+v) || strings.Contains(line, "rpcMethod"+v) {
					return v
				}
				return ""
			})
		}
		if !strings.HasPrefix(line, "cueball_events{") {
			lines = append(lines, line)
		}
	}
	return strings.Join(slices.Compact(lines), "")
}
