package pgstore_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/query"
)

// samples returns what a registry has, by name and the values of the labels in the order of the labels' names. Of a histogram it is the
// number of observations, and with _sum their sum.
func samples(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				if l.GetName() != "hostname" && l.GetName() != "uuid" {
					name += " " + l.GetValue()
				}
			}
			switch {
			case m.Histogram != nil:
				all[name] = float64(m.Histogram.GetSampleCount())
				all[name+" sum"] = m.Histogram.GetSampleSum()
			case m.Counter != nil:
				all[name] = m.Counter.GetValue()
			default:
				all[name] = m.Gauge.GetValue()
			}
		}
	}
	return all
}

func counted(t *testing.T, r *prometheus.Registry, want map[string]float64) {
	t.Helper()
	got := samples(t, r)
	for name, n := range want {
		if value, ok := got[name]; !ok || value != n {
			t.Errorf("%s is %v (there: %v), want %v", name, value, ok, n)
		}
	}
}

// Each statement is counted where it belongs, with its wait, and who gets no connection is counted by the reason.
func TestMetrics(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (k text PRIMARY KEY, n int)")
	registry := prometheus.NewRegistry()
	s, err := pgstore.New(pgstore.Config{
		URL: db.URL(), Log: discard, Metrics: registry,
		Limits: pgstore.Limits{MaxConnections: 3, MaxQueue: 6, ClaimDelay: time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	counted(t, registry, map[string]float64{
		"postgres_connections_open": 0, "request_queue_depth": 0, "moray_pool_failed": 0, "moray_pool_connections_limit": 3,
		"cueball_events claim-timeout error": 0,
	})
	if state := s.PoolStatus().State; state != pgstore.PoolConnecting {
		t.Errorf("before Run the pool is %s", state)
	}
	run(t, s)
	ctx := context.Background()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all connections are idle", func() bool { return s.PoolStatus().Idle == 3 })
	must(do(ctx, s, statement(query.Read, "SELECT 1")))
	must(do(ctx, s, statement(query.Write, "INSERT INTO t VALUES ('a', 1) RETURNING n")))
	must(do(ctx, s, statement(query.Alone, "SELECT 1")))
	must(nil, s.InTx(ctx, func(tx object.Tx) error {
		_, err := tx.Do(ctx, statement(query.Alone, "SELECT 1"), nil)
		return err
	}))
	must(nil, s.SQL(ctx, "SELECT 1", nil, false, func(jsvalue.Value) error { return nil }))
	counted(t, registry, map[string]float64{
		"moray_sql_seconds read": 1, "moray_sql_seconds write": 1, "moray_sql_seconds alone": 1,
		"moray_sql_seconds transaction": 2, "moray_sql_seconds text": 1, // two: the commit is one
		"moray_pool_group_statements read": 1, "moray_pool_group_statements write sum": 1,
		"moray_pool_wait_seconds statement": 0, "moray_pool_wait_seconds connection": 0,
		"postgres_connections_available": 3, "moray_pool_connections idle": 3,
	})

	release := busy(t, s, 3)
	errs := make(chan error, 6)
	for i := range 6 {
		sharing := query.Read
		if i == 5 {
			sharing = query.Alone
		}
		go func() {
			_, err := do(ctx, s, statement(sharing, "SELECT 1"))
			errs <- err
		}()
	}
	eventually(t, "six wait", func() bool { return s.Waiting() == 6 })
	if _, err := do(ctx, s, statement(query.Read, "SELECT 1")); err == nil {
		t.Error("a seventh waiter was let in")
	}
	counted(t, registry, map[string]float64{
		"request_queue_depth": 6, "moray_pool_waiting statement": 5, "moray_pool_waiting connection": 1,
		"moray_pool_connections busy": 3, "moray_pool_connections idle": 0, "moray_pool_refused_total queue_full": 1,
	})
	if oldest := samples(t, registry)["moray_pool_oldest_wait_seconds"]; oldest <= 0 {
		t.Errorf("the oldest has waited %v s", oldest)
	}
	release()
	for range 6 {
		must(nil, <-errs)
	}
	got := samples(t, registry)
	if n := got["moray_pool_group_statements read sum"]; n != 6 || got["moray_pool_group_statements read"] == n {
		t.Errorf("six reads took %v round trips with %v statements: none was shared", got["moray_pool_group_statements read"], n)
	}
	counted(t, registry, map[string]float64{
		"moray_pool_wait_seconds statement": 5, "moray_pool_wait_seconds connection": 1, "moray_pool_oldest_wait_seconds": 0,
	})
}

// Without a database the pool says so.
func TestMetricsOfFailure(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	s, err := pgstore.New(pgstore.Config{
		URL: "postgres://moray@127.0.0.1:1/x", Log: discard, Metrics: registry,
		Limits: pgstore.Limits{MaxConnections: 3, ClaimDelay: 10 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	eventually(t, "the pool has failed", func() bool { return s.PoolStatus().State == pgstore.PoolFailed })
	if _, err := do(context.Background(), s, statement(query.Read, "SELECT 1")); err == nil {
		t.Fatal("a statement succeeded without a database")
	}
	counted(t, registry, map[string]float64{
		"moray_pool_failed": 1, "moray_pool_refused_total no_database": 1, "cueball_events failed-state error": 1,
	})
	status := s.PoolStatus()
	if status.Primary != "127.0.0.1:1" || !strings.Contains(status.Problem, "connection refused") {
		t.Errorf("the status is %+v", status)
	}
	if n := status.Events["error-during-connect"]; n == 0 || len(status.ID) != len("00000000-0000-4000-8000-000000000000") {
		t.Errorf("%d failed attempts are counted, the id is %q", n, status.ID)
	}
}
