package server_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
	"github.com/kaizengarden/moray/core/tracing/tracingtest"
)

// TestTracing: a request is a trace with its id, and what it does is below it.
func TestTracing(t *testing.T) {
	t.Parallel()
	c := tracingtest.New(t)
	s := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{More: fmt.Sprintf(`"tracing":{"endpoint":%q}`, c.URL)})
	ask := func(method, args string) {
		t.Helper()
		nc, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		call(t, nc, method, args)
	}
	id := func(n int) string { return fmt.Sprintf("0000000%d-0000-4000-8000-000000000000", n) }
	ask("createBucket", `["b",{},{}]`)
	ask("putObject", fmt.Sprintf(`["b","k",{},{"req_id":%q}]`, id(1)))
	ask("getObject", fmt.Sprintf(`["b","nothing",{"req_id":%q}]`, id(2)))
	ask("batch", fmt.Sprintf(`[[{"bucket":"b","key":"x","value":{}},{"bucket":"b","key":"y","value":{}}],{"req_id":%q}]`, id(3)))
	s.Stop(t) // sends what is left

	for n, want := range map[int][]string{
		1: {"WITH<putObject ", "putObject<- "},
		2: {"SELECT<getObject ", "getObject<- ObjectNotFoundError"},
		3: {"COMMIT<batch ", "WITH<batch ", "batch<- "},
	} {
		got := c.Spans(id(n))
		got = slices.DeleteFunc(slices.Compact(got), func(span string) bool { // waits, and reads of the bucket's definition
			return strings.HasPrefix(span, "queue<") || n != 2 && strings.HasPrefix(span, "SELECT<")
		})
		if !slices.Equal(got, want) {
			t.Errorf("trace %d has %q, want %q", n, got, want)
		}
	}
	if n := c.Traces(); n != 4 {
		t.Errorf("there are %d traces, want one for each request", n)
	}
}

// TestTracingWithoutCollector: nobody is hurt by a collector that is not there.
func TestTracingWithoutCollector(t *testing.T) {
	t.Parallel()
	c := tracingtest.New(t)
	c.Close()
	s := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{More: fmt.Sprintf(`"tracing":{"endpoint":%q}`, c.URL)})
	nc, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if got := call(t, nc, "version", `[{}]`); got != `{"version":2}` {
		t.Errorf("answer %s", got)
	}
	s.Stop(t)
	if !strings.Contains(s.Log(), "spans are lost: the collector does not take them") {
		t.Error("the log says nothing")
	}
}
